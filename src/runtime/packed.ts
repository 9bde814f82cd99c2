/** Lists as bytes: they pass between threads at the cost of a copy, and are read a part at a time, between packets. */
import { deserialize, serialize } from 'node:v8';

/** Items of a part: reading them takes about a millisecond. */
const ITEMS_PER_PART = 200;

/** A list of `T`. The type is only a promise of who packed it. */
export interface Packed<T> {
  readonly parts: readonly Uint8Array[];
  readonly length: number;
  readonly item?: T;
}

/** Packs all at once; for threads other than that of the packets. */
export function pack<T>(items: readonly T[]): Packed<T> {
  const packing = new Packing<T>();
  for (const item of items) packing.add(item);
  return packing.packed;
}

/** Packs one item after the other. */
export class Packing<T> {
  readonly #parts: Uint8Array[] = [];
  #part: T[] = [];
  #length = 0;

  add(item: T): void {
    this.#length++;
    if (this.#part.push(item) >= ITEMS_PER_PART) this.#close();
  }

  get packed(): Packed<T> {
    this.#close();
    return { parts: this.#parts, length: this.#length };
  }

  #close(): void {
    if (this.#part.length > 0) this.#parts.push(serialize(this.#part));
    this.#part = [];
  }
}

/** Yields the items; each part is read when its first item is wanted. */
export function* unpacked<T>({ parts }: Packed<T>): Generator<T> {
  for (const part of parts) yield* deserialize(part) as T[];
}
