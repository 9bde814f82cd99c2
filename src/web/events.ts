/** What happened lately: the last events, numbered, and those who want to hear of the next. */

export interface Happening {
  /** 1 for the first since the start. */
  readonly id: number;
  /** ISO 8601. */
  readonly time: string;
  readonly level: 'info' | 'warning' | 'error';
  readonly event: string;
  readonly fields: Readonly<Record<string, string | number | boolean>>;
}

/** Events that are kept. */
const KEPT = 200;
/** Characters of a field that are kept. */
const LONGEST = 500;

export class Events {
  readonly #kept: Happening[] = [];
  readonly #listeners = new Set<(happening: Happening) => void>();
  #id = 0;

  /** Newest last. */
  get latest(): readonly Happening[] {
    return this.#kept;
  }

  add(
    time: Date,
    level: Happening['level'],
    event: string,
    fields: Readonly<Record<string, string | number | boolean | undefined>>,
  ): void {
    const kept: Record<string, string | number | boolean> = {};
    for (const [name, value] of Object.entries(fields))
      if (value !== undefined) kept[name] = typeof value === 'string' ? value.slice(0, LONGEST) : value;
    const happening = { id: ++this.#id, time: time.toISOString(), level, event, fields: kept };
    this.#kept.push(happening);
    if (this.#kept.length > KEPT) this.#kept.shift();
    for (const listener of this.#listeners) listener(happening);
  }

  /** Those with a greater number that are still kept; all, where the number is of a director before this one. */
  since(id: number): readonly Happening[] {
    if (id > this.#id) return [...this.#kept];
    return this.#kept.filter((each) => each.id > id);
  }

  /** Returns what ends the listening. */
  listen(listener: (happening: Happening) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }
}
