/** Counts garbage collections: tells a hot path that allocates from one that does not, which heap sizes cannot. */
import { PerformanceObserver } from 'node:perf_hooks';

/** Garbage collections while `run` runs. Give it enough to do: a MiB of garbage makes about one collection. */
export async function collectionsDuring(run: () => void): Promise<number> {
  const begins: number[] = [];
  const observer = new PerformanceObserver((list) => {
    for (const entry of list.getEntries()) begins.push(entry.startTime);
  });
  observer.observe({ entryTypes: ['gc'] });
  // Earlier allocations must not cause a collection during the measurement.
  await collectionAfter(performance.now(), begins);
  const begin = performance.now();
  run();
  const end = performance.now();
  // Entries arrive in order: after one of a later collection, all earlier ones have arrived.
  await collectionAfter(end, begins);
  observer.disconnect();
  return begins.filter((at) => at >= begin && at <= end).length;
}

/** Allocates until a collection has happened and been reported. */
async function collectionAfter(time: number, begins: readonly number[]): Promise<void> {
  for (let garbage: object[] = []; !begins.some((at) => at > time); garbage = []) {
    for (let i = 0; i < 1e5; i++) garbage.push({ i });
    await new Promise((resolve) => setImmediate(resolve));
  }
}
