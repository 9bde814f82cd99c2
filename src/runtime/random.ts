/** Random numbers that nobody can foretell, for what strangers' packets must not be able to steer: the table's seed, twos. */
import { randomFillSync } from 'node:crypto';

/** Words drawn at once: one call for each would cost a microsecond. */
const POOL = 1024;

const pool = new Uint32Array(POOL);
let next = POOL;

/** 0 <= x < 1, 32 bits of it random. */
export function unforeseeable(): number {
  if (next === POOL) {
    randomFillSync(pool);
    next = 0;
  }
  return pool[next++]! / 2 ** 32;
}
