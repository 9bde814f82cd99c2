/** Destinations' records. A row names a record by its number and does not contain the destination's address. */
import type { Address } from '../wire/address.ts';
import type { TableMemory } from './memory.ts';
import { inPacketOrder, portInPacketOrder } from './packet-order.ts';
import { DESTINATION, DESTINATION_BYTES, MAX_RECORDS } from './record-layout.ts';
import { Records } from './records.ts';

/** Numbers are 16 bits, and 0 is no destination. */
export const MAX_DESTINATIONS = MAX_RECORDS - 1;

/** Shifts from a record's number to its first 32-bit and 16-bit word. */
export const RECORD_SHIFT_32 = Math.log2(DESTINATION_BYTES / 4);
export const RECORD_SHIFT_16 = Math.log2(DESTINATION_BYTES / 2);
const ADDRESS_WORD = DESTINATION.address >> 2;
/** Fields that programs add to. */
const SHARED = [DESTINATION.active, DESTINATION.inactive];

export class DestinationRecords extends Records {
  /** The array before the records grew, until `settle`, and the shared fields at that time. */
  #former: { readonly words: Int32Array<ArrayBuffer>; readonly counts: Int32Array<ArrayBuffer> } | undefined;

  constructor(memory: TableMemory) {
    super(memory, 'destinations', DESTINATION_BYTES);
  }

  /** Makes a record with this endpoint and zeros. No row may name it yet. Throws a RangeError as `reserve`. */
  set(index: number, address: Address, port: number): void {
    this.reserve(index);
    this.clear(index);
    const at = (index << RECORD_SHIFT_32) + ADDRESS_WORD;
    for (let i = 0; i < 4; i++) this.words[at + i] = inPacketOrder(address[i]!);
    this.setHalf(index, DESTINATION.port, portInPacketOrder(port));
  }

  /** Copies the record's address into `into`. */
  copyAddress(index: number, into: Address): Address {
    const at = (index << RECORD_SHIFT_32) + ADDRESS_WORD;
    for (let i = 0; i < 4; i++) into[i] = inPacketOrder(this.words[at + i]!);
    return into;
  }

  port(index: number): number {
    return portInPacketOrder(this.half(index, DESTINATION.port));
  }

  override reserve(index: number): void {
    const { words, capacity } = this;
    super.reserve(index);
    if (this.#former !== undefined || this.capacity === capacity || isSame(words, this.words)) return;
    const counts = new Int32Array(capacity * SHARED.length);
    for (let i = 0; i < counts.length; i++) counts[i] = sharedOf(this.words, i);
    this.#former = { words, counts };
  }

  /**
   * Adds what programs counted in the array of before the records grew. To be called when no program uses that array any
   * more.
   */
  settle(): void {
    if (this.#former === undefined) return;
    const { words, counts } = this.#former;
    this.#former = undefined;
    for (let i = 0; i < counts.length; i++) {
      const gained = sharedOf(words, i) - counts[i]!;
      if (gained !== 0) this.addWord(Math.floor(i / SHARED.length), SHARED[i % SHARED.length]!, gained);
    }
  }
}

/** Reports whether the arrays have the same first byte: memory of the kernel has room for all records at once. */
const isSame = (a: Int32Array<ArrayBuffer>, b: Int32Array<ArrayBuffer>): boolean =>
  a.buffer === b.buffer && a.byteOffset === b.byteOffset;

/** The `i`-th shared field of an array: those of record 0 first. */
const sharedOf = (words: Int32Array<ArrayBuffer>, i: number): number =>
  words[(Math.floor(i / SHARED.length) << RECORD_SHIFT_32) + (SHARED[i % SHARED.length]! >> 2)]!;
