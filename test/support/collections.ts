/** Counts garbage collections: tells a hot path that allocates from one that does not, which heap sizes cannot. */
import { PerformanceObserver } from 'node:perf_hooks';

/** Garbage collections while `run` runs. Give it enough to do: a MiB of garbage makes about one collection. */
export async function collectionsDuring(run: () => void): Promise<number> {
  const begins: number[] = [];
  const observer = new PerformanceObserver((list) => {
    for (const entry of list.getEntries()) begins.push(entry.startTime);
  });
  observer.observe({ entryTypes: ['gc'] });
  const begin = performance.now();
  run();
  const end = performance.now();
  // Entries are delivered in order: a collection that was asked for afterwards says that all before it are here.
  const marker = () => begins.some((at) => at > end);
  for (let garbage = []; !marker(); garbage = []) {
    for (let i = 0; i < 1e5; i++) garbage.push({ i });
    await new Promise((resolve) => setImmediate(resolve));
  }
  observer.disconnect();
  return begins.filter((at) => at >= begin && at <= end).length;
}
