/** Tracks conditions that impair the service to clients: they are logged, and reported by the web interface. */
import type { Condition, ConditionName } from '../model/surroundings.ts';
import type { Fields, Log } from './log.ts';

/** The conditions that hold now; each has a name, and a key that identifies its subject. */
export class Conditions {
  readonly #log: Log;
  readonly #active = new Map<string, Condition>();

  constructor(log: Log) {
    this.#log = log;
  }

  /** The conditions that hold now. */
  get all(): readonly Condition[] {
    return [...this.#active.values()];
  }

  /**
   * Sets all conditions of a name. New ones are logged as warnings, and those that no longer hold as ended.
   * `now`: by key, the text of a condition and the fields of its log line.
   */
  set(
    name: ConditionName,
    now: ReadonlyMap<string, { readonly text: string; readonly fields: Fields }>,
  ): void {
    for (const [key, { text, fields }] of now) {
      const id = `${name} ${key}`;
      if (!this.#active.has(id)) this.#log('warning', name, fields);
      this.#active.set(id, { name, text });
    }
    for (const id of this.#active.keys()) {
      const [active, key] = [id.slice(0, id.indexOf(' ')), id.slice(id.indexOf(' ') + 1)];
      if (active !== name || now.has(key)) continue;
      this.#active.delete(id);
      this.#log('info', `${name}-ended`, { subject: key });
    }
  }
}
