/**
 * Assigns the places of a port rule to hosts in proportion to their weights, by rendezvous hashing: each place goes to the
 * host with the least cost there, so a change of one host moves only places from or to that host (Thaler, Ravishankar 1998).
 */

const PLACE_BITS = 16;
/** Places of a rule: with 8 hosts, shares differ from the weights by about 1 %. */
export const PLACES = 1 << PLACE_BITS;
/**
 * Places of a rule with stickiness have the same owner in groups, whose owner changes when none of its clients was seen lately.
 */
export const GROUPS = 4096;
/** Bits of a place that do not count for its group. */
export const GROUP_SHIFT = Math.log2(PLACES / GROUPS);

export interface Candidate {
  readonly id: number;
  readonly weight: number;
}

const SCALE = 1 << 24;
const MAX_IDS = 256;

/**
 * -log2 of numbers spread evenly over (0, 1): in whole numbers, so that hosts agree whatever the last bit of their logarithms.
 * A host's costs at its places are these, in an order that depends on its id, divided by its weight: the least one of several
 * hosts is that of a host with a probability proportional to the host's weight. Each host has every cost once, which halves the
 * variance of shares by independent random costs.
 */
const COST = Float64Array.from({ length: PLACES }, (_, i) =>
  Math.round(-Math.log2((i + 0.5) / PLACES) * SCALE),
);

/** Returns 32 bits that depend on all bits of the word (the finalizer of MurmurHash3). */
function scramble(word: number): number {
  let x = word;
  x = Math.imul(x ^ (x >>> 16), 0x85ebca6b);
  x = Math.imul(x ^ (x >>> 13), 0xc2b2ae35);
  return (x ^ (x >>> 16)) >>> 0;
}

const ROUNDS = 4;
const HALF = PLACE_BITS / 2;

/** Orders of costs by host id, made when a host is seen first. */
const orders = new Map<number, Uint16Array>();

/** Returns the index of the host's cost at each place: a permutation that depends on the id. */
function orderOf(id: number): Uint16Array {
  const known = orders.get(id);
  if (known) return known;
  const keys = Array.from({ length: ROUNDS }, (_, i) => scramble((id << HALF) | (i + 1)));
  const order = Uint16Array.from({ length: PLACES }, (_, place) =>
    // Each step is reversible: odd factors, and the upper half added to the lower one.
    keys.reduce((x, key) => {
      const product = Math.imul(x ^ (key & (PLACES - 1)), (key >>> PLACE_BITS) | 1) & (PLACES - 1);
      return product ^ (product >>> HALF);
    }, place),
  );
  orders.set(id, order);
  return order;
}

/** Owners of places, and the candidates that they were computed of. */
export interface Assigned {
  readonly candidates: readonly Candidate[];
  /** The id of the owner of each place; 0 where no candidate has a weight. */
  readonly owners: Uint8Array;
}

/**
 * Assigns `places` places; ids are 1 to 255. With an earlier result, only places that may have moved are computed, which is
 * faster; the result is the same.
 */
export function rendezvous(candidates: readonly Candidate[], before?: Assigned, places = PLACES): Assigned {
  const hosts = candidates.filter(({ weight }) => weight > 0).sort((a, b) => a.id - b.id);
  const weights = new Float64Array(MAX_IDS);
  const old = new Float64Array(MAX_IDS);
  for (const { id, weight } of hosts) weights[id] = weight;
  for (const { id, weight } of before?.candidates ?? []) old[id] = weight;
  const costOrders: Uint16Array[] = [];
  for (const { id } of hosts) costOrders[id] = orderOf(id);
  const gaining = hosts.filter(({ id, weight }) => weight > old[id]!);
  const owners = before ? before.owners.slice() : new Uint8Array(places);
  for (let place = 0; place < places; place++) {
    let first = owners[place]!;
    let best = Number.POSITIVE_INFINITY;
    let rivals = hosts;
    if (first !== 0 && weights[first]! >= old[first]!) {
      if (gaining.length === 0) continue;
      rivals = gaining;
      best = COST[costOrders[first]![place]!]! / weights[first]!;
    } else first = 0;
    for (const { id, weight } of rivals) {
      const cost = COST[costOrders[id]![place]!]! / weight;
      if (cost < best || (cost === best && id < first)) {
        best = cost;
        first = id;
      }
    }
    owners[place] = first;
  }
  return { candidates: hosts, owners };
}
