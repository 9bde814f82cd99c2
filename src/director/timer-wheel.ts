/** Timer wheel over connection rows: a packet only writes a row's expiry, the wheel finds out when it comes to it. */
import type { Row } from '../model/connection.ts';
import type { Expiry } from './expiry.ts';

/** ms a slot. A row fires at the first multiple of this that is not before its expiry. */
export const TICK = 64;
/** Slots: 1048 s go round once, so that no timeout of TCP, UDP or SCTP is looked at twice. */
const SLOTS = 16_384;

/** Nodes of the lists: 0 is in no list, then the slots' heads, two heads of other lists, then the rows. */
const UNLINKED = 0;
const FIRST_SLOT = 1;
const DUE = FIRST_SLOT + SLOTS;
const FIRING = DUE + 1;
const FIRST_ROW = FIRING + 1;

/** Expiry of a row that is due whatever the time is, and of one that is in no list. */
const AT_ONCE = -1;
const NEVER = 0;

/**
 * A hashed timer wheel with lists through the rows. A row may sit in an earlier slot than its expiry asks for, because
 * it was restarted meanwhile or because its expiry is more than one turn away; never in a later one.
 */
export class TimerWheel implements Expiry {
  /** When each row expires, ms of the clock of `restart` and `advance`; negative: at once; 0: not at all. */
  readonly #expires: Float64Array<ArrayBuffer>;
  readonly #next: Uint32Array<ArrayBuffer>;
  readonly #previous: Uint32Array<ArrayBuffer>;
  /** The last tick whose slot was emptied. */
  #tick = 0;
  /** Rows in slots, or taken out of one and not yet looked at. */
  #waiting = 0;

  constructor(rows: number) {
    this.#expires = new Float64Array(rows);
    this.#next = new Uint32Array(FIRST_ROW + rows);
    this.#previous = new Uint32Array(FIRST_ROW + rows);
    for (let head = FIRST_SLOT; head < FIRST_ROW; head++) this.#next[head] = this.#previous[head] = head;
  }

  /** Returns the bytes of the wheel's arrays. */
  get bytes(): number {
    return this.#expires.byteLength + this.#next.byteLength + this.#previous.byteLength;
  }

  /** Timeouts are written as they are. */
  toMs(written: number): number {
    return written;
  }

  toWritten(ms: number): number {
    return ms;
  }

  expires(row: Row): number {
    return this.#expires[row]!;
  }

  armed(row: Row): boolean {
    return this.#next[FIRST_ROW + row] !== UNLINKED;
  }

  /** The row expires `timeout` ms after `now`. */
  restart(row: Row, now: number, timeout: number): void {
    const expires = this.#expires;
    const before = expires[row]!;
    const after = now + timeout;
    // In a slot, and where it is now is early enough: the most frequent case, which reads nothing else.
    if (after >= before && before > NEVER) {
      expires[row] = after;
      return;
    }
    this.cancel(row);
    expires[row] = after;
    if (this.#waiting === 0) this.#tick = Math.max(this.#tick, Math.floor(now / TICK));
    this.#place(row);
  }

  /** The row is due at the next `advance`, whatever the time then. */
  dueNow(row: Row): void {
    this.cancel(row);
    this.#expires[row] = AT_ONCE;
    this.#link(FIRST_ROW + row, DUE);
  }

  /** Stops the expiry of the row. */
  cancel(row: Row): void {
    if (!this.armed(row)) return;
    this.#unlink(FIRST_ROW + row);
    if (this.#expires[row] !== AT_ONCE) this.#waiting--;
    this.#expires[row] = NEVER;
  }

  /**
   * Calls `onDue` for every row whose time has come, in the order of their ticks; such a row is no longer armed.
   * The callback may restart, cancel and make due any row; what it makes due waits for the next call.
   */
  advance(now: number, onDue: (row: Row) => void): void {
    const until = Math.floor(now / TICK);
    this.#fire(DUE, now, onDue);
    while (this.#tick < until) {
      if (this.#waiting === 0) this.#tick = until;
      else {
        this.#tick++;
        this.#fire(FIRST_SLOT + (this.#tick & (SLOTS - 1)), this.#tick * TICK, onDue);
      }
    }
  }

  /** Empties one list: rows that expire until `time` are due, others go where they belong by now. */
  #fire(head: number, time: number, onDue: (row: Row) => void): void {
    const next = this.#next;
    const previous = this.#previous;
    if (next[head] === head) return;
    // Rows that the callback puts into this very list are for the next time.
    const first = next[head]!;
    const last = previous[head]!;
    next[FIRING] = first;
    previous[first] = FIRING;
    previous[FIRING] = last;
    next[last] = FIRING;
    next[head] = previous[head] = head;
    for (let node = first; node !== FIRING; node = next[FIRING]!) {
      const row = node - FIRST_ROW;
      const expires = this.#expires[row]!;
      this.cancel(row);
      if (expires <= time) onDue(row);
      else {
        this.#expires[row] = expires;
        this.#place(row);
      }
    }
  }

  /** Puts an unlinked row where it will be looked at in time: at its tick, or as far ahead as the wheel reaches. */
  #place(row: Row): void {
    const earliest = this.#tick + 1;
    const tick = Math.ceil(this.#expires[row]! / TICK);
    const at = Math.min(Math.max(tick, earliest), this.#tick + SLOTS);
    this.#link(FIRST_ROW + row, FIRST_SLOT + (at & (SLOTS - 1)));
    this.#waiting++;
  }

  #link(node: number, head: number): void {
    const last = this.#previous[head]!;
    this.#next[last] = node;
    this.#previous[node] = last;
    this.#next[node] = head;
    this.#previous[head] = node;
  }

  #unlink(node: number): void {
    const next = this.#next[node]!;
    const previous = this.#previous[node]!;
    this.#next[previous] = next;
    this.#previous[next] = previous;
    this.#next[node] = UNLINKED;
  }
}
