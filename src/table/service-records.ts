/** Services' records: their identity, their options, and what schedulers of programs need. */
import { LvsError } from '../model/errors.ts';
import type { Address } from '../wire/address.ts';
import type { TableMemory } from './memory.ts';
import { NO_LIST, type NumberList, NumberLists } from './number-lists.ts';
import { inPacketOrder, portInPacketOrder } from './packet-order.ts';
import { checkService } from './record-checks.ts';
import { MAX_LISTED, MAX_RECORDS, SERVICE, SERVICE_BYTES } from './record-layout.ts';
import { Records } from './records.ts';

const MAX_SERVICES = MAX_RECORDS - 1;

/** The identity of a service. */
interface Identity {
  /** IP protocol number; 0 with a mark. */
  readonly protocol: number;
  readonly family: 4 | 6;
  readonly address: Address;
  readonly port: number;
  readonly mark: number;
}

/** What has a record. */
interface Numbered {
  readonly index: number;
}

const numberOf = ({ index }: Numbered): number => index;

export class ServiceRecords extends Records {
  readonly #lists: NumberLists;
  /** Lists and tables by number. */
  readonly #list: NumberList[] = [];
  readonly #table: NumberList[] = [];

  /** Free numbers, those of services that were removed in the last second, and in the one before. */
  readonly #free: number[] = [];
  #released: number[] = [];
  #releasedBefore: number[] = [];
  #next = 1;
  /** Services made so far. */
  #made = 0;

  constructor(memory: TableMemory) {
    super(memory, 'services', SERVICE_BYTES);
    this.#lists = new NumberLists(memory);
  }

  /** Makes a record with this identity and without options, and returns its number. Throws an LvsError if there is no room. */
  make({ protocol, family, address, port, mark }: Identity): number {
    const index = this.#free.pop() ?? this.#next;
    if (index > MAX_SERVICES) throw new LvsError('TABLE_FULL', `services: no more than ${MAX_SERVICES}`);
    this.reserve(index);
    if (index === this.#next) this.#next++;
    this.clear(index);
    this.setAddress(index, SERVICE.address, address);
    this.setHalf(index, SERVICE.port, portInPacketOrder(port));
    this.setHalf(index, SERVICE.protocol, protocol | (family << 8));
    this.setWord(index, SERVICE.mark, mark);
    this.setWord(index, SERVICE.last, -1);
    this.setWord(index, SERVICE.order, ++this.#made);
    return index;
  }

  /**
   * Takes over the records that another process has left in use, and returns their numbers in the order in which they were
   * made. Throws UnfitMemory. `isDestination`: reports whether a record of that number is one.
   */
  adopt(isDestination: (number: number) => boolean): number[] {
    this.reserveAll();
    this.#lists.adopt(0);
    const { entries } = this.#lists;
    const numbers: number[] = [];
    let end = 0;
    for (let index = 1; index < MAX_RECORDS; index++) {
      if (this.word(index, SERVICE.flags) === 0) continue;
      end = Math.max(end, checkService(this, index, entries, isDestination));
      numbers.push(index);
    }
    this.#lists.adopt(end);
    this.#next = (numbers.at(-1) ?? 0) + 1;
    const used = new Set(numbers);
    for (let index = 1; index < this.#next; index++) if (!used.has(index)) this.#free.push(index);
    numbers.sort((a, b) => this.word(a, SERVICE.order) - this.word(b, SERVICE.order));
    this.#made = numbers.reduce((most, index) => Math.max(most, this.word(index, SERVICE.order)), 0);
    return numbers;
  }

  /** Returns the numbers in the list of a service, newest first. */
  list(index: number): readonly number[] {
    const first = this.word(index, SERVICE.list);
    return [...this.#lists.entries.subarray(first, first + this.word(index, SERVICE.list + 4))];
  }

  /** Returns an address or a mask. */
  address(index: number, field: number): Address {
    return Uint32Array.from({ length: 4 }, (_, i) => inPacketOrder(this.word(index, field + 4 * i)));
  }

  /** Writes an address or a mask. */
  setAddress(index: number, field: number, address: Address): void {
    for (let i = 0; i < 4; i++) this.setWord(index, field + 4 * i, inPacketOrder(address[i]!));
  }

  /** Replaces the list of the service's destinations; one that is too long for programs, or has no room, is empty. */
  setList(index: number, destinations: readonly Numbered[]): void {
    const listed = destinations.length <= MAX_LISTED ? destinations : [];
    const list = this.#lists.replace(this.#list[index] ?? NO_LIST, listed.map(numberOf));
    this.#list[index] = list;
    this.#publish(index, SERVICE.list, list);
  }

  /** Reports whether the service has a list with destinations. */
  isListed(index: number): boolean {
    return this.word(index, SERVICE.list + 4) > 0;
  }

  /** Replaces the table of a hashing scheduler; an empty one is not known yet, or has no room. */
  setTable(index: number, destinations: readonly Numbered[]): void {
    const table = this.#lists.replace(this.#table[index] ?? NO_LIST, destinations.map(numberOf));
    this.#table[index] = table;
    this.#publish(index, SERVICE.table, table);
  }

  /** The service was removed. */
  release(index: number): void {
    this.setWord(index, SERVICE.flags, 0);
    this.setList(index, []);
    this.setTable(index, []);
    this.#released.push(index);
  }

  /** Makes numbers and room of lists available that were released more than a second ago. To be called once a second. */
  recycle(): void {
    this.#lists.recycle();
    this.#free.push(...this.#releasedBefore);
    this.#releasedBefore = this.#released;
    this.#released = [];
  }

  /** Writes first entry and count as one word. */
  #publish(index: number, field: number, { first, count }: NumberList): void {
    Atomics.store(this.longs, (index * SERVICE_BYTES + field) / 8, (BigInt(count) << 32n) | BigInt(first));
  }
}
