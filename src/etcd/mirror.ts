/** Keeps a copy of all keys with a prefix: reads them, follows their changes, and reads again what cannot be followed. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Change, KeyValue } from './answers.ts';
import type { EtcdClient } from './client.ts';
import { EtcdError } from './etcd-error.ts';

/** ms between attempts to reach etcd. */
const RETRY_MS = { first: 100, last: 2000 } as const;
/** ms between two comparisons with etcd: a watch of a partitioned or restored member is silent. */
const COMPARE_MS = 5000;
/** ms for which a change may be on the path. */
const REPORT_MS = 1000;

export interface MirrorOptions {
  readonly client: EtcdClient;
  readonly prefix: string;
  /** Called after changes of the copy, with the keys. */
  readonly changed: (keys: readonly string[]) => void;
  /** Called when etcd cannot be followed, and with undefined when it can again. */
  readonly failed: (error: EtcdError | undefined) => void;
}

export class Mirror implements Disposable {
  readonly #options: MirrorOptions;
  readonly #values = new Map<string, KeyValue>();
  readonly #ending = new AbortController();
  #watching = new AbortController();
  /** Revision up to which changes are known; undefined: the keys must be read. */
  #revision: number | undefined;
  #isRead = false;
  #comparing: NodeJS.Timeout | undefined;

  constructor(options: MirrorOptions) {
    this.#options = options;
  }

  /** Keys and values. After the first read they remain when etcd is gone. */
  get values(): ReadonlyMap<string, KeyValue> {
    return this.#values;
  }

  /** Reports whether etcd has answered once. */
  get isRead(): boolean {
    return this.#isRead;
  }

  /** Reads the keys. Throws EtcdError. */
  async read(): Promise<void> {
    const { client, prefix, changed } = this.#options;
    const { revision, values } = await client.range(prefix, { isPrefix: true });
    const before = new Map(this.#values);
    this.#isRead = true;
    this.#values.clear();
    for (const value of values) this.#values.set(value.key, value);
    this.#revision = revision;
    const keys = new Set([...before.keys(), ...this.#values.keys()]);
    const different = [...keys].filter(
      (key) => before.get(key)?.modRevision !== this.#values.get(key)?.modRevision,
    );
    if (different.length > 0) changed(different);
  }

  /** Follows changes until this is disposed. */
  follow(): void {
    void this.#follow();
    this.#comparing = setInterval(() => void this.#compare(), COMPARE_MS).unref();
  }

  [Symbol.dispose](): void {
    clearInterval(this.#comparing);
    this.#ending.abort();
    this.#watching.abort();
  }

  async #follow(): Promise<void> {
    const { signal } = this.#ending;
    let wait: number = RETRY_MS.first;
    while (!signal.aborted) {
      try {
        if (this.#revision === undefined) await this.read();
        this.#watching = new AbortController();
        const watched = this.#watching.signal;
        for await (const answer of this.#options.client.watch(
          this.#options.prefix,
          this.#revision! + 1,
          watched,
        )) {
          this.#options.failed(undefined);
          wait = RETRY_MS.first;
          this.#take(answer.changes);
        }
      } catch (error) {
        if (!(error instanceof EtcdError)) throw error;
        if (signal.aborted) return;
        if (error.kind === 'compacted') {
          this.#revision = undefined;
          continue;
        }
        this.#options.failed(error);
        await sleep(wait, undefined, { signal }).catch(() => {});
        wait = Math.min(wait * 2, RETRY_MS.last);
      }
    }
  }

  #take(changes: readonly Change[]): void {
    for (const { key, value, revision } of changes) {
      if (value) this.#values.set(key, value);
      else this.#values.delete(key);
      // Not that of the answer: a watch that catches up receives later changes with the next one.
      this.#revision = Math.max(this.#revision ?? 0, revision);
    }
    if (changes.length > 0) this.#options.changed([...new Set(changes.map(({ key }) => key))]);
  }

  /** Reads the keys again if the watch is silent about changes that a majority has. */
  async #compare(): Promise<void> {
    const { client, prefix } = this.#options;
    const [known, revision] = [this.#values.size, this.#revision];
    if (revision === undefined) return;
    try {
      const {
        revision: now,
        values,
        count,
      } = await client.range(prefix, { isPrefix: true, isLastChange: true });
      this.#options.failed(undefined);
      // A store that was restored from a backup is at an earlier revision: its watch waits for a later one.
      const isBehind = (values[0]?.modRevision ?? 0) > revision || count !== known;
      if (!isBehind && now >= revision) return;
      await sleep(REPORT_MS, undefined, { signal: this.#ending.signal }).catch(() => {});
      // Meanwhile the watch may have reported changes.
      if (this.#revision !== revision || this.#ending.signal.aborted) return;
      client.leaveEndpoint();
      this.#revision = undefined;
      this.#watching.abort();
    } catch (error) {
      if (!(error instanceof EtcdError)) throw error;
      // Nothing is known that a majority has not: the copy stays.
      this.#options.failed(error);
    }
  }
}
