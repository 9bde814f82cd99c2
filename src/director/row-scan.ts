/**
 * Finds connections whose time has come by reading the rows, because programs of the kernel restart their timers in the
 * rows: `seen` and `timeout`, in ticks.
 */
import { NONE, type Row } from '../model/connection.ts';
import { NEAR } from '../table/layout.ts';
import type { Rows } from '../table/rows.ts';
import type { Ticks } from '../table/ticks.ts';
import type { Expiry } from './expiry.ts';

/** Time of a pass over all rows, ms, of tables that `MAX_ROWS_PER_MS` allows it for: a connection ends so much late. */
const PASS = 1000;
/** Rows that are read in a ms at most: some 5 % of a processor. */
const MAX_ROWS_PER_MS = 4096;
/** Rows that are read at once at most, some 10 ms, and rows of them that may end, some 20 ms. */
const MAX_ROWS_AT_ONCE = 1 << 20;
const MAX_ENDS_AT_ONCE = 1 << 15;

export class RowScan implements Expiry {
  readonly bytes = 0;
  readonly #rows: Rows;
  readonly #ticks: Ticks;
  /** Rows that are due whatever their time is, with their generations: a program may replace the connection of a row. */
  readonly #due = new Map<Row, number>();
  /** The row that the callback is asked about. */
  #asked: Row = NONE;
  /** Time of the last `advance`. */
  now = 0;
  /** Time of the last `advance`; -1: none. */
  #advanced = -1;
  /** The row that is read next, and how many are to be read by now. */
  #next: Row = 0;
  #owed = 0;
  readonly #rowsPerMs: number;

  constructor(rows: Rows, ticks: Ticks) {
    this.#rows = rows;
    this.#ticks = ticks;
    this.#rowsPerMs = Math.min(rows.capacity / PASS, MAX_ROWS_PER_MS);
  }

  toMs(written: number): number {
    return this.#ticks.toMs(written);
  }

  toWritten(ms: number): number {
    return this.#ticks.timeout(ms);
  }

  restart(row: Row, now: number): void {
    if (this.#due.size > 0) this.#due.delete(row);
    if (row === this.#asked) this.#asked = NONE;
    this.#rows.setSeen(row, this.#ticks.at(now));
  }

  expires(row: Row): number {
    if (this.#due.size > 0 && this.#due.has(row)) return -1;
    return this.#ticks.end(this.#rows.seen(row), this.#rows.timeout(row), this.now);
  }

  armed(row: Row): boolean {
    return row !== this.#asked;
  }

  dueNow(row: Row): void {
    this.#due.set(row, this.#rows.generation(row));
  }

  cancel(row: Row): void {
    this.#due.delete(row);
  }

  /** Reads the part of all rows that is due since the last call. */
  advance(now: number, onDue: (row: Row) => void): void {
    const elapsed = this.#advanced < 0 ? 0 : now - this.#advanced;
    this.#advanced = now;
    this.now = now;
    for (const [row, generation] of [...this.#due]) {
      this.#due.delete(row);
      if (this.#rows.has(row) && this.#rows.generation(row) === generation) this.#ask(row, onDue);
    }
    this.#owed = Math.min(this.#owed + elapsed * this.#rowsPerMs, this.#rows.capacity);
    let left = Math.min(Math.floor(this.#owed), MAX_ROWS_AT_ONCE);
    this.#owed -= left;
    const tick = this.#ticks.at(now);
    let ends = 0;
    while (left > 0 && ends < MAX_ENDS_AT_ONCE) {
      const to = Math.min(this.#next + left, this.#rows.capacity);
      const stopped = this.#rows.eachDue(this.#next, to, tick, (row) => {
        this.#ask(row, onDue);
        return ++ends < MAX_ENDS_AT_ONCE;
      });
      left -= stopped - this.#next;
      this.#next = stopped < this.#rows.capacity ? stopped : 0;
    }
    this.#owed += left;
  }

  /** Returns the tick of the last `advance`. */
  get tick(): number {
    return this.#ticks.at(this.now);
  }

  /** Asks about the rows near a home, whatever the pass has come to, so that a new connection finds a place. */
  advanceNear(home: number, onDue: (row: Row) => void): void {
    this.#rows.eachDue(home, home + NEAR, this.tick, (row) => {
      this.#ask(row, onDue);
      return true;
    });
  }

  #ask(row: Row, onDue: (row: Row) => void): void {
    this.#asked = row;
    onDue(row);
    this.#asked = NONE;
  }
}
