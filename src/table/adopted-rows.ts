/** Rows that another process has left, while programs of the kernel work on them: examines, repairs and counts them. */

import { setTimeout as sleep } from 'node:timers/promises';
import type { Row } from '../model/connection.ts';
import type { ControlledRows } from './controls.ts';
import { MAX_DESTINATIONS } from './destination-records.ts';
import { HEAD, KIND, KIND_SHIFT, METHOD_BITS, NEAR, ROW_SHIFT_32, TRACK } from './layout.ts';
import { MAPPED_WORD } from './packet-order.ts';
import { DESTINATION, MAX_RECORDS } from './record-layout.ts';
import { ALL, correctCounts, markOf, OPEN, PART } from './row-counts.ts';
import { CADDR, CLIENT, NEAR_BITS, VADDR } from './row-fields.ts';
import { Rows } from './rows.ts';
import { MAX_TIMEOUT_TICKS } from './ticks.ts';
import { assertFit } from './unfit-memory.ts';

/** Time after which a row that is half made, or bits that do not match, are a dead director's: programs take microseconds. */
const GRACE_MS = 100;
/** Bits of `near` and `spilled` that may be wrong: a director leaves one when it is killed. */
const MAX_STALE = 16;
/** The counts of a destination's record, in the order of PART. */
const FIELDS = [DESTINATION.active, DESTINATION.inactive, DESTINATION.persistent] as const;

const WIDE = KIND.WIDE << KIND_SHIFT;
const ROUTE_METHOD = 3;
/** ICMP errors make no rows; a template of a firewall mark has protocol 0. */
const PROTOCOLS: ReadonlySet<number> = new Set([0, 6, 17, 132]);
/** Bits of `track` that have no meaning. */
const UNUSED_BITS = 0x00ff_c000;

/** What was found. */
export interface Adopted {
  /** Rows in use. */
  readonly rows: number;
  /** Rows that were half made or half ended, and were freed. */
  readonly freed: number;
  /** Counts and bits that were corrected. */
  readonly repaired: number;
  /** By the number of a next hop: a row that has it, plus 1; 0: none. */
  readonly hopUsers: Int32Array<ArrayBuffer>;
}

export class AdoptedRows extends Rows {
  /** Rows that no one had finished, with their `client` and `track`. */
  readonly #unfinished = new Map<Row, readonly [client: number, track: number]>();
  /** Rows with an invalid field, with its reason: programs may have been at work on them. */
  readonly #doubtful = new Map<Row, string>();
  readonly #hopUsers = new Int32Array(MAX_RECORDS);
  /** Rows that are not near their homes. */
  readonly #far: Row[] = [];

  /** Throws UnfitMemory. `isDestination`: reports whether a record of that number is one. */
  async adopt(isDestination: (number: number) => boolean): Promise<Adopted> {
    const live = this.head[HEAD.live >> 2]!;
    assertFit(live >= 0 && live <= this.capacity, () => `head: ${live} rows in use`);
    const near = this.#examine(isDestination);
    const mismatches = this.#mismatches(near);
    if (this.#unfinished.size + this.#doubtful.size + mismatches.length > 0) await sleep(GRACE_MS);
    for (const row of this.#doubtful.keys()) {
      const reason = this.#isInUse(row) ? this.#reasonAgainst(row, isDestination) : undefined;
      assertFit(reason === undefined, () => `row ${row}: ${reason}`);
    }
    const freed = this.#freeUnfinished();
    let repaired = this.#mendNear(mismatches);
    repaired += this.#rebuildAnnex();
    repaired += await this.#countControlled();
    repaired += await correctCounts({
      capacity: this.capacity,
      mark: (row) => this.#markOf(row),
      read: (index) => this.#readCount(index),
      add: (index, difference) => this.#addToCount(index, difference),
    });
    return { rows: this.size, freed, repaired, hopUsers: this.#hopUsers };
  }

  /** Examines all rows, and returns the bits `near` that they should have. */
  #examine(isDestination: (number: number) => boolean): Uint32Array<ArrayBuffer> {
    const { words, homeCount, capacity } = this;
    const near = new Uint32Array(2 * homeCount);
    for (let row = 0; row < capacity; row++) {
      const client = words[(row << ROW_SHIFT_32) + CLIENT]!;
      if (client === KIND.FREE) continue;
      const track = this.track(row);
      if (this.kind(row) < KIND.LIVE || (track & TRACK.state) >= TRACK.RECYCLE) {
        this.#unfinished.set(row, [client, track]);
        assertFit(this.#unfinished.size <= MAX_RECORDS, () => 'rows: too many are unfinished');
        continue;
      }
      const reason = this.#reasonAgainst(row, isDestination);
      if (reason !== undefined) {
        this.#doubtful.set(row, reason);
        assertFit(this.#doubtful.size <= MAX_STALE, () => `row ${row}: ${reason}`);
        continue;
      }
      const hop = this.isTemplateKind(this.kind(row)) ? 0 : this.nextHop(row);
      if (hop !== 0) this.#hopUsers[hop] = row + 1;
      const home = this.homeOf(row);
      const distance = row - home;
      if (row >= this.annexStart || distance < 0 || distance >= NEAR) this.#far.push(row);
      else near[2 * home + (distance >>> 5)]! |= 1 << (distance & 31);
    }
    return near;
  }

  /** Returns what is invalid in a row in use; undefined: nothing. */
  #reasonAgainst(row: Row, isDestination: (number: number) => boolean): string | undefined {
    const { words } = this;
    const at = row << ROW_SHIFT_32;
    const client = words[at + CLIENT]!;
    const kind = client >>> KIND_SHIFT;
    const track = this.track(row);
    if ((kind & ~KIND.WIDE) > KIND.INVALID) return `kind ${kind}`;
    if (!PROTOCOLS.has(this.protocol(row))) return `protocol ${this.protocol(row)}`;
    const method = (track & METHOD_BITS) >>> TRACK.method;
    if (method > ROUTE_METHOD) return `method ${method}`;
    if ((track & UNUSED_BITS) !== 0) return `track ${track}`;
    if (this.timeout(row) > MAX_TIMEOUT_TICKS) return `timeout ${this.timeout(row)}`;
    const number = this.destination(row);
    if (number > MAX_DESTINATIONS || !isDestination(number)) return `destination ${number}`;
    if ((client & WIDE) === 0 && !this.isTemplateKind(kind)) {
      if (words[at + CADDR] !== 0 || words[at + CADDR + 1] !== 0 || words[at + CADDR + 2] !== MAPPED_WORD)
        return 'client address';
      if (words[at + VADDR] !== 0 || words[at + VADDR + 1] !== 0 || words[at + VADDR + 2] !== MAPPED_WORD)
        return 'virtual address';
    }
    if (((this.head[HEAD.order >> 2]! - this.orders[row]!) | 0) < 0) return `order ${this.orders[row]}`;
    return undefined;
  }

  protected isTemplateKind(kind: number): boolean {
    const plain = kind & ~KIND.WIDE;
    return plain === KIND.TEMPLATE || plain === KIND.INVALID;
  }

  #isInUse(row: Row): boolean {
    return this.has(row) && (this.track(row) & TRACK.state) < TRACK.RECYCLE;
  }

  /** Returns the homes whose bits are not those of `near`. */
  #mismatches(near: Uint32Array<ArrayBuffer>): number[] {
    const { words, homeCount } = this;
    const homes: number[] = [];
    for (let home = 0; home < homeCount; home++) {
      const at = (home << ROW_SHIFT_32) + NEAR_BITS;
      if (words[at] !== (near[2 * home]! | 0) || words[at + 1] !== (near[2 * home + 1]! | 0))
        homes.push(home);
    }
    return homes;
  }

  /** Frees the rows that are as they were. Returns how many. */
  #freeUnfinished(): number {
    let freed = 0;
    for (const [row, [client, track]] of this.#unfinished) {
      const at = row << ROW_SHIFT_32;
      if (this.words[at + CLIENT] !== client || this.track(row) !== track) continue;
      for (let home = Math.max(0, row - NEAR + 1); home <= row && home < this.homeCount; home++)
        this.#clearNear(home, row - home);
      this.controls.clear(row);
      Atomics.store(this.words, at + CLIENT, KIND.FREE);
      freed++;
    }
    return freed;
  }

  #clearNear(home: number, distance: number): void {
    const at = (home << ROW_SHIFT_32) + NEAR_BITS + (distance >>> 5);
    const bit = 1 << (distance & 31);
    if ((this.words[at]! & bit) !== 0) Atomics.and(this.words, at, ~bit);
  }

  /** Corrects the bits `near` of homes that still differ, and returns how many bits. */
  #mendNear(homes: readonly number[]): number {
    let stale = 0;
    for (const home of homes)
      for (let distance = 0; distance < NEAR; distance++) {
        const row = home + distance;
        const at = (home << ROW_SHIFT_32) + NEAR_BITS + (distance >>> 5);
        const isSet = (this.words[at]! & (1 << (distance & 31))) !== 0;
        const isHere = row < this.annexStart && this.#isInUse(row) && this.homeOf(row) === home;
        if (isSet === isHere) continue;
        stale++;
        assertFit(stale <= MAX_STALE, () => `rows: bits of home ${home} are not those of its rows`);
        if (isSet) this.#clearNear(home, distance);
        else Atomics.or(this.words, at, 1 << (distance & 31));
      }
    return stale;
  }

  /** Makes the annex find the rows that are not near their homes. Returns how many of its bits were wrong. */
  #rebuildAnnex(): number {
    const rows = this.#far.filter((row) => this.#isInUse(row));
    const wrong = this.annex.differences(new Set(rows.map((row) => this.homeOf(row))));
    assertFit(wrong <= MAX_STALE, () => `spilled: ${wrong} bits are not those of the rows`);
    this.annex.adopt(rows.filter((row) => row >= this.annexStart));
    for (const row of rows) this.link(this.homeOf(row), row);
    return wrong;
  }

  /** Counts the rows that each row controls. Returns how many counts were wrong, and not because a program was at work. */
  async #countControlled(): Promise<number> {
    const rows: ControlledRows = {
      isInUse: (row) => this.#isInUse(row),
      isFree: (row) => this.words[(row << ROW_SHIFT_32) + CLIENT] === KIND.FREE,
      isTemplate: (row) => this.isTemplateKind(this.kind(row)),
      generation: (row) => this.generation(row),
    };
    const examine = (): ReadonlyMap<Row, number> => {
      const differences = this.controls.examine(rows);
      assertFit(differences !== undefined, () => 'templates: a row is controlled by none in use');
      return differences!;
    };
    const found = examine();
    if (found.size === 0) return 0;
    await sleep(GRACE_MS);
    let corrected = 0;
    for (const [template, difference] of examine()) {
      if (found.get(template) !== difference) continue;
      this.controls.correct(template, difference);
      corrected++;
    }
    return corrected;
  }

  /** Returns what the row counts as now; 0: it is not in use. */
  #markOf(row: Row): number {
    if (this.words[(row << ROW_SHIFT_32) + CLIENT] === KIND.FREE) return 0;
    const kind = this.kind(row);
    const track = this.track(row);
    if (kind < KIND.LIVE || (track & TRACK.state) >= TRACK.RECYCLE) return 0;
    const { active, inactive, template } = PART;
    const part = this.isTemplateKind(kind) ? template : (track & TRACK.INACTIVE) !== 0 ? inactive : active;
    return markOf(track >>> TRACK.generation, this.destination(row), part, kind === KIND.OPEN);
  }

  /** Returns a count that director and programs keep. `index`: see correctCounts. */
  #readCount(index: number): number {
    const number = Math.floor(index / FIELDS.length);
    if (number > 0) return this.records.word(number, FIELDS[index % FIELDS.length]!);
    return index === ALL || index === OPEN ? this.head[headOf(index)]! : 0;
  }

  #addToCount(index: number, difference: number): void {
    const number = Math.floor(index / FIELDS.length);
    if (number > 0) this.records.addWord(number, FIELDS[index % FIELDS.length]!, difference);
    else Atomics.add(this.head, headOf(index), difference);
  }
}

/** Returns the index of a count of all rows in the head. */
const headOf = (index: number): number => (index === ALL ? HEAD.live : HEAD.open) >> 2;
