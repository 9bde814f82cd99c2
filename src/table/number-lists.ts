/** Lists of destinations' numbers, which programs read while the director changes them. */
import type { TableMemory } from './memory.ts';
import { LIST_BLOCK, LIST_ENTRY_BYTES, MAX_LIST_ENTRIES } from './record-layout.ts';

const FIRST_ENTRIES = 1024;
/** Each list has room for this many versions: one that programs read, and one to be written. */
const VERSIONS = 2;

/** Where a list is; the room that it has belongs to it until `release`. */
export interface NumberList {
  readonly first: number;
  readonly count: number;
}

export const NO_LIST: NumberList = { first: 0, count: 0 };

interface Room {
  readonly first: number;
  /** Entries of each version. */
  readonly entries: number;
  version: number;
}

/**
 * A program may read a list while it is replaced. It then finds the former version, or, if the list changes again within
 * that moment, a mixture of two versions of the same list. Room of one list is given to another only after two calls of
 * `recycle`, a second apart, when no program can read it any more.
 */
export class NumberLists {
  entries!: Uint16Array<ArrayBuffer>;
  readonly #memory: TableMemory;
  /** By `first` of the version in use. */
  readonly #rooms = new Map<number, Room>();
  /** Free rooms by the entries of a version. */
  readonly #free = new Map<number, Room[]>();
  #released: Room[] = [];
  #releasedBefore: Room[] = [];
  #unused = 1;

  constructor(memory: TableMemory) {
    this.#memory = memory;
    this.#enlarge(FIRST_ENTRIES);
  }

  /**
   * Keeps out of the lists of another process, which end before `end`, until all have been replaced: new lists begin in the
   * other half of all entries.
   */
  adopt(end: number): void {
    this.#enlarge(MAX_LIST_ENTRIES);
    this.#unused = end <= MAX_LIST_ENTRIES / 2 ? MAX_LIST_ENTRIES / 2 : 1;
  }

  /**
   * Writes a list in place of `former`, and returns where it is; NO_LIST if there is no room for it. Throws an Error where
   * memory is short.
   */
  replace(former: NumberList, numbers: ArrayLike<number>): NumberList {
    if (numbers.length === 0) {
      this.release(former);
      return NO_LIST;
    }
    let room = this.#rooms.get(former.first);
    if (room === undefined || room.entries < numbers.length) {
      const larger = this.#roomFor(numbers.length);
      this.release(former);
      if (larger === undefined) return NO_LIST;
      room = larger;
    } else {
      this.#rooms.delete(former.first);
      room.version = (room.version + 1) % VERSIONS;
    }
    const first = room.first + room.version * room.entries;
    this.entries.set(numbers, first);
    this.entries.fill(0, first + numbers.length, first + Math.ceil(numbers.length / LIST_BLOCK) * LIST_BLOCK);
    this.#rooms.set(first, room);
    return { first, count: numbers.length };
  }

  /** The list is not used any more. */
  release({ first }: NumberList): void {
    const room = this.#rooms.get(first);
    if (room === undefined) return;
    this.#rooms.delete(first);
    this.#released.push(room);
  }

  /** Makes room available that was released before the last call. To be called once a second. */
  recycle(): void {
    for (const room of this.#releasedBefore) {
      const free = this.#free.get(room.entries);
      if (free === undefined) this.#free.set(room.entries, [room]);
      else free.push(room);
    }
    this.#releasedBefore = this.#released;
    this.#released = [];
  }

  #roomFor(count: number): Room | undefined {
    let entries = LIST_BLOCK;
    while (entries < count) entries *= 2;
    const free = this.#free.get(entries)?.pop();
    if (free !== undefined) return free;
    const end = this.#unused + VERSIONS * entries;
    if (end > MAX_LIST_ENTRIES) return undefined;
    let size = this.entries.length;
    while (size < end) size *= 2;
    if (size > this.entries.length) this.#enlarge(size);
    const room = { first: this.#unused, entries, version: 0 };
    this.#unused = end;
    return room;
  }

  #enlarge(size: number): void {
    const { buffer, offset } = this.#memory.reserve('lists', size * LIST_ENTRY_BYTES);
    const entries = new Uint16Array(buffer, offset, size);
    if (this.entries !== undefined && this.entries.buffer !== buffer) entries.set(this.entries);
    this.entries = entries;
  }
}
