/** Keeps the key of a running process alive by a lease, so that others notice its end. */
import type { EtcdClient } from './client.ts';
import { EtcdError } from './etcd-error.ts';

/** ms for which a process that ends waits for etcd. */
const LEAVE_MS = 1000;

export interface LeasedKeyOptions {
  readonly client: EtcdClient;
  readonly key: string;
  /** Seconds after which the key of a silent process vanishes. */
  readonly leaseSeconds: number;
  /** ms between two requests that keep the lease alive. */
  readonly period: number;
  /** ms after which a value is written again although it is the same; undefined: never. */
  readonly rewrite?: number;
  /** Returns the value of the key, and the last one. */
  readonly value: () => string;
  readonly lastValue: () => string;
  /** Reports whether this process may replace the value of a key that it has not written. */
  readonly isOwn: (value: Buffer) => boolean;
  /** Called with an error of etcd, and with undefined after a success. */
  readonly failed: (error: EtcdError | undefined) => void;
  /** Called with whether another process has the key. */
  readonly conflict: (isTaken: boolean) => void;
}

export class LeasedKey implements Disposable {
  readonly #options: LeasedKeyOptions;
  #lease: string | undefined;
  #isHeld = false;
  #written = '';
  /** When it was written; ms. */
  #writtenAt = 0;
  #beating: Promise<void> | undefined;
  #isDue = false;
  #timer: NodeJS.Timeout | undefined;
  #isLeaving = false;

  constructor(options: LeasedKeyOptions) {
    this.#options = options;
  }

  /** The lease for other keys of this process; undefined: it has none now. */
  get lease(): string | undefined {
    return this.#isHeld ? this.#lease : undefined;
  }

  start(): void {
    clearInterval(this.#timer);
    this.#isLeaving = false;
    this.#timer = setInterval(() => void this.update(), this.#options.period);
    void this.update();
  }

  /** Writes the key if its value has changed, and keeps the lease alive. */
  update(): Promise<void> {
    this.#isDue = true;
    this.#beating ??= this.#beat().finally(() => {
      this.#beating = undefined;
    });
    return this.#beating;
  }

  /** The key was removed: it is written again, with a new lease. */
  lost(): void {
    this.#isHeld = false;
    this.#written = '';
    void this.update();
  }

  /** Does no more for the key, which vanishes with its lease. */
  [Symbol.dispose](): void {
    clearInterval(this.#timer);
    this.#isLeaving = true;
  }

  /**
   * Writes the last value, and removes the key at once. `remains`: until the end of the lease, so that also those who
   * follow the key with a delay see the last value.
   */
  async leave(remains = false): Promise<void> {
    clearInterval(this.#timer);
    this.#isLeaving = true;
    const limit = new Promise((resolve) => setTimeout(resolve, LEAVE_MS).unref());
    await Promise.race([this.#leave(remains), limit]);
  }

  async #leave(remains: boolean): Promise<void> {
    await this.#beating;
    const { client, key, lastValue } = this.#options;
    if (!this.#isHeld || this.#lease === undefined) return;
    try {
      const lease = this.#lease;
      await client.put(key, lastValue(), lease);
      if (!remains) await client.revokeLease(lease);
      this.#forgetLease();
    } catch (error) {
      if (!(error instanceof EtcdError)) throw error;
    }
  }

  async #beat(): Promise<void> {
    const { client, failed, leaseSeconds } = this.#options;
    try {
      while (this.#isDue && !this.#isLeaving) {
        this.#isDue = false;
        if (this.#lease !== undefined && (await client.keepAlive(this.#lease)) === 0) this.#forgetLease();
        this.#lease ??= await client.grantLease(leaseSeconds);
        await this.#write(this.#lease);
        failed(undefined);
      }
    } catch (error) {
      if (!(error instanceof EtcdError)) throw error;
      // etcd may have lost the lease.
      if (error.kind === 'refused') this.#forgetLease();
      failed(error);
    }
  }

  #forgetLease(): void {
    this.#lease = undefined;
    this.#isHeld = false;
    this.#written = '';
  }

  async #write(lease: string): Promise<void> {
    const { client, key, value: valueNow, isOwn, conflict, rewrite } = this.#options;
    const value = valueNow();
    const isDue = rewrite !== undefined && performance.now() - this.#writtenAt >= rewrite;
    if (value === this.#written && !isDue) return;
    const put = [{ put: key, value, lease }];
    if (this.#isHeld) await client.txn([], put);
    else {
      const { succeeded, ranges } = await client.txn([{ key, modRevision: 0 }], put, [{ range: key }]);
      const other = ranges[0]?.values[0];
      if (!succeeded && other !== undefined && !isOwn(other.value)) {
        conflict(true);
        return;
      }
      // Its lease may be another one.
      if (!succeeded) await client.txn([], put);
      this.#isHeld = true;
      conflict(false);
    }
    this.#written = value;
    this.#writtenAt = performance.now();
  }
}
