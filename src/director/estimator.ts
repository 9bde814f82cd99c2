/** Reads the meters of a director at intervals, in portions: there may be 100,000 of them, and packets wait meanwhile. */
import type { DirectorCore } from './core.ts';

/** Interval of the readings, ms, at which --stats and --rate change (Linux 6.1, ip_vs_est.c). */
const ESTIMATOR_INTERVAL_MS = 2000;
/** Meters in a portion, which takes about 1 ms, and the time between two portions, ms. */
const METERS_PER_PORTION = 4096;
const PORTION_INTERVAL_MS = 5;
/**
 * Maximum number of missed readings to catch up after a jump of the clock, as in a file of packets: then all
 * rates are 0.
 */
const MAX_MISSED = 128;

/** Times are ms of one clock. */
export class Estimator {
  readonly #core: DirectorCore;
  readonly #interval: number;
  #next = -1;
  /** The reading that runs, and the time of its last portion. */
  #reading: Iterator<void> | undefined;
  #portionAt = 0;

  /** `interval`: the time between two readings; rates are per second of a period of 2000 ms. */
  constructor(core: DirectorCore, interval = ESTIMATOR_INTERVAL_MS) {
    this.#core = core;
    this.#interval = interval;
  }

  /** Returns the time of the next reading, ms; -1: no time is known yet. */
  get next(): number {
    return this.#next;
  }

  /** Reads what is due. The first reading is an interval after the first call. */
  advance(now: number): void {
    if (this.#next < 0) this.#next = now + this.#interval;
    this.#next = Math.max(this.#next, now - MAX_MISSED * this.#interval);
    if (this.#reading && now - this.#portionAt >= PORTION_INTERVAL_MS) this.#readPortion(now);
    while (now >= this.#next) {
      this.#next += this.#interval;
      while (this.#reading) this.#readPortion(now);
      if (this.#core.settings.run_estimation === 0) continue;
      this.#reading = this.#portions();
      this.#readPortion(now);
    }
  }

  #readPortion(now: number): void {
    this.#portionAt = now;
    if (this.#reading?.next().done) this.#reading = undefined;
  }

  /** Reads all meters, with a stop after each portion. */
  *#portions(): Generator<void, void, undefined> {
    const { services, destinations, total, kernelPath } = this.#core;
    let read = 0;
    // The counters are current, including those of the kernel path and of removed destinations.
    for (let index = 1; kernelPath.isAttached && index < destinations.all.length; index++) {
      if (destinations.all[index] !== undefined) kernelPath.collect(index);
      if (++read % METERS_PER_PORTION === 0) yield;
    }
    total.tick();
    for (const service of services.all) {
      service.meter.tick();
      for (const destination of service.destinations) {
        destination.meter.tick();
        if (++read % METERS_PER_PORTION === 0) yield;
      }
    }
  }
}
