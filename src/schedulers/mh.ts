/**
 * Maglev hashing: selects by the client's address; a change of the list moves few other clients (NSDI 2016).
 */
import type { Destination } from '../model/destination.ts';
import { type Address, isV4 } from '../wire/address.ts';
import { foldAddress, hsiphash } from '../wire/hash.ts';
import { gcd } from './gcd.ts';
import { isEligible } from './least.ts';
import { type FormerList, MhHistory } from './mh-history.ts';
import { FALLBACK, PORT, type Request, type SchedulerFactory } from './scheduler.ts';

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

/** A destination with the weight that its share of the table follows. */
interface Member {
  readonly destination: Destination;
  readonly lastWeight: number;
}

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
function walks(members: readonly Member[], family: 4 | 6): Walk[] {
  const weighted = members.filter(({ lastWeight }) => lastWeight > 0);
  const divisor = weighted.reduce((all, { lastWeight }) => gcd(lastWeight, all), 0);
  const heaviest = weighted.reduce((most, { lastWeight }) => Math.max(most, lastWeight), 0);
  const bits = divisor === 0 ? 0 : 32 - Math.clz32(heaviest / divisor);
  const shift = Math.max(0, bits - TURN_BITS);
  return weighted.map(({ destination, lastWeight }) => {
    const key = (foldServer(destination.address, family) + destination.port) | 0;
    return {
      destination,
      place: hsiphash(key, PLACE_KEY, PLACE_KEY) % SLOTS,
      stride: (hsiphash(key, STRIDE, STRIDE) % (SLOTS - 1)) + 1,
      turns: Math.max(1, (lastWeight / divisor) >> shift),
    };
  });
}

/**
 * Returns the table, by slot: destinations take turns to take the next free slots of their sequences, until
 * none is free.
 */
export function maglevTable(destinations: readonly Destination[], family: 4 | 6): Destination[] {
  return tableOf(
    destinations.map((destination) => ({ destination, lastWeight: destination.lastWeight })),
    family,
  );
}

function tableOf(members: readonly Member[], family: 4 | 6): Destination[] {
  const table: Destination[] = new Array(SLOTS);
  const all = walks(members, family);
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

/** Returns the key of a client. */
const keyOf = ({ caddr, cport }: Request, flags: number): number =>
  (foldAddress(caddr) + ((flags & PORT) !== 0 ? cport : 0)) | 0;

/** Returns the slot of a key. */
const homeOf = (key: number): number => hsiphash(key, PLACE_KEY, PLACE_KEY) % SLOTS;

/** Returns the destination of a key, or the one that replaces it while it is not eligible; undefined: there is none. */
function select(
  table: readonly Destination[],
  key: number,
  flags: number,
  isUsable: (destination: Destination) => boolean,
): Destination | undefined {
  const home = homeOf(key);
  const destination = table[home];
  if (!destination || isUsable(destination)) return destination;
  if ((flags & FALLBACK) === 0) return undefined;
  // The offsets start at the slot's own number (ip_vs_mh.c), not at 1.
  for (let offset = 0; offset < SLOTS; offset++) {
    const other = table[hsiphash((key + ((home + offset) % SLOTS)) | 0, PLACE_KEY, PLACE_KEY) % SLOTS]!;
    if (isUsable(other)) return other;
  }
  return undefined;
}

export const mh: SchedulerFactory = (context) => {
  const { destinations, family, flags, takeover } = context;
  // Built when the next connection needs it: many changes in a row cost one table.
  let table: Destination[] | undefined;
  const history = takeover && new MhHistory(destinations, takeover);
  const present = (): Destination[] => {
    if (table === undefined) {
      table = maglevTable(destinations, family);
      context.position.setTable(table);
    }
    return table;
  };

  /** Selects as the directors did while a former list was in effect. */
  function formerly(list: FormerList, key: number): Destination | undefined {
    list.table ??= tableOf(list.members, family);
    const quiesced = new Set(list.members.flatMap((each) => (each.isQuiesced ? each.destination : [])));
    const selected = select(list.table, key, flags, (destination) => !quiesced.has(destination));
    // Without a fallback, it was quiesced later than the connection began.
    return selected ?? list.table[homeOf(key)];
  }

  /** Selects by the oldest former list whose destination still exists. */
  function byHistory(request: Request): Destination | undefined {
    const key = keyOf(request, flags);
    for (const list of history?.former ?? []) {
      const destination = formerly(list, key);
      if (destination && destinations.includes(destination)) return destination;
    }
    return undefined;
  }

  function continued(request: Request): Destination | undefined {
    const former = byHistory(request);
    if (former) return former;
    const key = keyOf(request, flags);
    return select(present(), key, flags, isEligible) ?? present()[homeOf(key)];
  }

  return {
    schedule: (request) => select(present(), keyOf(request, flags), flags, isEligible),
    continued,
    changed() {
      table = undefined;
      context.position.setTable([]);
      history?.changed();
    },
    expire: (now) => history?.expire(now),
    fork(forked, request, twinOf) {
      const twin = mh(forked);
      return {
        ...twin,
        continued() {
          const former = byHistory(request);
          return former ? twinOf(former) : twin.continued?.(request);
        },
      };
    },
  };
};
