/** Source hashing: selects by the client's address, alike on all directors with the same list. */
import type { Destination } from '../model/destination.ts';
import { foldAddress, multiplicative } from '../wire/hash.ts';
import { isEligible } from './least.ts';
import { FALLBACK, PORT, type SchedulerFactory } from './scheduler.ts';

/** Bits of the bucket number, as in the kernel; another number would select other destinations. */
const BUCKET_BITS = 8;
const BUCKETS = 1 << BUCKET_BITS;

/**
 * Returns the table: as many consecutive buckets per destination as its weight (at least one), repeated until
 * all are assigned.
 */
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
  let table: readonly Destination[] = [];
  const fill = () => {
    table = buckets(context.destinations);
    context.position.setTable(table);
  };
  fill();
  return {
    schedule({ caddr, cport }) {
      const key = (foldAddress(caddr) + ((context.flags & PORT) !== 0 ? cport : 0)) | 0;
      const home = multiplicative(key, BUCKET_BITS);
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
    changed: fill,
  };
};
