/** What processors count for destinations while their programs forward packets. */
import type { TableMemory } from './memory.ts';
import { COUNTERS, COUNTERS_BYTES } from './record-layout.ts';

const FIELDS = Object.values(COUNTERS);
const LONGS = COUNTERS_BYTES / 8;

/** Index of the connections that took the place of older ones; the numbers before it are those of model/counters.ts. */
export const REUSED = 5;
/** Those of connections whose time was up when new ones took their rows, and of first packets that the valve dropped. */
export const EXPIRED = 6;
export const SHED = 7;

/** Adds what programs gained for a destination. */
export type Gained = (destination: number, gained: Float64Array) => void;

/** One block for each processor, with a record for each destination. */
export class ProcessorCounters {
  readonly #longs: BigUint64Array<ArrayBuffer>;
  readonly #processors: number;
  /** Records of each block. */
  readonly #capacity: number;
  /** Sums over all processors at the last `collect`. */
  readonly #collected: Float64Array<ArrayBuffer>;
  readonly #sums = new Float64Array(FIELDS.length);

  constructor(memory: TableMemory, processors: number, capacity: number) {
    this.#processors = processors;
    this.#capacity = capacity;
    const { buffer, offset } = memory.reserve('counters', processors * capacity * COUNTERS_BYTES);
    this.#longs = new BigUint64Array(buffer, offset, processors * capacity * LONGS);
    this.#collected = new Float64Array(capacity * FIELDS.length);
  }

  /** Shows what was counted for the destination since the last call. */
  collect(destination: number, gained: Gained): void {
    if (destination >= this.#capacity) return;
    const sums = this.#sums;
    let changed = false;
    for (let i = 0; i < FIELDS.length; i++) {
      const sum = this.#sum(destination, FIELDS[i]!);
      const at = destination * FIELDS.length + i;
      sums[i] = sum - this.#collected[at]!;
      if (sums[i] === 0) continue;
      changed = true;
      this.#collected[at] = sum;
    }
    if (changed) gained(destination, sums);
  }

  #sum(destination: number, field: number): number {
    let sum = 0;
    for (let processor = 0; processor < this.#processors; processor++)
      sum += Number(this.#longs[(processor * this.#capacity + destination) * LONGS + field / 8]);
    return sum;
  }
}
