/** Keeps the key of a running director alive by a lease, so that the others notice its end. */
import type { EtcdClient } from '../etcd/client.ts';
import { EtcdError } from '../etcd/etcd-error.ts';
import type { ClusterMember } from '../model/cluster.ts';
import { memberOf } from './records.ts';

/** Seconds after which the key of a silent director vanishes. */
const LEASE_S = 3;
const BEAT_MS = 1000;
/** ms for which a director that ends waits for etcd. */
const LEAVE_MS = 1000;

export interface MembershipOptions {
  readonly client: EtcdClient;
  readonly key: string;
  /** Returns the value of the key. */
  readonly member: () => ClusterMember;
  /** Called with an error of etcd, and with undefined after a success. */
  readonly failed: (error: EtcdError | undefined) => void;
  /** Called with whether another process has the name. */
  readonly conflict: (isTaken: boolean) => void;
}

export class Membership {
  readonly #options: MembershipOptions;
  #lease: string | undefined;
  #isHeld = false;
  #written = '';
  #beating: Promise<void> | undefined;
  #isDue = false;
  #timer: NodeJS.Timeout | undefined;
  #isLeaving = false;

  constructor(options: MembershipOptions) {
    this.#options = options;
  }

  /** The lease for other keys of this director; undefined: it has none now. */
  get lease(): string | undefined {
    return this.#isHeld ? this.#lease : undefined;
  }

  start(): void {
    clearInterval(this.#timer);
    this.#isLeaving = false;
    this.#timer = setInterval(() => void this.update(), BEAT_MS);
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

  /** Removes the key at once, so that the others need not wait for the end of the lease. */
  async leave(): Promise<void> {
    clearInterval(this.#timer);
    this.#isLeaving = true;
    await Promise.race([this.#revoke(), new Promise((resolve) => setTimeout(resolve, LEAVE_MS).unref())]);
  }

  async #revoke(): Promise<void> {
    await this.#beating;
    const { client, key, member } = this.#options;
    if (!this.#isHeld || this.#lease === undefined) return;
    try {
      const lease = this.#lease;
      await client.put(key, JSON.stringify({ ...member(), state: 'left' }), lease);
      await client.revokeLease(lease);
      this.#forgetLease();
    } catch (error) {
      if (!(error instanceof EtcdError)) throw error;
    }
  }

  async #beat(): Promise<void> {
    const { client, failed } = this.#options;
    try {
      while (this.#isDue && !this.#isLeaving) {
        this.#isDue = false;
        if (this.#lease !== undefined && (await client.keepAlive(this.#lease)) === 0) this.#forgetLease();
        this.#lease ??= await client.grantLease(LEASE_S);
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
    const { client, key, member, conflict } = this.#options;
    const value = JSON.stringify(member());
    if (value === this.#written) return;
    const put = [{ put: key, value, lease }];
    if (this.#isHeld) await client.txn([], put);
    else {
      const { succeeded, ranges } = await client.txn([{ key, modRevision: 0 }], put, [{ range: key }]);
      const other = ranges[0]?.values[0];
      const isOwn = other === undefined || memberOf(other.value)?.instance === member().instance;
      if (!succeeded && !isOwn) {
        conflict(true);
        return;
      }
      // A key of this process, with a lease that has been lost.
      if (!succeeded) await client.txn([], put);
      this.#isHeld = true;
      conflict(false);
    }
    this.#written = value;
  }
}
