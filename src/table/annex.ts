/** The annex: rows that do not lie near their home, and the only index that finds them. */
import { NONE, type Row } from '../model/connection.ts';
import type { TableMemory } from './memory.ts';

/** One home may have this many rows here, so that a client that fills its home cannot take the whole annex. */
export const MAX_PER_HOME = 4096;
/** Share of the table's places that the annex has, at least; at a load of 5/8 four rows of a million come here. */
const SHARE = 1 / 64;
/** The annex has this many rows even in a small table, or as many as the table has connections. */
const MIN_ROWS = 8192;

/** Rows of the annex of a table for `limit` connections. */
export const annexRows = (limit: number, places: number): number =>
  Math.max(Math.ceil(places * SHARE), Math.min(limit, MIN_ROWS));

/**
 * Only the director works on it, so a connection that lies here is served at the director's speed. Programs read
 * `spilled`, one bit a home: packets of a home whose bit is set, and that match no row near it, go up to the director.
 */
export class Annex {
  /** Rows in the index. */
  size = 0;
  readonly #end: Row;
  /** Never used rows begin here. */
  #unused: Row;
  readonly #free: Row[] = [];
  readonly #spilled: Uint32Array<ArrayBuffer>;
  /** Rows of each home that has any. */
  readonly #ofHome = new Map<number, number>();
  readonly #requests = new Map<number, Row[]>();
  readonly #replies = new Map<number, Row[]>();

  /** Rows from `first` to `end` belong to it; homes are numbered below `places`. */
  constructor(memory: TableMemory, first: Row, end: Row, places: number) {
    this.#unused = first;
    this.#end = end;
    const words = Math.ceil(places / 32);
    const { buffer, offset } = memory.reserve('spilled', words * 4);
    this.#spilled = new Uint32Array(buffer, offset, words);
  }

  /** Reports whether rows of this home are here. */
  has(home: number): boolean {
    return (this.#spilled[home >>> 5]! & (1 << (home & 31))) !== 0;
  }

  /** Takes a free row for a connection of this home; NONE if there is none, or if the home has too many here. */
  take(home: number): Row {
    if ((this.#ofHome.get(home) ?? 0) >= MAX_PER_HOME) return NONE;
    const row = this.#free.pop();
    if (row !== undefined) return row;
    return this.#unused < this.#end ? this.#unused++ : NONE;
  }

  /** Gives back a row that `take` returned. */
  giveBack(row: Row): void {
    this.#free.push(row);
  }

  /** Returns how many homes have a bit but no row of `homes`, or a row but no bit. */
  differences(homes: ReadonlySet<number>): number {
    let bits = 0;
    for (const word of this.#spilled)
      for (let rest = word; rest !== 0; rest = (rest & (rest - 1)) >>> 0) bits++;
    let both = 0;
    for (const home of homes) if (this.has(home)) both++;
    return bits - both + (homes.size - both);
  }

  /** Takes over the rows that another process has left in use; `insert` is called for each then. Clears the homes' bits. */
  adopt(rows: readonly Row[]): void {
    this.#spilled.fill(0);
    const used = new Set(rows);
    const first = this.#unused;
    this.#unused = rows.reduce((end, row) => Math.max(end, row + 1), first);
    for (let row = first; row < this.#unused; row++) if (!used.has(row)) this.#free.push(row);
  }

  /** Makes a row found: by requests under one key, by replies under another. */
  insert(home: number, requestKey: number, replyKey: number, row: Row): void {
    listIn(this.#requests, requestKey).push(row);
    listIn(this.#replies, replyKey).push(row);
    this.#ofHome.set(home, (this.#ofHome.get(home) ?? 0) + 1);
    this.#spilled[home >>> 5]! |= 1 << (home & 31);
    this.size++;
  }

  /** Takes a row out, by the arguments of `insert`. */
  remove(home: number, requestKey: number, replyKey: number, row: Row): void {
    removeFrom(this.#requests, requestKey, row);
    removeFrom(this.#replies, replyKey, row);
    this.size--;
    const left = this.#ofHome.get(home)! - 1;
    if (left > 0) {
      this.#ofHome.set(home, left);
      return;
    }
    this.#ofHome.delete(home);
    this.#spilled[home >>> 5]! &= ~(1 << (home & 31));
  }

  /** Rows that requests with this key may be of; other rows may be among them. */
  requests(key: number): readonly Row[] {
    return this.#requests.get(key) ?? NO_ROWS;
  }

  /** Rows that replies with this key may be of; other rows may be among them. */
  replies(key: number): readonly Row[] {
    return this.#replies.get(key) ?? NO_ROWS;
  }
}

const NO_ROWS: readonly Row[] = [];

function listIn(index: Map<number, Row[]>, key: number): Row[] {
  const rows = index.get(key) ?? [];
  if (rows.length === 0) index.set(key, rows);
  return rows;
}

function removeFrom(index: Map<number, Row[]>, key: number, row: Row): void {
  const rows = index.get(key)!;
  const last = rows.pop()!;
  if (last !== row) rows[rows.indexOf(row)] = last;
  if (rows.length === 0) index.delete(key);
}
