/** When this host was not executed: stopped, or without processor time. */

/** Part of a period for which what has arrived in a pause is received, before anything is concluded or sent. */
const RECEIVING = 1 / 4;
/** Periods after a pause in which at least two heartbeats are sent. */
const SENDING_PERIODS = 2;

export class Pauses {
  readonly #period: number;
  #tickedAt: number;
  #resumedAt = Number.NEGATIVE_INFINITY;

  /** `period`: ms between heartbeats. */
  constructor(period: number, now: number) {
    this.#period = period;
    this.#tickedAt = now;
  }

  /** Returns the length of the pause that ends now, ms; 0: there was none. */
  tick(now: number): number {
    const gap = now - this.#tickedAt;
    this.#tickedAt = now;
    if (gap <= this.#period) return 0;
    this.#resumedAt = now;
    return gap;
  }

  /** Reports whether the host is paused as far as is known: it receives, but heartbeats of others may still wait. */
  isReceiving(now: number): boolean {
    return now - this.#tickedAt > this.#period || now - this.#resumedAt < RECEIVING * this.#period;
  }

  /** Reports whether the others may not know yet that this host runs again. */
  isRecent(now: number): boolean {
    return now - this.#resumedAt < SENDING_PERIODS * this.#period;
  }
}
