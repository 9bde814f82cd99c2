/** Logs sync messages that were refused: a wrong key, clocks that differ, or an attack. */
import type { SyncCounts } from '../../model/snapshot.ts';
import type { Log } from '../log.ts';

const NOTHING = { unauthenticated: 0, stale: 0, replayed: 0 };

export class SyncRefusals {
  readonly #counts: SyncCounts;
  readonly #log: Log;
  #known = NOTHING;

  constructor(counts: SyncCounts, log: Log) {
    this.#counts = counts;
    this.#log = log;
  }

  /** Logs what was refused since the last call. Call it once a second. */
  check(): void {
    const { unauthenticatedMessages, staleMessages, replayedMessages } = this.#counts;
    const now = {
      unauthenticated: unauthenticatedMessages,
      stale: staleMessages,
      replayed: replayedMessages,
    };
    const before = this.#known;
    this.#known = now;
    const names = ['unauthenticated', 'stale', 'replayed'] as const;
    const more = names.filter((name) => now[name] > before[name]);
    if (more.length === 0) return;
    const fields = Object.fromEntries(more.map((name) => [name, now[name] - before[name]]));
    this.#log('warning', 'sync-messages-refused', fields);
  }
}
