/** What a file configures about synchronization besides the daemons' commands, without its secrets. */
import type { SyncSummary } from '../../control/director-api.ts';
import { deriveKey } from '../../sync/sync-keys.ts';
import type { LoadedSync } from '../configuration/configuration.ts';

export const summaryOf = ({ secrets, peers, bulkPort }: LoadedSync): SyncSummary => ({
  keys: secrets.map((secret) => deriveKey(secret).identity),
  peers,
  bulkPort,
});
