/** What the machine's memory costs: the measure for everything that is too large for its caches. */
import { type Effort, type Figure, nanoseconds } from './measure.ts';

/** Words of 64 MiB, as much as the keys and columns of a large connection table. */
const WORDS = 1 << 24;

export function memory(effort: Effort): Figure[] {
  const words = new Uint32Array(WORDS);
  // A walk through all cache lines, each telling where to go next: full period by Hull and Dobell.
  for (let i = 0; i < WORDS; i += 16)
    words[i] = (((i >>> 4) * 0x5851f42d + 0x14057b7) & (WORDS / 16 - 1)) << 4;
  let at = 0;
  const rounds = nanoseconds(effort, 500_000, (calls) => {
    for (let i = 0; i < calls; i++) at = words[at]!;
  });
  if (at < 0) throw new Error('off the walk');
  return [{ name: 'memory: a read that waits for the one before', ...rounds }];
}
