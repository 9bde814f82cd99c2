/** Source hashing: each client has its destination, the same on every director with the same list. */
import type { Destination } from '../model/destination.ts';
import { foldAddress, multiplicative } from '../wire/hash.ts';
import { isEligible } from './least.ts';
import { FALLBACK, PORT, type SchedulerFactory } from './scheduler.ts';

/** Buckets: 2^8, as in the kernel; with another number the same packets would go elsewhere. */
const BITS = 8;
const BUCKETS = 1 << BITS;

/** As many buckets in a row as its weight (a quiesced one has one), and round again until all are taken. */
function buckets(destinations: readonly Destination[]): Destination[] {
  const table: Destination[] = [];
  while (destinations.length > 0) {
    for (const destination of destinations) {
      for (let filled = 0; filled < Math.max(1, destination.weight); filled++) {
        table.push(destination);
        if (table.length === BUCKETS) return table;
      }
    }
  }
  return table;
}

export const sh: SchedulerFactory = (context) => {
  let table = buckets(context.destinations);
  return {
    schedule({ caddr, cport }) {
      const key = (foldAddress(caddr) + ((context.flags & PORT) !== 0 ? cport : 0)) | 0;
      const home = multiplicative(key, BITS);
      const destination = table[home];
      if (!destination || isEligible(destination)) return destination;
      if ((context.flags & FALLBACK) === 0) return undefined;
      // The offsets start at the bucket's own number (ip_vs_sh.c), not at 1.
      for (let offset = 0; offset < BUCKETS; offset++) {
        const other = table[(home + ((home + offset) % BUCKETS)) % BUCKETS]!;
        if (isEligible(other)) return other;
      }
      return undefined;
    },
    changed() {
      table = buckets(context.destinations);
    },
  };
};
