/**
 * Estimates rates from counters: a service, a destination and the director have a meter each, read at ticks.
 */
import { type Counters, newCounters, type Rates } from '../model/counters.ts';
import type { Traffic } from '../model/snapshot.ts';

/** Interval of the readings, ms, at which --stats and --rate change (Linux 6.1, ip_vs_est.c). */
const ESTIMATOR_INTERVAL_MS = 2000;

const FIELDS = 5;
/** Units of the rates: 2^-10 for connections and packets, 2^-5 for bytes, as in the kernel. */
const SCALE = Float64Array.of(1024, 1024, 1024, 32, 32);
/** Added before a scaled rate is truncated to an integer. */
const ROUNDING = Float64Array.of(0x1ff, 0x1ff, 0x1ff, 0xf, 0xf);

/** Counts traffic, and returns it as of the last tick: totals since the last reset, and rates. */
export class Meter {
  /** The counters; never reset. */
  readonly counters: Counters = newCounters();
  /** Per second, truncated to integers. */
  readonly rates: Rates = newCounters();
  readonly #read = newCounters();
  readonly #zero = newCounters();
  readonly #average = newCounters();

  /** Reads the counters: a rate moves by a quarter of the difference to the last two seconds. */
  tick(): void {
    for (let i = 0; i < FIELDS; i++) {
      const gained = this.counters[i]! - this.#read[i]!;
      const rate = (gained * SCALE[i]! * 1000) / ESTIMATOR_INTERVAL_MS;
      this.#read[i] = this.counters[i]!;
      this.#average[i] = this.#average[i]! + Math.floor((rate - this.#average[i]!) / 4);
      this.rates[i] = Math.floor((this.#average[i]! + ROUNDING[i]!) / SCALE[i]!);
    }
  }

  /** Resets the totals to the last reading, and the rates to 0. */
  zero(): void {
    this.#zero.set(this.#read);
    this.#average.fill(0);
    this.rates.fill(0);
  }

  traffic(): Traffic {
    return trafficOf((i) => this.#read[i]! - this.#zero[i]!);
  }

  rate(): Traffic {
    return trafficOf((i) => this.rates[i]!);
  }
}

const trafficOf = (value: (field: number) => number): Traffic => ({
  connections: value(0),
  inPackets: value(1),
  outPackets: value(2),
  inOctets: value(3),
  outOctets: value(4),
});
