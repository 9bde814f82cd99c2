/** Destination hashing: selects by the virtual address, for firewall marks over many addresses. */
import type { Destination } from '../model/destination.ts';
import { foldAddress, multiplicative } from '../wire/hash.ts';
import { isEligible } from './least.ts';
import type { SchedulerFactory } from './scheduler.ts';

/** Bits of the bucket number, as in the kernel; another number would select other destinations. */
const BUCKET_BITS = 8;

export const dh: SchedulerFactory = ({ destinations, position }) => {
  let table: readonly Destination[] = [];
  const fill = () => {
    const size = destinations.length === 0 ? 0 : 1 << BUCKET_BITS;
    table = Array.from({ length: size }, (_, bucket) => destinations[bucket % destinations.length]!);
    position.setTable(table);
  };
  fill();
  return {
    schedule({ daddr }) {
      const destination = table[multiplicative(foldAddress(daddr), BUCKET_BITS)];
      return destination && isEligible(destination) ? destination : undefined;
    },
    changed: fill,
  };
};
