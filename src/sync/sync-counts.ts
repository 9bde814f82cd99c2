/** Counts of synchronization since the start. */
import type { SyncCounts as Counts } from '../model/snapshot.ts';

export type SyncCounts = { -readonly [count in keyof Counts]: number };

export const newSyncCounts = (): SyncCounts => ({
  sentEntries: 0,
  sentMessages: 0,
  droppedMessages: 0,
  receivedMessages: 0,
  foreignMessages: 0,
  malformedMessages: 0,
  unauthenticatedMessages: 0,
  staleMessages: 0,
  replayedMessages: 0,
  takenEntries: 0,
  refusedEntries: 0,
  bulkSentEntries: 0,
  bulkTakenEntries: 0,
  servedBulks: 0,
  receivedBulks: 0,
  failedBulks: 0,
  refusedBulks: 0,
});
