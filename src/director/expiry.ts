/** When connections end: what the connection table asks of a timer wheel, or of a scan of rows that programs write, too. */
import type { Row } from '../model/connection.ts';

/** Times are ms of one clock. */
export interface Expiry {
  /** Bytes of its arrays. */
  readonly bytes: number;
  /** Returns what a row's timeout is that is written as `written`, ms, and how a timeout is written. */
  toMs(written: number): number;
  toWritten(ms: number): number;
  /** The row expires `timeout` ms after `now`. */
  restart(row: Row, now: number, timeout: number): void;
  /** Returns when the row expires; negative: at the next `advance`; 0: it is not armed. */
  expires(row: Row): number;
  /** Reports whether the row will expire: false while `onDue` is asked about it, unless it was restarted meanwhile. */
  armed(row: Row): boolean;
  /** The row is due at the next `advance`. */
  dueNow(row: Row): void;
  /** The row does not expire any more. */
  cancel(row: Row): void;
  /** Calls `onDue` for rows whose time has come. The callback may restart, cancel, remove and make due any row. */
  advance(now: number, onDue: (row: Row) => void): void;
}
