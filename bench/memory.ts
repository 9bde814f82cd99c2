/** Measures the latency of the machine's memory, the baseline for tables that are larger than its caches. */
import { type Effort, type Figure, nanoseconds } from './measure.ts';

/** Words of 64 MiB, about the size of a large connection table. */
const WORDS = 1 << 24;

export function memory(effort: Effort): Figure[] {
  const words = new Uint32Array(WORDS);
  // A walk through all cache lines, each with the index of the next: full period by Hull and Dobell.
  for (let i = 0; i < WORDS; i += 16)
    words[i] = (((i >>> 4) * 0x5851f42d + 0x14057b7) & (WORDS / 16 - 1)) << 4;
  let at = 0;
  const rounds = nanoseconds(effort, 500_000, (calls) => {
    for (let i = 0; i < calls; i++) at = words[at]!;
  });
  if (at < 0) throw new Error('invalid index');
  return [{ name: 'memory: a read that waits for the one before', ...rounds }];
}
