/**
 * Estimates rates from counters: a service, a destination and the director have a meter each, read at ticks.
 */
import type { Counters } from '../model/counters.ts';
import type { Traffic } from '../model/snapshot.ts';
import { METER_NUMBERS } from '../table/record-layout.ts';

/** Interval of the readings, ms, at which --stats and --rate change (Linux 6.1, ip_vs_est.c). */
export const ESTIMATOR_INTERVAL_MS = 2000;

const FIELDS = 5;
/** Units of the rates: 2^-10 for connections and packets, 2^-5 for bytes, as in the kernel. */
const SCALE = Float64Array.of(1024, 1024, 1024, 32, 32);
/** Added before a scaled rate is truncated to an integer. */
const ROUNDING = Float64Array.of(0x1ff, 0x1ff, 0x1ff, 0xf, 0xf);

/** Places of a meter's values: counters, the counters at the last reading and at the last reset, averages. */
const READ = FIELDS;
const ZERO = 2 * FIELDS;
const AVERAGE = 3 * FIELDS;
/** Meters that share an array: the garbage collector has one object for them, and readings have their values in order. */
const METERS_PER_ARRAY = 256;

/** The array that the next meter has its values in, and their place in it. */
let values = new Float64Array(0);
let free = 0;

/** Counts traffic, and returns it as of the last tick: totals since the last reset, and rates. */
export class Meter {
  /** The counters; never reset. */
  readonly counters: Counters;
  readonly #values: Float64Array<ArrayBuffer>;
  readonly #at: number;

  /** `place`: where its values are, as a former process may have left them; default: anywhere. */
  constructor(place?: { readonly values: Float64Array<ArrayBuffer>; readonly at: number }) {
    if (place) {
      this.#values = place.values;
      this.#at = place.at;
      this.counters = place.values.subarray(place.at, place.at + FIELDS);
      return;
    }
    if (free === values.length) {
      values = new Float64Array(METERS_PER_ARRAY * METER_NUMBERS);
      free = 0;
    }
    this.#values = values;
    this.#at = free;
    this.counters = values.subarray(free, free + FIELDS);
    free += METER_NUMBERS;
  }

  /** Reads the counters: a rate moves by a quarter of the difference to the last two seconds. */
  tick(): void {
    const its = this.#values;
    const end = this.#at + FIELDS;
    for (let at = this.#at, i = 0; at < end; at++, i++) {
      const gained = its[at]! - its[at + READ]!;
      const rate = (gained * SCALE[i]! * 1000) / ESTIMATOR_INTERVAL_MS;
      its[at + READ] = its[at]!;
      its[at + AVERAGE] = its[at + AVERAGE]! + Math.floor((rate - its[at + AVERAGE]!) / 4);
    }
  }

  /** Reads the counters after several intervals without a reading: traffic counts as if it had been even. */
  catchUp(intervals: number): void {
    const its = this.#values;
    const past = Math.max(1, intervals);
    const weight = 1 - 0.75 ** past;
    for (let at = this.#at, i = 0; i < FIELDS; at++, i++) {
      const gained = (its[at]! - its[at + READ]!) / past;
      const rate = (gained * SCALE[i]! * 1000) / ESTIMATOR_INTERVAL_MS;
      its[at + READ] = its[at]!;
      its[at + AVERAGE] = its[at + AVERAGE]! + Math.floor((rate - its[at + AVERAGE]!) * weight);
    }
  }

  /** Begins at 0. */
  clear(): void {
    this.#values.fill(0, this.#at, this.#at + METER_NUMBERS);
  }

  /** Resets the totals to the last reading, and the rates to 0. */
  zero(): void {
    const at = this.#at;
    this.#values.copyWithin(at + ZERO, at + READ, at + READ + FIELDS);
    this.#values.fill(0, at + AVERAGE, at + AVERAGE + FIELDS);
  }

  traffic(): Traffic {
    const at = this.#at;
    return trafficOf((i) => this.#values[at + READ + i]! - this.#values[at + ZERO + i]!);
  }

  rate(): Traffic {
    return trafficOf((i) => Math.floor((this.#values[this.#at + AVERAGE + i]! + ROUNDING[i]!) / SCALE[i]!));
  }
}

const trafficOf = (value: (field: number) => number): Traffic => ({
  connections: value(0),
  inPackets: value(1),
  outPackets: value(2),
  inOctets: value(3),
  outOctets: value(4),
});
