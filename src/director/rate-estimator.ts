/** Rates from counters: a meter a service, a destination and a director has, read at ticks. */
import { type Counters, newCounters, type Rates } from '../model/counters.ts';
import type { Traffic } from '../model/snapshot.ts';

/** Time between two readings, ms; what --stats and --rate show moves only then (Linux 6.1, ip_vs_est.c). */
export const TICK = 2000;

const FIELDS = 5;
/** Rates of connections and packets are kept in 2^-10, those of bytes in 2^-5, as the kernel keeps them. */
const SCALE = Float64Array.of(1024, 1024, 1024, 32, 32);
/** Added before a scaled rate is cut to an integer. */
const ROUNDING = Float64Array.of(0x1ff, 0x1ff, 0x1ff, 0xf, 0xf);

/** Counts traffic and tells it as it was at the last tick: totals since the last zeroing, and rates. */
export class Meter {
  /** What is counted into; never set back. */
  readonly counters: Counters = newCounters();
  /** Per second, cut to integers. */
  readonly rates: Rates = newCounters();
  readonly #read = newCounters();
  readonly #zero = newCounters();
  readonly #average = newCounters();

  /** Takes a reading: a rate moves by a quarter of the gap to what the last two seconds had. */
  tick(): void {
    for (let i = 0; i < FIELDS; i++) {
      const gained = this.counters[i]! - this.#read[i]!;
      const rate = (gained * SCALE[i]! * 1000) / TICK;
      this.#read[i] = this.counters[i]!;
      this.#average[i] = this.#average[i]! + Math.floor((rate - this.#average[i]!) / 4);
      this.rates[i] = Math.floor((this.#average[i]! + ROUNDING[i]!) / SCALE[i]!);
    }
  }

  /** Returns the totals start again from the last reading, rates from nothing. */
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
