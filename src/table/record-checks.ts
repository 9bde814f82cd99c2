/** Checks of records that another process has left. All throw UnfitMemory with the record and what is wrong with it. */

import {
  COUNTERS_BYTES,
  DESTINATION,
  DESTINATION_FLAGS,
  MAX_LIST_ENTRIES,
  MAX_LISTED,
  MAX_RECORDS,
  METER_NUMBERS,
  METERS,
  NEXT_HOP,
  SCHEDULER,
  SERVICE,
  SERVICE_FLAGS,
  TUNNEL,
} from './record-layout.ts';
import type { Records } from './records.ts';
import { assertFit } from './unfit-memory.ts';

/** Forwarding methods of destinations (include/uapi/linux/ip_vs.h, Linux 6.1). */
const METHODS: readonly number[] = [0, 2, 3];
/** IP protocols of services; 0: of a firewall mark. */
const PROTOCOLS: readonly number[] = [0, 6, 17, 132];
const FAMILIES: readonly number[] = [4, 6];
/** Entries of the tables of hashing schedulers. */
const TABLES: readonly number[] = [0, 256, 4093];
const ALL_FLAGS = Object.values(SERVICE_FLAGS).reduce((all, flag) => all | flag, 0);
const TYPES = TUNNEL.csum - 1;
/** Highest number of a VLAN, in packet order: the upper four bits are in the lower byte. */
const VLAN_BITS = 0xff0f;
const METER_FIELDS = METER_NUMBERS / 4;
/** Counters are below 2^53. */
const MAX_UPPER_HALF = 2 ** 21;

/** Reports whether the record is in use: configured, or named by connections. */
export const isDestination = (records: Records, index: number): boolean =>
  index > 0 &&
  (records.half(index, DESTINATION.service) !== 0 || records.word(index, DESTINATION.flags) !== 0);

/** Checks all destinations. `connections`: there are no more. */
export function checkDestinations(records: Records, connections: number): void {
  for (let index = 1; index < MAX_RECORDS; index++) {
    if (!isDestination(records, index)) continue;
    const check = (isFit: boolean, what: string) => assertFit(isFit, () => `destination ${index}: ${what}`);
    const word = (field: number) => records.word(index, field);
    const flags = word(DESTINATION.flags);
    check((flags & ~(DESTINATION_FLAGS.AVAILABLE | DESTINATION_FLAGS.HIDDEN)) === 0, `flags ${flags}`);
    check(
      [0, 4, 8, 12].some((i) => word(DESTINATION.address + i) !== 0),
      'no address',
    );
    const method = records.half(index, DESTINATION.method);
    check(METHODS.includes(method), `method ${method}`);
    const tunnel = records.half(index, DESTINATION.tunnel);
    check(
      (tunnel & TYPES) <= TUNNEL.gre && (tunnel & ~(TYPES | TUNNEL.csum | TUNNEL.remcsum)) === 0,
      `tunnel ${tunnel}`,
    );
    check(word(DESTINATION.weight) >= 0 && word(DESTINATION.lastWeight) >= 0, 'weight');
    check(word(DESTINATION.upper) >= 0 && word(DESTINATION.lower) >= 0, 'thresholds');
    check(word(DESTINATION.overloaded) >>> 0 <= 1, 'overloaded');
    for (const field of [DESTINATION.active, DESTINATION.inactive, DESTINATION.persistent])
      check(Math.abs(word(field)) <= connections, `${word(field)} connections`);
    check(records.half(index, DESTINATION.reserved) === 0, 'reserved bytes');
  }
}

/** Checks a service, its list and its table. Returns the first entry behind both. */
export function checkService(
  records: Records,
  index: number,
  entries: Uint16Array,
  isKnown: (destination: number) => boolean,
): number {
  const check = (isFit: boolean, what: string) => assertFit(isFit, () => `service ${index}: ${what}`);
  const word = (field: number) => records.word(index, field);
  const flags = word(SERVICE.flags);
  check((flags & SERVICE_FLAGS.IN_USE) !== 0 && (flags & ~ALL_FLAGS) === 0, `flags ${flags}`);
  check(word(SERVICE.scheduler) >>> 0 <= SCHEDULER.mh, `scheduler ${word(SERVICE.scheduler)}`);
  const protocol = records.half(index, SERVICE.protocol) & 0xff;
  check(
    PROTOCOLS.includes(protocol) && (protocol === 0) === (word(SERVICE.mark) !== 0),
    `protocol ${protocol}`,
  );
  check(FAMILIES.includes(records.half(index, SERVICE.protocol) >>> 8), 'family');
  check(word(SERVICE.last) >= -1 && word(SERVICE.level) >= 0, 'position');
  const end = (field: number, isCount: (count: number) => boolean): number => {
    const [first, count] = [word(field), word(field + 4)];
    check(first >= 0 && isCount(count) && first + count <= MAX_LIST_ENTRIES, `list of ${count} at ${first}`);
    for (const number of entries.subarray(first, first + count))
      check(number === 0 || isKnown(number), `list: destination ${number}`);
    return first + count;
  };
  return Math.max(
    end(SERVICE.list, (count) => count >= 0 && count <= MAX_LISTED),
    end(SERVICE.table, (count) => TABLES.includes(count)),
  );
}

/** Checks all next hops. */
export function checkNextHops(records: Records): void {
  for (let index = 1; index < MAX_RECORDS; index++) {
    if (records.word(index, NEXT_HOP.interface) === 0) continue;
    const check = (isFit: boolean, what: string) => assertFit(isFit, () => `next hop ${index}: ${what}`);
    check(records.word(index, NEXT_HOP.interface) > 0, 'interface');
    check(records.half(index, NEXT_HOP.mtu) > 0, 'MTU');
    check((records.half(index, NEXT_HOP.vlan) & ~VLAN_BITS) === 0, 'VLAN');
    check(
      records.half(index, NEXT_HOP.to + 6) === 0 && records.half(index, NEXT_HOP.from + 6) === 0,
      'MAC address',
    );
  }
}

/** Checks the counters of all processors, as 32-bit words. */
export function checkCounters(words: Uint32Array): void {
  for (let i = 1; i < words.length; i += 2)
    assertFit(words[i]! < MAX_UPPER_HALF, () => `counters: record ${Math.floor((i * 4) / COUNTERS_BYTES)}`);
}

/** Checks the meters of all records. */
export function checkMeters(numbers: Float64Array): void {
  const first = METERS.collected / 8;
  const isCount = (number: number) => Number.isSafeInteger(number) && number >= 0;
  for (let at = 0; at < first; at += METER_NUMBERS)
    for (let i = 0; i < METER_FIELDS; i++) {
      const [counter, read, zero, average] = [0, 1, 2, 3].map(
        (kind) => numbers[at + METER_FIELDS * kind + i]!,
      );
      assertFit(
        isCount(counter!) && isCount(read!) && isCount(zero!) && Number.isSafeInteger(average),
        () => `meter ${at / METER_NUMBERS}: no count`,
      );
      assertFit(zero! <= read! && read! <= counter!, () => `meter ${at / METER_NUMBERS}: counts go back`);
    }
  for (let at = first; at < numbers.length; at++)
    assertFit(isCount(numbers[at]!), () => `meter: collected ${numbers[at]}`);
}
