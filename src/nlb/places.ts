/**
 * Assigns the places of a port rule to hosts in proportion to their weights, by rendezvous hashing: each place goes to the
 * host with the best score there, so a change of one host moves only places from or to that host (Thaler, Ravishankar 1998).
 */

/** Places of a rule: shares differ from the weights by about 1 % with 8 hosts. */
export const PLACES = 65_536;

export interface Candidate {
  readonly id: number;
  readonly weight: number;
}

const HASH_BITS = 12;
const COSTS = 1 << HASH_BITS;
const SCALE = 1 << 24;

/**
 * -log2 of a uniform variable in (0, 1), by upper bits of its hash: in whole numbers, so that hosts agree whatever the last
 * bit of their logarithms. Divided by the weight, the smallest one wins with a probability proportional to the weight.
 */
const COST = Float64Array.from({ length: COSTS }, (_, i) =>
  Math.round(-Math.log2((i + 0.5) / COSTS) * SCALE),
);

/** Returns 32 bits that depend on all bits of the word (the finalizer of MurmurHash3). */
export function scramble(word: number): number {
  let x = word;
  x = Math.imul(x ^ (x >>> 16), 0x85ebca6b);
  x = Math.imul(x ^ (x >>> 13), 0xc2b2ae35);
  return (x ^ (x >>> 16)) >>> 0;
}

/** Returns the id of the owner of each place; 0 where no candidate has a weight. Ids: 1 to 255. */
export function rendezvous(candidates: readonly Candidate[], places = PLACES): Uint8Array {
  const owners = new Uint8Array(places);
  const best = new Float64Array(places).fill(Number.POSITIVE_INFINITY);
  for (const { id, weight } of [...candidates].sort((a, b) => a.id - b.id)) {
    if (weight === 0) continue;
    const salt = scramble(id);
    for (let place = 0; place < places; place++) {
      const hash = scramble(place ^ salt);
      // The lower bits decide between equal costs.
      const cost = (COST[hash >>> (32 - HASH_BITS)]! + (hash & 0xff)) / weight;
      if (cost < best[place]!) {
        best[place] = cost;
        owners[place] = id;
      }
    }
  }
  return owners;
}
