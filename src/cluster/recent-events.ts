/** Keeps the last entries of a cluster's log. Reads them at a bounded rate: the log is not followed like other keys. */
import { EtcdError } from '../etcd/etcd-error.ts';
import type { LogEntry } from '../model/cluster.ts';
import type { ClusterStore } from './store.ts';

const MAX_EVENTS = 20;
/** Time between two requests, ms. */
const INTERVAL_MS = 10_000;

export class RecentEvents {
  readonly #store: Pick<ClusterStore, 'log'>;
  #nextAt = 0;
  /** The oldest first. While etcd does not answer, they stay. */
  latest: readonly LogEntry[] = [];

  constructor(store: Pick<ClusterStore, 'log'>) {
    this.#store = store;
  }

  /** Reads the entries if the last request is long enough ago. `now`: ms of a monotonic clock. Call it once a second. */
  async update(now: number): Promise<void> {
    if (now < this.#nextAt) return;
    this.#nextAt = now + INTERVAL_MS;
    try {
      this.latest = await this.#store.log(MAX_EVENTS);
    } catch (error) {
      // Other requests report that etcd fails.
      if (!(error instanceof EtcdError)) throw error;
    }
  }
}
