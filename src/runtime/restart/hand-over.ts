/** Sends to the backups all that they lack, before another director becomes the master. */
import { setTimeout as sleep } from 'node:timers/promises';
import { Slice } from '../../model/slice.ts';
import type { Synchronization } from '../../sync/synchronization.ts';

/** Places of the connection table that are read without a pause; a full portion takes about 1 ms. */
const PLACES_PER_PORTION = 1024;
/** How long the system may take to send the messages, ms. */
const FLUSH_MS = 500;
const RETRY_MS = 5;

/** Times after the first hand-over at which there is another, ms: packets that waited in queues have made connections since. */
const LATER_MS = [200, 1000, 2000];

/** Hands over now, and again later. Resolves after the first time. */
export async function handOverAll(...parts: Parameters<typeof handOver>): Promise<void> {
  await handOver(...parts);
  for (const wait of LATER_MS) setTimeout(() => void handOver(...parts), wait).unref();
}

/** Resolves when the messages are sent, in at most FLUSH_MS after the last connection was read. Works in slices. */
export async function handOver(
  sync: Pick<Synchronization, 'places' | 'handOver' | 'flush'>,
  clock: () => number,
): Promise<void> {
  const slice = new Slice();
  for (let from = 0; from < sync.places; from += PLACES_PER_PORTION) {
    sync.handOver(from, from + PLACES_PER_PORTION, clock());
    if (slice.spent) await slice.next();
  }
  const deadline = clock() + FLUSH_MS;
  while (sync.flush(clock()) > 0 && clock() < deadline) await sleep(RETRY_MS);
}
