/** The clock of rows: ticks of 32 bits. */

/** Bounds of the length of a tick, ms: of shorter ones 31 days would not fit, longer ones would be too coarse. */
export const MIN_TICK_MS = 4;
export const MAX_TICK_MS = 64;

/**
 * The longest timeout in ticks. Ends are compared modulo 2^32, so that a row may be late by as much again: 49 days with the
 * shortest tick. Longer timeouts are shortened to this.
 */
export const MAX_TIMEOUT_TICKS = 2 ** 30;

/** A clock that processes share: the tick is (count + offset) >> shift, where the count begins with the boot. */
export interface SharedClock {
  /** Length of a tick, ms. */
  readonly tickMs: number;
  readonly shift: number;
  /** 64 bits. */
  readonly offset: bigint;
}

/** Converts between ms of the director's clock and ticks. */
export class Ticks {
  /** Length of a tick, ms. */
  readonly length: number;
  readonly #origin: number;

  /**
   * `origin`: the tick at 0 ms of the director's clock, as programs count ticks; any whole number. Throws a RangeError unless
   * `length` is MIN_TICK_MS to MAX_TICK_MS.
   */
  constructor(length: number, origin = 0) {
    if (!(length >= MIN_TICK_MS && length <= MAX_TICK_MS))
      throw new RangeError(`tick of ${length} ms: expected ${MIN_TICK_MS} to ${MAX_TICK_MS} ms`);
    this.length = length;
    this.#origin = origin;
  }

  /** Returns the tick at `now`, ms; signed, modulo 2^32. */
  at(now: number): number {
    return (Math.floor(now / this.length) + this.#origin) | 0;
  }

  /** Returns a timeout of `ms` in ticks: rounded up, at least 1, at most MAX_TIMEOUT_TICKS. */
  timeout(ms: number): number {
    return Math.min(MAX_TIMEOUT_TICKS, Math.max(1, Math.ceil(ms / this.length)));
  }

  /** Returns a timeout in ms. */
  toMs(ticks: number): number {
    return ticks * this.length;
  }

  /** Returns when a row that a packet reached at tick `seen` is due, ms of the clock of `now`; `now` is less than 49 days off. */
  end(seen: number, timeout: number, now: number): number {
    const elapsed = (this.at(now) - seen) | 0;
    return (Math.floor(now / this.length) - elapsed + timeout) * this.length;
  }
}

/**
 * Returns how far jiffies are shifted to the right for a tick of MIN_TICK_MS at least. `rate`: jiffies in a second, 100 to
 * 1000 (CONFIG_HZ).
 */
export function shiftOfJiffies(rate: number): number {
  let shift = 0;
  while ((1000 / rate) * 2 ** shift < MIN_TICK_MS) shift++;
  return shift;
}
