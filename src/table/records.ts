/** Arrays of records by number, and their fields. */
import { LvsError } from '../model/errors.ts';
import type { Region, RegionName, TableMemory } from './memory.ts';
import { MAX_RECORDS } from './record-layout.ts';

const FIRST_RECORDS = 64;

/** Fields are the byte offsets of record-layout.ts. Numbers must be below `capacity`: see `reserve`. */
export class Records {
  /** All records; another array after they have grown. */
  words!: Int32Array<ArrayBuffer>;
  halves!: Uint16Array<ArrayBuffer>;
  longs!: BigUint64Array<ArrayBuffer>;
  bytes!: Uint8Array<ArrayBuffer>;
  /** How many records there is room for. */
  capacity = 0;
  readonly #memory: TableMemory;
  readonly #name: RegionName;
  readonly #recordBytes: number;
  readonly #shift32: number;

  constructor(memory: TableMemory, name: RegionName, recordBytes: number) {
    this.#memory = memory;
    this.#name = name;
    this.#recordBytes = recordBytes;
    this.#shift32 = Math.log2(recordBytes / 4);
    this.#enlarge(FIRST_RECORDS);
  }

  /** Makes room for a record. Throws a RangeError unless `index` is 1 to MAX_RECORDS - 1, an LvsError where memory is short. */
  reserve(index: number): void {
    if (!(index >= 1 && index < MAX_RECORDS))
      throw new RangeError(`${this.#name}: record ${index}: expected 1 to ${MAX_RECORDS - 1}`);
    while (index >= this.capacity) this.#enlarge(this.capacity * 2);
  }

  /** Makes room for all records, of memory that another process may have filled. */
  reserveAll(): void {
    this.reserve(MAX_RECORDS - 1);
  }

  /** Fills a record with zeros. */
  clear(index: number): void {
    const first = index * this.#recordBytes;
    this.bytes.fill(0, first, first + this.#recordBytes);
  }

  /** Copies a record of another table. */
  copy(from: Records, index: number): void {
    this.reserve(index);
    const first = index * this.#recordBytes;
    this.bytes.set(from.bytes.subarray(first, first + this.#recordBytes), first);
  }

  /** Returns a field of 4 bytes, signed. */
  word(index: number, field: number): number {
    return this.words[(index << this.#shift32) + (field >> 2)]!;
  }

  setWord(index: number, field: number, value: number): void {
    this.words[(index << this.#shift32) + (field >> 2)] = value;
  }

  /** Adds to a field of 4 bytes that programs add to, too. Returns the sum, signed. */
  addWord(index: number, field: number, value: number): number {
    return Atomics.add(this.words, (index << this.#shift32) + (field >> 2), value) + value;
  }

  /** Returns a field of 2 bytes. */
  half(index: number, field: number): number {
    return this.halves[(index << (this.#shift32 + 1)) + (field >> 1)]!;
  }

  setHalf(index: number, field: number, value: number): void {
    this.halves[(index << (this.#shift32 + 1)) + (field >> 1)] = value;
  }

  #enlarge(capacity: number): void {
    const bytes = capacity * this.#recordBytes;
    const region = this.#reserved(bytes);
    const enlarged = new Uint8Array(region.buffer, region.offset, bytes);
    // Programs may change a region that has room for more.
    const isOther = this.bytes?.buffer !== region.buffer || this.bytes.byteOffset !== region.offset;
    if (this.capacity > 0 && isOther) enlarged.set(this.bytes);
    this.bytes = enlarged;
    this.words = new Int32Array(region.buffer, region.offset, bytes / 4);
    this.halves = new Uint16Array(region.buffer, region.offset, bytes / 2);
    this.longs = new BigUint64Array(region.buffer, region.offset, bytes / 8);
    this.capacity = capacity;
  }

  #reserved(bytes: number): Region {
    try {
      return this.#memory.reserve(this.#name, bytes);
    } catch (cause) {
      throw new LvsError(
        'TABLE_FULL',
        `${this.#name}: no memory for ${bytes} bytes: ${(cause as Error).message}`,
      );
    }
  }
}
