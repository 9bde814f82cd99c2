/** Serializes lists in parts, which threads share without a copy, and which are read separately. */
import { deserialize, serialize } from 'node:v8';

/** Items per part; reading a part takes about 1 ms. */
const ITEMS_PER_PART = 200;

/** A serialized list of `T`. The type is not checked. */
export interface Packed<T> {
  readonly parts: readonly Uint8Array<SharedArrayBuffer>[];
  readonly length: number;
  readonly item?: T;
}

/** Serializes a whole list. Not for the packet thread. */
export function pack<T>(items: readonly T[]): Packed<T> {
  const packing = new Packing<T>();
  for (const item of items) packing.add(item);
  return packing.packed;
}

/** Serializes a list item by item. */
export class Packing<T> {
  readonly #parts: Uint8Array<SharedArrayBuffer>[] = [];
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
    if (this.#part.length === 0) return;
    const bytes = serialize(this.#part);
    const shared = new Uint8Array(new SharedArrayBuffer(bytes.length));
    shared.set(bytes);
    this.#parts.push(shared);
    this.#part = [];
  }
}

/** Yields the items. Each part is read when its first item is needed. */
export function* unpacked<T>({ parts }: Packed<T>): Generator<T> {
  for (const part of parts) yield* deserialize(part) as T[];
}
