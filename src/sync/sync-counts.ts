/** Counts of synchronization since the start. */

/** Messages and entries, of both daemons. */
export interface SyncCounts {
  sentEntries: number;
  sentMessages: number;
  /** Messages that were not sent, because sync_qlen_max others waited. */
  droppedMessages: number;
  receivedMessages: number;
  /** Messages of another sync ID. */
  foreignMessages: number;
  /** Messages that were invalid, or from some entry on. */
  malformedMessages: number;
  takenEntries: number;
  /** Valid entries that were not taken: unknown, or without room. */
  refusedEntries: number;
}

export const newSyncCounts = (): SyncCounts => ({
  sentEntries: 0,
  sentMessages: 0,
  droppedMessages: 0,
  receivedMessages: 0,
  foreignMessages: 0,
  malformedMessages: 0,
  takenEntries: 0,
  refusedEntries: 0,
});
