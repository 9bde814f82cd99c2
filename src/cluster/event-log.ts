/** Appends events of a director to the log of its cluster, at a bounded rate. */
import type { EtcdClient } from '../etcd/client.ts';
import { EtcdError } from '../etcd/etcd-error.ts';
import type { LogEntry } from '../model/cluster.ts';
import type { Keys } from './keys.ts';
import { shortened } from './records.ts';

/** Seconds for which an entry stays. */
const KEEP_S = 86_400;
/** Entries at once, and the time after which there may be another one, ms. */
const MAX_BURST = 20;
const INTERVAL_MS = 1000;
/** Entries that wait for etcd; the oldest are left out. */
const MAX_WAITING = 100;

export class EventLog {
  readonly #client: EtcdClient;
  readonly #keys: Keys;
  readonly #node: string;
  readonly #waiting: LogEntry[] = [];
  #allowance = MAX_BURST;
  #refilled = performance.now();
  #number = 0;
  #writing: Promise<void> | undefined;

  constructor(client: EtcdClient, keys: Keys, node: string) {
    this.#client = client;
    this.#keys = keys;
    this.#node = node;
  }

  append(event: string, text: string): void {
    this.#waiting.push({ time: new Date().toISOString(), node: this.#node, event, text: shortened(text) });
    if (this.#waiting.length > MAX_WAITING) this.#waiting.shift();
    void this.flush();
  }

  /** Writes what waits, as far as the rate allows. Call it once a second. Resolves when it was tried. */
  flush(): Promise<void> {
    this.#writing ??= this.#write().finally(() => {
      this.#writing = undefined;
    });
    return this.#writing;
  }

  async #write(): Promise<void> {
    const now = performance.now();
    this.#allowance = Math.min(MAX_BURST, this.#allowance + (now - this.#refilled) / INTERVAL_MS);
    this.#refilled = now;
    try {
      while (this.#waiting.length > 0 && this.#allowance >= 1) {
        const entry = this.#waiting[0]!;
        // Entries of one director are in the order of their numbers.
        const key = `${this.#keys.log}${entry.time} ${String(this.#number).padStart(6, '0')} ${this.#node}`;
        await this.#client.put(key, JSON.stringify(entry), await this.#client.grantLease(KEEP_S));
        this.#number = (this.#number + 1) % 1_000_000;
        this.#allowance--;
        this.#waiting.shift();
      }
    } catch (error) {
      // The entries wait.
      if (!(error instanceof EtcdError)) throw error;
    }
  }
}
