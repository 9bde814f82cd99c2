/** Unpredictable random numbers, for choices that packets must not influence: the table's seed, and scheduler twos. */
import { randomFillSync } from 'node:crypto';

/** Words read at once: a call per word would take about a microsecond. */
const POOL_WORDS = 1024;

const pool = new Uint32Array(POOL_WORDS);
let next = POOL_WORDS;

/** Returns a number x, 0 <= x < 1, with 32 random bits. */
export function unpredictable(): number {
  if (next === POOL_WORDS) {
    randomFillSync(pool);
    next = 0;
  }
  return pool[next++]! / 2 ** 32;
}
