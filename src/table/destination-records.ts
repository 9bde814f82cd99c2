/** Destinations' records by number. A row names a record and does not contain the destination's address. */
import type { Address } from '../wire/address.ts';
import { DESTINATION, DESTINATION_BYTES } from './layout.ts';
import type { TableMemory } from './memory.ts';
import { inPacketOrder, portInPacketOrder } from './packet-order.ts';

/** Numbers are 16 bits, and 0 is no destination. */
export const MAX_DESTINATIONS = 65_535;
const FIRST_RECORDS = 64;

/** Shifts from a record's number to its first 32-bit and 16-bit word. */
export const RECORD_SHIFT_32 = Math.log2(DESTINATION_BYTES / 4);
export const RECORD_SHIFT_16 = Math.log2(DESTINATION_BYTES / 2);
const ADDRESS_WORD = DESTINATION.address >> 2;
const PORT_HALF = DESTINATION.port >> 1;

/** Grows as higher numbers are used. */
export class DestinationRecords {
  /** All records; another array after the records have grown. */
  words!: Int32Array<ArrayBuffer>;
  halves!: Uint16Array<ArrayBuffer>;
  readonly #memory: TableMemory;
  #capacity = 0;

  constructor(memory: TableMemory) {
    this.#memory = memory;
    this.#reserve(FIRST_RECORDS);
  }

  /** Gives the record its endpoint. No row may name it yet. Throws a RangeError unless `index` is 1 to MAX_DESTINATIONS. */
  set(index: number, address: Address, port: number): void {
    if (!(index >= 1 && index <= MAX_DESTINATIONS))
      throw new RangeError(`destination record ${index}: expected 1 to ${MAX_DESTINATIONS}`);
    while (index >= this.#capacity) this.#reserve(this.#capacity * 2);
    const at = (index << RECORD_SHIFT_32) + ADDRESS_WORD;
    for (let i = 0; i < 4; i++) this.words[at + i] = inPacketOrder(address[i]!);
    this.halves[(index << RECORD_SHIFT_16) + PORT_HALF] = portInPacketOrder(port);
  }

  /** Copies the record's address into `into`. */
  copyAddress(index: number, into: Address): Address {
    const at = (index << RECORD_SHIFT_32) + ADDRESS_WORD;
    for (let i = 0; i < 4; i++) into[i] = inPacketOrder(this.words[at + i]!);
    return into;
  }

  port(index: number): number {
    return portInPacketOrder(this.halves[(index << RECORD_SHIFT_16) + PORT_HALF]!);
  }

  /** Bytes of the array. */
  get bytes(): number {
    return this.#capacity * DESTINATION_BYTES;
  }

  #reserve(capacity: number): void {
    const bytes = capacity * DESTINATION_BYTES;
    const { buffer, offset } = this.#memory.reserve('destinations', bytes);
    const words = new Int32Array(buffer, offset, bytes / 4);
    if (this.#capacity > 0) words.set(this.words);
    this.words = words;
    this.halves = new Uint16Array(buffer, offset, bytes / 2);
    this.#capacity = capacity;
  }
}
