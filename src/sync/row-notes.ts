/** What synchronization notes about each row: the state and the time of its last message, and counts. */
import type { Row } from '../model/connection.ts';

/** The part of the table that tells connections with the same row number apart. */
export interface Generations {
  /** The bound of row numbers. */
  readonly places: number;
  generation(row: Row): number;
}

/* A note: generation (8 bits), valid (1), sent (1), state (4). */
const GENERATION_SHIFT = 8;
const VALID = 1 << 7;
const SENT = 1 << 4;
const STATE_MASK = 0xf;

/**
 * 8 bytes for each row, apart from the rows, because programs of the kernel need none of it. A row that is used again has
 * another generation, which makes its note void.
 */
export class RowNotes {
  readonly #rows: Generations;
  readonly #notes: Uint16Array<ArrayBuffer>;
  readonly #ends: Int32Array<ArrayBuffer>;
  /** A connection's packets that were examined, or the packets of a template's connections, modulo 2^16, by row. */
  readonly counts: Uint16Array<ArrayBuffer>;

  constructor(rows: Generations) {
    this.#rows = rows;
    this.#notes = new Uint16Array(rows.places);
    this.counts = new Uint16Array(rows.places);
    this.#ends = new Int32Array(rows.places);
  }

  /** Makes the row's note if it has none: nothing was sent, and time counts from `tick`. Reports whether it did. */
  begin(row: Row, tick: number): boolean {
    const generation = this.#rows.generation(row) << GENERATION_SHIFT;
    if ((this.#notes[row]! & ~(STATE_MASK | SENT)) === (generation | VALID)) return false;
    this.#notes[row] = generation | VALID;
    this.counts[row] = 0;
    this.#ends[row] = tick;
    return true;
  }

  /** Returns the state that was sent last. */
  state(row: Row): number {
    return this.#notes[row]! & STATE_MASK;
  }

  setState(row: Row, state: number): void {
    this.#notes[row] = (this.#notes[row]! & ~STATE_MASK) | SENT | state;
  }

  /** Reports whether the row was sent, or received, in this state. */
  isKnown(row: Row, state: number): boolean {
    return (this.#notes[row]! & (SENT | STATE_MASK)) === (SENT | state);
  }

  /** Returns the end of the timeout that was sent last, see SendRules. */
  end(row: Row): number {
    return this.#ends[row]!;
  }

  setEnd(row: Row, end: number): void {
    this.#ends[row] = end;
  }
}
