/** Reads the meters of a director at intervals, in portions: there may be 100,000 of them, and packets wait meanwhile. */
import type { DirectorCore } from './core.ts';
import { ESTIMATOR_INTERVAL_MS } from './rate-estimator.ts';

/**
 * Minimum and maximum number of meters in a portion: about 1 ms at most. Between them, as many as a reading needs that lasts
 * READING_MS.
 */
const MIN_METERS = 512;
const MAX_METERS = 8192;
const READING_MS = 1000;
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
    if (this.#reading && now > this.#portionAt) {
      this.#readPortion(now);
      // A reading that lasted too long is not made up for.
      if (!this.#reading) this.#next = Math.max(this.#next, now);
    }
    while (now >= this.#next && !this.#reading) {
      this.#next += this.#interval;
      if (this.#core.settings.run_estimation === 0) continue;
      this.#reading = this.#meters();
      this.#portionAt = now;
      this.#readPortion(now);
    }
  }

  #readPortion(now: number): void {
    const share = (now - this.#portionAt) / READING_MS;
    this.#portionAt = now;
    const { length } = this.#core.destinations.all;
    for (let left = Math.min(Math.max(MIN_METERS, 2 * length * share), MAX_METERS); left > 0; left--)
      if (this.#reading?.next().done) {
        this.#reading = undefined;
        return;
      }
  }

  /** Reads all meters, one at each call. */
  *#meters(): Generator<void, void, undefined> {
    const { services, destinations, total, kernelPath } = this.#core;
    // The counters are current, including those of the kernel path and of removed destinations.
    for (let index = 1; kernelPath.isAttached && index < destinations.all.length; index++) {
      if (destinations.all[index] !== undefined) kernelPath.collect(index);
      yield;
    }
    total.tick();
    for (const service of services.all) {
      service.meter.tick();
      for (const destination of service.destinations) {
        destination.meter.tick();
        yield;
      }
    }
  }
}

/** Reads all meters as a former director has left them. `silent`: time for which no director has read them, ms. */
export function catchUp({ destinations, services, total }: DirectorCore, silent: number): void {
  const intervals = silent / ESTIMATOR_INTERVAL_MS;
  for (const destination of destinations.all) destination?.meter.catchUp(intervals);
  for (const { meter } of services.all) meter.catchUp(intervals);
  total.catchUp(intervals);
}
