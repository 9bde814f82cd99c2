/**
 * Copies a table that another process has left to memory of another kind: of programs of the kernel, or of a director without them. Rows
 * keep their places and records their numbers; times are converted, and next hops are unknown again.
 */
import { KIND, KIND_SHIFT, ROW, ROW_BYTES, TRACK } from './layout.ts';
import type { RegionName, TableMemory } from './memory.ts';
import {
  COUNTERS,
  COUNTERS_BYTES,
  DESTINATION,
  DESTINATION_BYTES,
  METER_NUMBERS,
  METERED,
  METERS,
  METERS_BYTES,
  SERVICE,
  SERVICE_BYTES,
  SETTINGS,
  SETTINGS_BYTES,
} from './record-layout.ts';
import type { Ticks } from './ticks.ts';

/** What both kinds have. */
const CARRIED: readonly RegionName[] = [
  'rows',
  'order',
  'spilled',
  'head',
  'destinations',
  'services',
  'lists',
  'settings',
  'templates',
  'meters',
  'controls',
];
const TCP_STATES = 16;
/** Counters of a meter: those of COUNTERS up to the bytes to clients. */
const METER_COUNTERS = METER_NUMBERS / 4;
const METER_BYTES = METER_NUMBERS * 8;

/** Memory whose arrays have sizes. */
export interface SizedMemory extends TableMemory {
  /** Bytes of an array; 0: there is none. */
  bytesOf(name: RegionName): number;
}

export interface Carrying {
  readonly from: SizedMemory;
  readonly to: TableMemory;
  /** The clocks of both, and the time on the director's clock, ms. */
  readonly fromTicks: Ticks;
  readonly toTicks: Ticks;
  readonly now: number;
  /** Programs will forward packets: those of each connection go up until the director knows where to. */
  readonly isForPrograms: boolean;
}

/** The header of `to` has to be written afterwards. Programs must not make or end rows of `from` meanwhile. */
export function carryTable(carrying: Carrying): void {
  const { from, to } = carrying;
  for (const name of CARRIED) {
    const bytes = from.bytesOf(name);
    if (bytes > 0) bytesIn(to, name, bytes).set(bytesIn(from, name, bytes));
  }
  convertRows(carrying);
  convertSettings(carrying);
  const clear = (name: RegionName, size: number, fields: readonly number[]) => {
    const bytes = from.bytesOf(name);
    const halves = new Uint16Array(...viewOf(to, name, bytes), bytes / 2);
    for (let at = 0; at < bytes; at += size) for (const field of fields) halves[(at + field) >> 1] = 0;
  };
  clear('destinations', DESTINATION_BYTES, [DESTINATION.nextHop]);
  clear('services', SERVICE_BYTES, [SERVICE.longest]);
}

/**
 * Adds to the meters of `memory` what programs have counted in `counters` and no director has added, and sets `collected` to 0,
 * for other counters. `processors` blocks have `counted` records each.
 */
export function addToMeters(
  memory: TableMemory,
  counters: BigUint64Array,
  { processors, counted }: { readonly processors: number; readonly counted: number },
): void {
  const meters = new Float64Array(...viewOf(memory, 'meters', METERS_BYTES), METERS_BYTES / 8);
  const destinations = new Uint16Array(
    ...viewOf(memory, 'destinations', METERED * DESTINATION_BYTES),
    (METERED * DESTINATION_BYTES) / 2,
  );
  const longs = COUNTERS_BYTES / 8;
  const add = (first: number, record: number, field: number, value: number) => {
    meters[(first + record * METER_BYTES) / 8 + field]! += value;
  };
  for (let record = 1; record < Math.min(METERED, counted); record++) {
    const service = destinations[(record * DESTINATION_BYTES + DESTINATION.service) >> 1]!;
    for (let field = COUNTERS.connections / 8; field < METER_COUNTERS; field++) {
      let gained = -meters[METERS.collected / 8 + record * longs + field]!;
      for (let processor = 0; processor < processors; processor++)
        gained += Number(counters[(processor * counted + record) * longs + field]!);
      if (gained <= 0) continue;
      add(METERS.destinations, record, field, gained);
      add(METERS.destinations, 0, field, gained);
      if (service < METERED) add(METERS.services, service, field, gained);
    }
  }
  meters.fill(0, METERS.collected / 8);
}

function convertRows({ from, to, fromTicks, toTicks, now, isForPrograms }: Carrying): void {
  const bytes = from.bytesOf('rows');
  const words = new Int32Array(...viewOf(to, 'rows', bytes), bytes / 4);
  const halves = new Uint16Array(words.buffer, words.byteOffset, bytes / 2);
  const [here, there] = [fromTicks.at(now), toTicks.at(now)];
  for (let at = 0; at < bytes; at += ROW_BYTES) {
    const kind = (words[(at + ROW.client) >> 2]! >>> KIND_SHIFT) & ~KIND.WIDE;
    if (kind < KIND.LIVE) continue;
    const timeout = words[(at + ROW.timeout) >> 2]! >>> 0;
    if (timeout > 0) words[(at + ROW.timeout) >> 2] = toTicks.timeout(fromTicks.toMs(timeout));
    const elapsed = (here - words[(at + ROW.seen) >> 2]!) | 0;
    words[(at + ROW.seen) >> 2] = there - Math.round(fromTicks.toMs(elapsed) / toTicks.length);
    // Where connections have their next hop, templates have a part of their salt.
    if (kind === KIND.TEMPLATE || kind === KIND.INVALID) continue;
    halves[(at + ROW.nextHop) >> 1] = 0;
    if (isForPrograms) words[(at + ROW.track) >> 2]! |= TRACK.UP;
  }
}

function convertSettings({ to, fromTicks, toTicks }: Carrying): void {
  const words = new Uint32Array(...viewOf(to, 'settings', SETTINGS_BYTES), SETTINGS_BYTES / 4);
  const timeouts = Array.from({ length: TCP_STATES }, (_, state) => SETTINGS.tcpTimeouts + 4 * state);
  for (const field of [...timeouts, SETTINGS.udpTimeout]) {
    const ticks = words[field >> 2]!;
    if (ticks > 0) words[field >> 2] = toTicks.timeout(fromTicks.toMs(ticks));
  }
  words[SETTINGS.ticksPerSecond >> 2] = Math.round(1000 / toTicks.length);
  for (const field of [SETTINGS.deferred, SETTINGS.orphan, SETTINGS.passFrom, SETTINGS.complete])
    words[field >> 2] = 0;
}

function viewOf(memory: TableMemory, name: RegionName, bytes: number): [ArrayBuffer, number] {
  const { buffer, offset } = memory.reserve(name, bytes);
  return [buffer, offset];
}

const bytesIn = (memory: TableMemory, name: RegionName, bytes: number): Uint8Array<ArrayBuffer> =>
  new Uint8Array(...viewOf(memory, name, bytes), bytes);
