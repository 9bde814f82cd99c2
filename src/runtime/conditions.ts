/** Keeps the conditions under which the director serves clients worse than it should: logged, shown, counted. */
import type { Condition, ConditionName } from '../model/surroundings.ts';
import type { Fields, Log } from './log.ts';

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
   * Sets all conditions of a name: those that are new are logged as warnings, those that no longer hold as ended.
   * `now`: the text of each by a key that identifies it, and the fields of its log line.
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
