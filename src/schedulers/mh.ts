/** Maglev hashing: each client has its destination, and a change of the list moves few others (NSDI 2016). */
import type { Destination } from '../model/destination.ts';
import { type Address, isV4 } from '../wire/address.ts';
import { foldAddress, hsiphash } from '../wire/hash.ts';
import { gcd } from './gcd.ts';
import { isEligible } from './least.ts';
import { FALLBACK, PORT, type SchedulerFactory } from './scheduler.ts';

/** Slots: the greatest prime below 2^12, the kernel's default. With another the same packets would go elsewhere. */
export const SLOTS = 4093;
/** Half of 12: weights are cut to this many bits, so that no destination fills the table in one turn. */
const TURN_BITS = 6;
/** Both halves of the keys (ip_vs_mh.c): the first places, the second strides. Fixed, so that all directors agree. */
const PLACE = 2_654_435_761;
const STRIDE = 2_654_446_892;

/** The walk of one destination through the table. */
interface Walk {
  readonly destination: Destination;
  readonly stride: number;
  /** Slots it takes each time it has a turn. */
  readonly turns: number;
  place: number;
}

/** Linux 6.1 takes only the first word of an IPv6 address for a service of IPv4 (ip_vs_mh.c, ip_vs_mh_hashkey). */
const foldServer = (address: Address, family: 4 | 6): number =>
  family === 4 && !isV4(address) ? address[0]! : foldAddress(address);

/** Returns how each destination walks, by its last weight that was not 0: to quiesce one must not move the clients of others. */
function walks(destinations: readonly Destination[], family: 4 | 6): Walk[] {
  const weighted = destinations.filter((destination) => destination.lastWeight > 0);
  const divisor = weighted.reduce((all, { lastWeight }) => gcd(lastWeight, all), 0);
  const heaviest = weighted.reduce((most, { lastWeight }) => Math.max(most, lastWeight), 0);
  const bits = divisor === 0 ? 0 : 32 - Math.clz32(heaviest / divisor);
  const shift = Math.max(0, bits - TURN_BITS);
  return weighted.map((destination) => {
    const key = (foldServer(destination.address, family) + destination.port) | 0;
    return {
      destination,
      place: hsiphash(key, PLACE, PLACE) % SLOTS,
      stride: (hsiphash(key, STRIDE, STRIDE) % (SLOTS - 1)) + 1,
      turns: Math.max(1, (destination.lastWeight / divisor) >> shift),
    };
  });
}

/** Returns the table, by slot: each destination in turn takes the next free slots of its walk, until none is free. */
export function maglevTable(destinations: readonly Destination[], family: 4 | 6): Destination[] {
  const table: Destination[] = new Array(SLOTS);
  const all = walks(destinations, family);
  let free = all.length === 0 ? 0 : SLOTS;
  while (free > 0) {
    for (const walk of all) {
      for (let turn = 0; turn < walk.turns && free > 0; turn++, free--) {
        while (table[walk.place] !== undefined) walk.place = (walk.place + walk.stride) % SLOTS;
        table[walk.place] = walk.destination;
      }
    }
  }
  return table;
}

export const mh: SchedulerFactory = (context) => {
  // Built when the next connection needs it: many changes in a row cost one table.
  let table: Destination[] | undefined;
  return {
    schedule({ caddr, cport }) {
      table ??= maglevTable(context.destinations, context.family);
      const key = (foldAddress(caddr) + ((context.flags & PORT) !== 0 ? cport : 0)) | 0;
      const home = hsiphash(key, PLACE, PLACE) % SLOTS;
      const destination = table[home];
      if (!destination || isEligible(destination)) return destination;
      if ((context.flags & FALLBACK) === 0) return undefined;
      // The offsets start at the slot's own number (ip_vs_mh.c), not at 1.
      for (let offset = 0; offset < SLOTS; offset++) {
        const other = table[hsiphash((key + ((home + offset) % SLOTS)) | 0, PLACE, PLACE) % SLOTS]!;
        if (isEligible(other)) return other;
      }
      return undefined;
    },
    changed() {
      table = undefined;
    },
  };
};
