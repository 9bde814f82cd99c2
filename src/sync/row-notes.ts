/** What synchronization notes about each row: the state and the time of its last message, and counts. */
import type { Row } from '../model/connection.ts';

/** The part of the table that tells connections with the same row number apart. */
export interface Generations {
  /** The bound of row numbers. */
  readonly places: number;
  generation(row: Row): number;
}

/* The first word of a note: generation (8 bits), valid (1), state (4), packets (16). */
const GENERATION_SHIFT = 24;
const VALID = 1 << 23;
const STATE_SHIFT = 16;
const STATE_MASK = 0xf;
const PACKETS_MASK = 0xffff;

/**
 * 8 bytes for each row, apart from the rows, because programs of the kernel need none of it. A row that is used again has
 * another generation, which makes its note void.
 */
export class RowNotes {
  readonly #rows: Generations;
  readonly #words: Int32Array<ArrayBuffer>;
  readonly #ends: Int32Array<ArrayBuffer>;

  constructor(rows: Generations) {
    this.#rows = rows;
    this.#words = new Int32Array(rows.places);
    this.#ends = new Int32Array(rows.places);
  }

  /** Makes the row's note if it has none: nothing was sent, and time counts from `tick`. Reports whether it did. */
  begin(row: Row, tick: number): boolean {
    const generation = this.#rows.generation(row);
    const word = this.#words[row]!;
    if ((word & VALID) !== 0 && word >>> GENERATION_SHIFT === generation) return false;
    this.#words[row] = (generation << GENERATION_SHIFT) | VALID;
    this.#ends[row] = tick;
    return true;
  }

  /** Returns the state that was sent last. */
  state(row: Row): number {
    return (this.#words[row]! >>> STATE_SHIFT) & STATE_MASK;
  }

  setState(row: Row, state: number): void {
    this.#words[row] = (this.#words[row]! & ~(STATE_MASK << STATE_SHIFT)) | (state << STATE_SHIFT);
  }

  /** Returns the end of the timeout that was sent last, see SendRules. */
  end(row: Row): number {
    return this.#ends[row]!;
  }

  setEnd(row: Row, end: number): void {
    this.#ends[row] = end;
  }

  /** Returns a connection's packets that were examined, or the packets of a template's connections, modulo 2^16. */
  packets(row: Row): number {
    return this.#words[row]! & PACKETS_MASK;
  }

  setPackets(row: Row, packets: number): void {
    this.#words[row] = (this.#words[row]! & ~PACKETS_MASK) | (packets & PACKETS_MASK);
  }
}
