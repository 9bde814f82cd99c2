/** Announces this server to directors by a key in etcd, which has a lease. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { EtcdClient } from '../../etcd/client.ts';
import type { EtcdError } from '../../etcd/etcd-error.ts';
import { LeasedKey } from '../../etcd/leased-key.ts';
import { serverRecord, serverRecordOf } from '../../join/server-record.ts';
import type { Say } from '../../model/level.ts';
import type { Announcer, OwnState } from './own-state.ts';

/** Seconds after which the key of a silent server vanishes, and ms between two requests that keep it. */
const LEASE_S = 5;
const PERIOD_MS = 1500;
/** ms after which the value is written again: someone may have removed the key. */
const REWRITE_MS = 30_000;
/** ms for which a server that drains waits for etcd, and then for the directors, which follow it. */
const DRAIN_MS = 1000;

export interface EtcdAgentOptions {
  readonly client: EtcdClient;
  /** The key of this server. */
  readonly key: string;
  readonly own: OwnState;
  readonly say: Say;
}

export class EtcdAgent implements Announcer {
  readonly #options: EtcdAgentOptions;
  readonly #key: LeasedKey;
  #shown: string | undefined;
  #isTaken = false;

  constructor(options: EtcdAgentOptions) {
    this.#options = options;
    const { client, key, own } = options;
    const value = () => serverRecord(own.announcement());
    this.#key = new LeasedKey({
      ...{ client, key, leaseSeconds: LEASE_S, period: PERIOD_MS, rewrite: REWRITE_MS },
      ...{ value, lastValue: value },
      isOwn: (stored) => this.#isOwn(stored),
      failed: (error) => this.#report(error),
      conflict: (isTaken) => {
        this.#isTaken = isTaken;
      },
    });
  }

  /** Does not wait for etcd. */
  async start(): Promise<void> {
    this.#key.start();
  }

  async drain(): Promise<void> {
    this.#options.own.end = 'draining';
    await Promise.race([this.#key.update(), sleep(DRAIN_MS)]);
    await sleep(DRAIN_MS);
  }

  async leave(): Promise<void> {
    this.#options.own.end = 'leaving';
    // The key remains until the end of its lease: that it is missing would be taken for a failure.
    await this.#key.leave(true);
  }

  [Symbol.dispose](): void {
    this.#key[Symbol.dispose]();
    this.#options.own[Symbol.dispose]();
    this.#options.client[Symbol.dispose]();
  }

  /** Reports whether a key that exists is that of an earlier run: it has one of the addresses of this server. */
  #isOwn(stored: Buffer): boolean {
    const other = serverRecordOf(stored);
    const own = new Set(
      this.#options.own.announcement().places.map(({ destination }) => destination.address),
    );
    return !other || other.places.some(({ destination }) => own.has(destination.address));
  }

  #report(error: EtcdError | undefined): void {
    const { key, say } = this.#options;
    const problem = error
      ? `not registered in etcd: ${error.message}`
      : this.#isTaken &&
        `not registered in etcd: another server has the key ${key}: expected another --join-name`;
    const text = problem || `registered in etcd as ${key}`;
    // Messages of different endpoints follow one another.
    const shown = error ? error.kind : text;
    if (shown === this.#shown) return;
    this.#shown = shown;
    say(`join: ${text}`, problem ? 'warning' : 'info');
  }
}
