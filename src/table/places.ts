/** Where rows lie: near their homes, or in the annex. */
import { NONE, type Row } from '../model/connection.ts';
import type { Address } from '../wire/address.ts';
import { Annex, annexRows } from './annex.ts';
import type { DestinationRecords } from './destination-records.ts';
import { Homes } from './homes.ts';
import { Key, WIDE } from './key.ts';
import { KIND, KIND_SHIFT, NEAR, ROW_BYTES, ROW_SHIFT_16, ROW_SHIFT_32 } from './layout.ts';
import type { TableMemory } from './memory.ts';
import { portInPacketOrder } from './packet-order.ts';
import { CADDR, CLIENT, CLIENT_MASK, NEAR_BITS, RowFields, VPORT } from './row-fields.ts';

/** Places for each connection: at a load of 5/8 a lookup compares 1.7 rows on average. */
const PLACES_PER_CONNECTION = 8 / 5;
const BUSY = KIND.BUSY << KIND_SHIFT;

export class Places extends RowFields {
  /** The most rows near one home so far: what a lookup compares at most, the annex apart. */
  longestProbe = 0;
  protected readonly homes: Homes;
  /** Of the lookup at hand. */
  protected readonly key: Key;
  protected readonly annex: Annex;
  /** Of a row. */
  readonly #rowKey: Key;
  /** The first row of the annex. */
  protected readonly annexStart: Row;
  readonly #address: Address = new Uint32Array(4);
  readonly #other: Address = new Uint32Array(4);

  constructor(memory: TableMemory, limit: number, secrets: Uint32Array, records: DestinationRecords) {
    const places = Math.ceil(limit * PLACES_PER_CONNECTION);
    const annexStart = places + NEAR;
    super(memory, annexStart + annexRows(limit, places), records);
    this.annexStart = annexStart;
    this.homes = new Homes(places, secrets);
    this.key = new Key(this.homes);
    this.#rowKey = new Key(this.homes);
    this.annex = new Annex(memory, annexStart, this.capacity, places);
  }

  get homeCount(): number {
    return this.homes.places;
  }

  /** Rows that only the annex finds. */
  get spilled(): number {
    return this.annex.size;
  }

  /** Bytes reserved for rows, their order and templates, and the annex's bits. */
  get bytes(): number {
    return this.capacity * (ROW_BYTES + 8) + Math.ceil(this.homes.places / 8);
  }

  /** Returns the first row of this home that lies at `from` or behind it; NONE if there is none. */
  protected nearFrom(home: number, from: Row): Row {
    const at = (home << ROW_SHIFT_32) + NEAR_BITS;
    const distance = from - home;
    if (distance < 32) {
      const bits = this.words[at]! & (-1 << distance);
      if (bits !== 0) return home + 31 - Math.clz32(bits & -bits);
    }
    if (distance >= NEAR) return NONE;
    const bits = this.words[at + 1]! & (distance > 32 ? -1 << (distance - 32) : -1);
    return bits === 0 ? NONE : home + 63 - Math.clz32(bits & -bits);
  }

  /** Claims the first free place near the home, else one of the annex; NONE if there is none. The row is BUSY then. */
  protected claim(home: number): Row {
    const { words } = this;
    for (let row = home; row < home + NEAR; row++) {
      const at = (row << ROW_SHIFT_32) + CLIENT;
      if (words[at] !== KIND.FREE) continue;
      if (Atomics.compareExchange(words, at, KIND.FREE, BUSY) === KIND.FREE) return row;
    }
    const row = this.annex.take(home);
    if (row !== NONE) Atomics.store(words, (row << ROW_SHIFT_32) + CLIENT, BUSY);
    return row;
  }

  /** Makes a filled row found from its home. */
  protected link(home: number, row: Row): void {
    const distance = row - home;
    if (row >= this.annexStart || distance < 0 || distance >= NEAR) {
      this.annex.insert(home, this.#requestKey(home, row), this.#replyKey(home, row), row);
      return;
    }
    const at = (home << ROW_SHIFT_32) + NEAR_BITS;
    Atomics.or(this.words, at + (distance >>> 5), 1 << (distance & 31));
    const rows = ones(this.words[at]!) + ones(this.words[at + 1]!);
    if (rows > this.longestProbe) this.longestProbe = rows;
  }

  /** Makes a row not found any more. */
  protected unlink(home: number, row: Row): void {
    const distance = row - home;
    const at = (home << ROW_SHIFT_32) + NEAR_BITS + (distance >>> 5);
    const bit = 1 << (distance & 31);
    if (distance >= 0 && distance < NEAR && (this.words[at]! & bit) !== 0) {
      Atomics.and(this.words, at, ~bit);
      return;
    }
    this.annex.remove(home, this.#requestKey(home, row), this.#replyKey(home, row), row);
  }

  /** Frees the place of an unlinked row. */
  protected free(row: Row): void {
    Atomics.store(this.words, (row << ROW_SHIFT_32) + CLIENT, KIND.FREE);
    if (row >= this.annexStart) this.annex.giveBack(row);
  }

  /** Returns the home of a row that is in use. */
  protected homeOf(row: Row): number {
    const { words } = this;
    const at = row << ROW_SHIFT_32;
    const kind = this.kind(row);
    if (kind === KIND.TEMPLATE || kind === KIND.INVALID) {
      this.setKey(this.#rowKey, row);
      const port = this.halves[(row << ROW_SHIFT_16) + VPORT]!;
      return this.#rowKey.homeOfTemplate(this.protocol(row), port, this.salt(row));
    }
    const client = words[at + CLIENT]! & CLIENT_MASK;
    const caddr = at + CADDR;
    if ((words[at + CLIENT]! & WIDE) === 0) return this.homes.ofIpv4(words[caddr + 3]!, client);
    return this.homes.ofIpv6(words[caddr]!, words[caddr + 1]!, words[caddr + 2]!, words[caddr + 3]!, client);
  }

  /** Makes it the key of the row: its client, and its virtual address. */
  protected setKey(key: Key, row: Row): void {
    key.set(this.copyCaddr(row, this.#address), this.copyVaddr(row, this.#other));
  }

  #requestKey(home: number, row: Row): number {
    const key = this.#rowKey;
    this.setKey(key, row);
    return key.inAnnex(home, portInPacketOrder(this.vport(row)));
  }

  #replyKey(home: number, row: Row): number {
    const key = this.#rowKey;
    key.set(this.copyCaddr(row, this.#address), this.records.copyAddress(this.destination(row), this.#other));
    return key.inAnnex(home, portInPacketOrder(this.dport(row)));
  }
}

/** Number of bits set in a word (Hacker's Delight, section 5-1). */
function ones(word: number): number {
  const pairs = word - ((word >>> 1) & 0x55555555);
  const nibbles = (pairs & 0x33333333) + ((pairs >>> 2) & 0x33333333);
  return Math.imul((nibbles + (nibbles >>> 4)) & 0x0f0f0f0f, 0x01010101) >>> 24;
}
