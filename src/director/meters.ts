/** Gives records their meters: in memory that outlives the process, where there is one, or in memory of this process. */
import type { TableMemory } from '../table/memory.ts';
import { METER_NUMBERS, METERED, METERS, METERS_BYTES } from '../table/record-layout.ts';
import { Meter } from './rate-estimator.ts';

export class Meters {
  /** Traffic of all services. */
  readonly total: Meter;
  readonly #values: Float64Array<ArrayBuffer> | undefined;

  constructor(memory: TableMemory) {
    // Where no process leaves arrays to another, meters are made as they are needed.
    if (memory.has) {
      const { buffer, offset } = memory.reserve('meters', METERS_BYTES);
      this.#values = new Float64Array(buffer, offset, METERS_BYTES / 8);
    }
    this.total = this.#at(METERS.destinations, 0) ?? new Meter();
  }

  /** Reports whether the next process finds what the meter of the record counts. */
  outlive(index: number): boolean {
    return this.#values !== undefined && index < METERED;
  }

  /** Returns the meter of a destination. `isNew`: the record had another destination before. */
  ofDestination(index: number, isNew: boolean): Meter {
    return this.#of(METERS.destinations, index, isNew);
  }

  ofService(index: number, isNew: boolean): Meter {
    return this.#of(METERS.services, index, isNew);
  }

  #of(first: number, index: number, isNew: boolean): Meter {
    const meter = this.#at(first, index);
    if (isNew) meter?.clear();
    return meter ?? new Meter();
  }

  #at(first: number, index: number): Meter | undefined {
    if (!this.#values || index >= METERED) return undefined;
    return new Meter({ values: this.#values, at: first / 8 + index * METER_NUMBERS });
  }
}
