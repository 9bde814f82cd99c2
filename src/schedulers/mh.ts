/**
 * Maglev hashing: selects by the client's address; a change of the list moves few other clients (NSDI 2016).
 */
import type { Destination } from '../model/destination.ts';
import { type Address, isV4 } from '../wire/address.ts';
import { foldAddress, hsiphash } from '../wire/hash.ts';
import { gcd } from './gcd.ts';
import { isEligible } from './least.ts';
import { FALLBACK, PORT, type SchedulerFactory } from './scheduler.ts';

/**
 * Slots: the largest prime below 2^12, the kernel's default. Another number would select other destinations.
 */
export const SLOTS = 4093;
/** Half of 12: weights are reduced to this many bits, so that no destination fills the table in one turn. */
const TURN_BITS = 6;
/**
 * Both halves of the keys (ip_vs_mh.c): for the first slots, and for the strides. Fixed, so that all
 * directors agree.
 */
export const PLACE_KEY = 2_654_435_761;
const STRIDE = 2_654_446_892;

/** The sequence of slots that one destination takes. */
interface Walk {
  readonly destination: Destination;
  readonly stride: number;
  /** Slots taken per turn. */
  readonly turns: number;
  place: number;
}

/**
 * Linux 6.1 hashes only the first word of an IPv6 address for an IPv4 service (ip_vs_mh.c, ip_vs_mh_hashkey).
 */
const foldServer = (address: Address, family: 4 | 6): number =>
  family === 4 && !isV4(address) ? address[0]! : foldAddress(address);

/**
 * Returns the sequences, by the last weights above 0: quiescing one destination must not move clients of
 * others.
 */
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
      place: hsiphash(key, PLACE_KEY, PLACE_KEY) % SLOTS,
      stride: (hsiphash(key, STRIDE, STRIDE) % (SLOTS - 1)) + 1,
      turns: Math.max(1, (destination.lastWeight / divisor) >> shift),
    };
  });
}

/**
 * Returns the table, by slot: destinations take turns to take the next free slots of their sequences, until
 * none is free.
 */
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
      if (table === undefined) {
        table = maglevTable(context.destinations, context.family);
        context.position.setTable(table);
      }
      const key = (foldAddress(caddr) + ((context.flags & PORT) !== 0 ? cport : 0)) | 0;
      const home = hsiphash(key, PLACE_KEY, PLACE_KEY) % SLOTS;
      const destination = table[home];
      if (!destination || isEligible(destination)) return destination;
      if ((context.flags & FALLBACK) === 0) return undefined;
      // The offsets start at the slot's own number (ip_vs_mh.c), not at 1.
      for (let offset = 0; offset < SLOTS; offset++) {
        const other = table[hsiphash((key + ((home + offset) % SLOTS)) | 0, PLACE_KEY, PLACE_KEY) % SLOTS]!;
        if (isEligible(other)) return other;
      }
      return undefined;
    },
    changed() {
      table = undefined;
      context.position.setTable([]);
    },
  };
};
