/**
 * Corrects the counts of rows that another process has left, while programs of the kernel make, change and end rows, and count
 * them. A pass over the rows takes milliseconds: what it counts may be of no moment, even if a count is the same before and
 * after, since one row may have been added to it and another one taken off. So a difference is one of the count only if none
 * of its rows has changed from one pass to the next, and the count was the same after both.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Row } from '../model/connection.ts';
import { MAX_RECORDS } from './record-layout.ts';

/** Indices of the count of all rows, and of OPEN ones. Those of destination n are 3n plus PART. */
export const ALL = 0;
export const OPEN = 1;
/** Which count of its destination a row belongs to. */
export const PART = { active: 0, inactive: 1, template: 2 } as const;
const COUNTS = 3 * MAX_RECORDS;

/** Passes over the rows, beside the first one, until none has changed since the last pass. */
const MAX_PASSES = 3;
/** Time in which programs count the rows that they have changed: they take microseconds. */
const SETTLED_MS = 10;

/** Bits of a mark: what a row counts as. */
const IN_USE = 1;
const IS_OPEN = 2;
const PART_SHIFT = 2;
const PART_BITS = 3;
const DESTINATION_SHIFT = 8;
const DESTINATION_BITS = 0xffff;
const GENERATION_SHIFT = 24;

/** Returns the mark of a row in use. `generation`: 8 bits; `destination`: number of its record; `part`: one of PART. */
export const markOf = (generation: number, destination: number, part: number, isOpen: boolean): number =>
  (generation << GENERATION_SHIFT) |
  (destination << DESTINATION_SHIFT) |
  (part << PART_SHIFT) |
  (isOpen ? IS_OPEN : 0) |
  IN_USE;

export interface CountedRows {
  /** The bound of row numbers. */
  readonly capacity: number;
  /** Returns what the row counts as now, see `markOf`; 0: it is not in use. */
  readonly mark: (row: Row) => number;
  /** Returns the count that director and programs keep. */
  readonly read: (index: number) => number;
  readonly add: (index: number, difference: number) => void;
}

/**
 * Corrects the counts that are wrong, and returns how many were. Leaves those whose rows never stayed what they were from one
 * pass to the next: a program never leaves a wrong count, and a killed director seldom.
 */
export async function correctCounts({ capacity, mark, read, add }: CountedRows): Promise<number> {
  const passes = new Passes(capacity, mark);
  const before = Int32Array.from({ length: COUNTS }, (_, index) => read(index));
  passes.next();
  let doubtful = [...before.keys()].filter((index) => passes.counts[index] !== before[index]);
  let corrected = 0;
  for (let pass = 0; pass < MAX_PASSES && doubtful.length > 0; pass++) {
    const after = doubtful.map(read);
    await sleep(SETTLED_MS);
    passes.next();
    doubtful = doubtful.filter((index, i) => {
      if (passes.changed[index] !== 0 || read(index) !== after[i]) return true;
      const difference = passes.counts[index]! - after[i]!;
      if (difference === 0) return false;
      add(index, difference);
      corrected++;
      return false;
    });
  }
  return corrected;
}

/** Counts all rows, again and again. */
class Passes {
  /** As of the last pass. */
  readonly counts = new Int32Array(COUNTS);
  /** 1: a row of the count was not one of it, or another one, in the pass before. */
  readonly changed = new Uint8Array(COUNTS);
  readonly #mark: CountedRows['mark'];
  /** Of each row in the last pass. */
  readonly #marks: Int32Array<ArrayBuffer>;

  constructor(capacity: number, mark: CountedRows['mark']) {
    this.#marks = new Int32Array(capacity);
    this.#mark = mark;
  }

  next(): void {
    this.counts.fill(0);
    this.changed.fill(0);
    const marks = this.#marks;
    for (let row = 0; row < marks.length; row++) {
      const mark = this.#mark(row);
      const former = marks[row]!;
      if (mark !== former) {
        marks[row] = mark;
        if (former !== 0) this.#change(former);
        if (mark !== 0) this.#change(mark);
      }
      if (mark === 0) continue;
      this.counts[ALL]!++;
      if ((mark & IS_OPEN) !== 0) this.counts[OPEN]!++;
      this.counts[indexOf(mark)]!++;
    }
  }

  #change(mark: number): void {
    this.changed[ALL] = 1;
    if ((mark & IS_OPEN) !== 0) this.changed[OPEN] = 1;
    this.changed[indexOf(mark)] = 1;
  }
}

/** Returns the index of the destination's count that a row with the mark belongs to. */
const indexOf = (mark: number): number =>
  3 * ((mark >>> DESTINATION_SHIFT) & DESTINATION_BITS) + ((mark >>> PART_SHIFT) & PART_BITS);
