/** What the connection table of a director whose process forwards all packets consists of, and its clock. */
import type { MemoryFiles } from '../../host/memory-files.ts';
import type { KeptArray } from '../../table/kept-memory.ts';
import { KeptMemory } from '../../table/kept-memory.ts';
import type { RegionName } from '../../table/memory.ts';
import { MIN_TICK_MS, type SharedClock } from '../../table/ticks.ts';

/** Arrays that only programs of the kernel have. */
const ABSENT: readonly RegionName[] = ['counters', 'nextHops'];
const NS_PER_MS = 1_000_000n;

export const liveMemory = (files: MemoryFiles): KeptMemory<KeptArray> => new KeptMemory(files, ABSENT);

/** Ticks of the host's monotonic clock, which all processes share. `now`: ms of this director's clock. */
export function hostClock(now: number): SharedClock {
  const host = process.hrtime.bigint() / NS_PER_MS / BigInt(MIN_TICK_MS);
  return { tickMs: MIN_TICK_MS, shift: 0, offset: BigInt(Math.floor(now / MIN_TICK_MS)) - host };
}
