/** Reports values in etcd that are no records of a cluster, each once, and counts them. */
import type { KeyValue } from '../../etcd/answers.ts';
import type { Log } from '../log.ts';

/** Keys whose values are remembered as reported. */
const MAX_REPORTED = 10_000;

export class InvalidRecords {
  readonly #values: ReadonlyMap<string, KeyValue>;
  readonly #log: Log;
  /** Revisions of the values that were reported, the last ones. */
  readonly #reported = new Map<string, number | undefined>();
  #count = 0;

  /** `values`: all keys. */
  constructor(values: ReadonlyMap<string, KeyValue>, log: Log) {
    this.#values = values;
    this.#log = log;
  }

  get count(): number {
    return this.#count;
  }

  report(key: string): void {
    const revision = this.#values.get(key)?.modRevision;
    if (this.#reported.has(key) && this.#reported.get(key) === revision) return;
    this.#reported.delete(key);
    this.#reported.set(key, revision);
    this.#count++;
    if (this.#reported.size > MAX_REPORTED) this.#reported.delete(this.#reported.keys().next().value!);
    this.#log('warning', 'cluster-record-ignored', { key, reason: 'not a value that a director writes' });
  }
}
