/** What processors count for destinations while their programs forward packets. */
import type { TableMemory } from './memory.ts';
import { COUNTERS, COUNTERS_BYTES, METERED, METERS, METERS_BYTES } from './record-layout.ts';

const FIELDS = Object.values(COUNTERS);
const LONGS = COUNTERS_BYTES / 8;

/** Index of the connections that took the place of older ones; the numbers before it are those of model/counters.ts. */
export const REUSED = 5;
/** That of connections whose time was up when new ones took their rows. */
export const EXPIRED = 6;
/** That of connections of a client's template; of record 0 that of first packets that the valve dropped. */
export const TEMPLATED = 7;
export const SHED = 7;
/** That of record 0 that of first packets of denied clients. */
export const DENIED = 6;

/** Adds what programs gained for a destination. */
export type Gained = (destination: number, gained: Float64Array) => void;

/** One block for each processor, with a record for each destination. */
export class ProcessorCounters {
  readonly #longs: BigUint64Array<ArrayBuffer>;
  readonly #processors: number;
  /** Records of each block. */
  readonly #capacity: number;
  /** Sums over all processors at the last `collect`: of destinations with meters that outlive this process, and of the others. */
  readonly #collected: Float64Array<ArrayBuffer>;
  readonly #others: Float64Array<ArrayBuffer>;
  readonly #sums = new Float64Array(FIELDS.length);

  constructor(memory: TableMemory, processors: number, capacity: number) {
    this.#processors = processors;
    this.#capacity = capacity;
    const { buffer, offset } = memory.reserve('counters', processors * capacity * COUNTERS_BYTES);
    this.#longs = new BigUint64Array(buffer, offset, processors * capacity * LONGS);
    this.#collected = collectedIn(memory, Math.min(METERED, capacity));
    this.#others = new Float64Array(Math.max(0, capacity - METERED) * FIELDS.length);
  }

  /** Shows what was counted for the destination since the last call. */
  collect(destination: number, gained: Gained): void {
    if (destination >= this.#capacity) return;
    const sums = this.#sums;
    const isMetered = destination < METERED;
    const collected = isMetered ? this.#collected : this.#others;
    const first = (isMetered ? destination : destination - METERED) * FIELDS.length;
    let changed = false;
    for (let i = 0; i < FIELDS.length; i++) {
      sums[i] = this.#sum(destination, FIELDS[i]!) - collected[first + i]!;
      if (sums[i] !== 0) changed = true;
    }
    if (!changed) return;
    gained(destination, sums);
    // Afterwards: what a process that is killed in between has added counts twice at most, and never goes back.
    for (let i = 0; i < FIELDS.length; i++) collected[first + i]! += sums[i]!;
  }

  #sum(destination: number, field: number): number {
    let sum = 0;
    for (let processor = 0; processor < this.#processors; processor++)
      sum += Number(this.#longs[(processor * this.#capacity + destination) * LONGS + field / 8]);
    return sum;
  }
}

/** Returns what was collected, as the process before has left it if the memory outlives processes. */
function collectedIn(memory: TableMemory, records: number): Float64Array<ArrayBuffer> {
  if (!memory.has) return new Float64Array(records * FIELDS.length);
  const { buffer, offset } = memory.reserve('meters', METERS_BYTES);
  return new Float64Array(buffer, offset + METERS.collected, METERED * FIELDS.length);
}
