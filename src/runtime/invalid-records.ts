/** Reports values in etcd that are no records of a cluster, each once, and counts them. */
import type { KeyValue } from '../etcd/answers.ts';
import type { Log } from './log.ts';

export class InvalidRecords {
  readonly #values: ReadonlyMap<string, KeyValue>;
  readonly #log: Log;
  readonly #reported = new Set<string>();

  /** `values`: all keys. */
  constructor(values: ReadonlyMap<string, KeyValue>, log: Log) {
    this.#values = values;
    this.#log = log;
  }

  get count(): number {
    return this.#reported.size;
  }

  report(key: string): void {
    const id = `${key} ${this.#values.get(key)?.modRevision}`;
    if (this.#reported.has(id)) return;
    this.#reported.add(id);
    this.#log('warning', 'cluster-record-ignored', { key, reason: 'not a value that a director writes' });
  }
}
