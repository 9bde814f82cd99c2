/** Stores the last events of the log, numbered, and notifies listeners of new ones. */

/** An event of the log. */
export interface LogEvent {
  /** 1 for the first since the start. */
  readonly id: number;
  /** ISO 8601. */
  readonly time: string;
  readonly level: 'info' | 'warning' | 'error';
  readonly event: string;
  readonly fields: Readonly<Record<string, string | number | boolean>>;
}

/** Maximum number of stored events. */
const MAX_EVENTS = 200;
/** Maximum length of a stored field, characters. */
const MAX_FIELD_CHARACTERS = 500;

/** The stored events. */
export class Events {
  readonly #stored: LogEvent[] = [];
  readonly #listeners = new Set<(event: LogEvent) => void>();
  #id = 0;

  /** Returns the stored events, newest last. */
  get latest(): readonly LogEvent[] {
    return this.#stored;
  }

  /** Stores an event. */
  add(
    time: Date,
    level: LogEvent['level'],
    event: string,
    fields: Readonly<Record<string, string | number | boolean | undefined>>,
  ): void {
    const stored: Record<string, string | number | boolean> = {};
    for (const [name, value] of Object.entries(fields))
      if (value !== undefined)
        stored[name] = typeof value === 'string' ? value.slice(0, MAX_FIELD_CHARACTERS) : value;
    const added = { id: ++this.#id, time: time.toISOString(), level, event, fields: stored };
    this.#stored.push(added);
    if (this.#stored.length > MAX_EVENTS) this.#stored.shift();
    for (const listener of this.#listeners) listener(added);
  }

  /** Returns the stored events with a greater number; all, if the number is from an earlier run of the director. */
  since(id: number): readonly LogEvent[] {
    if (id > this.#id) return [...this.#stored];
    return this.#stored.filter((each) => each.id > id);
  }

  /** Adds a listener. Returns a function that removes it. */
  listen(listener: (event: LogEvent) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }
}
