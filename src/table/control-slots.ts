/** Memory for states of connections that announce others, which the next director takes over. Programs do not use it. */
import type { Row } from '../model/connection.ts';
import type { TableMemory } from './memory.ts';

/** Words of a state; src/ftp/control-state.ts describes them but the first two. */
export const SLOT_WORDS = 64;
/** The most states. */
const MAX_SLOTS = 16_384;
/** Slots that are looked at for a new state, so that a packet takes little time. */
const MAX_LOOKS = 64;
/** The first word of the array: raised with every change of what states contain. */
const VERSION = 1;

/* The first words of a slot: number of the row plus 1, when the row was made, and flags. */
const ROW_NUMBER = 0;
const ORDER = 1;
const FLAGS = 2;
/** The client has acknowledged bytes that the server sent, so that its address is not forged. */
const SLOT_PROVEN = 1 << 3;

/** What slots belong to. */
export interface SlotOwners {
  /** Reports whether the row is in use. */
  has(row: Row): boolean;
  /** Returns a number that differs for each row that is made with the same number. */
  order(row: Row): number;
}

/** Returns the slots for a table of `limit` rows. */
const slotsFor = (limit: number): number => Math.min(limit, MAX_SLOTS);

/** Returns the bytes of the array for a table of `limit` rows. */
export const slotBytes = (limit: number): number => (slotsFor(limit) + 1) * SLOT_WORDS * 4;

/** Bytes of the array for a large table. */
export const MAX_SLOTS_BYTES = slotBytes(MAX_SLOTS);

export class ControlSlots {
  readonly words: Int32Array<ArrayBuffer>;
  readonly #owners: SlotOwners;
  readonly #count: number;
  readonly #byRow = new Map<Row, number>();
  /** The slot that is looked at next for a new state. */
  #hand = 0;

  /** `limit`: rows of the table. */
  constructor(memory: TableMemory, limit: number, owners: SlotOwners) {
    const { buffer, offset } = memory.reserve('controls', slotBytes(limit));
    this.words = new Int32Array(buffer, offset, slotBytes(limit) / 4);
    this.#owners = owners;
    this.#count = slotsFor(limit);
    if (this.words[0] === VERSION) this.#adopt();
    else if (this.words[0] !== 0) this.words.fill(0);
    this.words[0] = VERSION;
  }

  /** Returns the offset of the row's state in `words`; -1: it has none. */
  find(row: Row): number {
    const at = this.#byRow.get(row);
    return at === undefined || this.words[at + ORDER] !== this.#owners.order(row) ? -1 : at;
  }

  /**
   * Returns the offset of a state of zeros for the row; -1: there is no room. Where all others are in use, it takes that of a
   * connection whose client is not proven: a flood with forged addresses leaves room for others.
   */
  make(row: Row): number {
    this.drop(row);
    const at = this.#room();
    if (at < 0) return -1;
    this.drop(this.words[at + ROW_NUMBER]! - 1);
    this.words.fill(0, at, at + SLOT_WORDS);
    this.words[at + ORDER] = this.#owners.order(row);
    this.words[at + ROW_NUMBER] = row + 1;
    this.#byRow.set(row, at);
    return at;
  }

  #room(): number {
    let unproven = -1;
    for (let look = 0; look < MAX_LOOKS; look++) {
      const at = (1 + this.#hand) * SLOT_WORDS;
      this.#hand = (this.#hand + 1) % this.#count;
      if (this.#isFree(at)) return at;
      if ((this.words[at + FLAGS]! & SLOT_PROVEN) === 0) unproven = at;
    }
    return unproven;
  }

  /** Forgets the state of a row. */
  drop(row: Row): void {
    const at = this.#byRow.get(row);
    if (at === undefined) return;
    this.words[at + ROW_NUMBER] = 0;
    this.#byRow.delete(row);
  }

  #isFree(at: number): boolean {
    const row = this.words[at + ROW_NUMBER]! - 1;
    return row < 0 || !this.#isOf(row, at);
  }

  #isOf(row: Row, at: number): boolean {
    return this.#owners.has(row) && this.#owners.order(row) === this.words[at + ORDER];
  }

  #adopt(): void {
    for (let at = SLOT_WORDS; at < this.words.length; at += SLOT_WORDS) {
      const row = this.words[at + ROW_NUMBER]! - 1;
      if (row >= 0 && this.#isOf(row, at)) this.#byRow.set(row, at);
      else this.words[at + ROW_NUMBER] = 0;
    }
  }
}
