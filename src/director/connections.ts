/** The connection table of a director: rows of src/table, in memory of this process, with a timer for each. */
import { type FiveTuple, NONE, type Row } from '../model/connection.ts';
import { type Adopted, AdoptedRows } from '../table/adopted-rows.ts';
import { DestinationRecords } from '../table/destination-records.ts';
import { secretsFrom } from '../table/homes.ts';
import { TRACK } from '../table/layout.ts';
import { ordinaryMemory, type TableMemory } from '../table/memory.ts';
import { Rows, TAKEN } from '../table/rows.ts';
import { MAX_TIMEOUT_TICKS, type Ticks } from '../table/ticks.ts';
import type { Address } from '../wire/address.ts';
import { ConnectionFields } from './connection-fields.ts';
import { kindOf, trackOf } from './connection-flags.ts';
import type { Expiry } from './expiry.ts';
import { RowScan } from './row-scan.ts';
import { TimerWheel } from './timer-wheel.ts';

/** What a connection or a template is bound to, and how. */
export interface Binding {
  /** Number of the destination. */
  readonly destination: number;
  /** The destination's port, or `vport`. */
  readonly dport: number;
  /** Of include/uapi/linux/ip_vs.h. */
  readonly flags: number;
  /** 32 bits that distinguish templates with all else in common, as a persistence engine makes them. */
  readonly salt: number;
}

export interface TableOptions {
  /** The most rows. */
  readonly limit: number;
  /** 32 random bits, secret. */
  readonly seed: number;
  /** Default: memory of this process. */
  readonly memory?: TableMemory;
  /** The records of destinations; default: new ones in `memory`. */
  readonly records?: DestinationRecords;
  /** The clock of rows whose timers programs of the kernel restart; without it, a timer wheel has the timers. */
  readonly ticks?: Ticks | undefined;
  /** The secrets of a table that another process has left in `memory`: `adopt` has to be called. Default: a new table. */
  readonly secrets?: Uint32Array<ArrayBuffer> | undefined;
}

/** Attempts to add a row while a program of the kernel publishes one with the same ends, which takes it about 1 us. */
const MAX_ATTEMPTS = 1000;

/** Share of the table in use from which embryonic connections give way to new ones, and the valve for new ones works. */
export const NEARLY_FULL_SHARE = 7 / 8;

/** All memory is reserved at once; only pages that were written to are resident. Rows are numbered by their place. */
export class ConnectionTable extends ConnectionFields {
  /** The most rows in use. */
  readonly capacity: number;
  /** Secrets of the homes of rows, see Homes. */
  readonly secrets: Uint32Array;

  /** What `#fetch` read, so that it is read at all. */
  protected fetched = 0;

  /** How often `add` took the last free row, or found none. */
  fullCount = 0;
  #highest = 0;
  readonly #rows: Rows;
  /** Reused by `add`. */
  readonly #made = { kind: 0, destination: 0, track: 0, salt: 0, timeout: 0, seen: 0 };
  readonly #expiry: Expiry;
  readonly #scan: RowScan | undefined;
  /** The callback of `expire`. */
  #onExpired: (row: Row) => boolean = () => false;

  constructor({ limit, seed, memory = ordinaryMemory, records, ticks, secrets: left }: TableOptions) {
    const secrets = left ?? secretsFrom(seed);
    const options = { limit, secrets, memory, records: records ?? new DestinationRecords(memory) };
    const rows = left ? new AdoptedRows(options) : new Rows(options);
    super(rows);
    this.#rows = rows;
    this.secrets = secrets;
    this.capacity = limit;
    this.#scan = ticks && new RowScan(this.#rows, ticks);
    this.#expiry = this.#scan ?? new TimerWheel(this.#rows.capacity);
  }

  /** Examines, repairs and counts the rows that another process has left. Throws UnfitMemory. */
  adopt(isDestination: (number: number) => boolean): Promise<Adopted> {
    const rows = this.#rows;
    if (!(rows instanceof AdoptedRows)) throw new Error('a new table: nothing to adopt');
    return rows.adopt(isDestination);
  }

  /** Returns the records of destinations, which rows name by number. */
  get records(): DestinationRecords {
    return this.#rows.records;
  }

  /** Returns the rows in use. */
  get size(): number {
    return this.#rows.size;
  }

  /** Returns the most rows that were in use at the same time; of those that programs of the kernel made, as far as was seen. */
  get highest(): number {
    this.#highest = Math.max(this.#highest, this.size);
    return this.#highest;
  }

  /** Returns the bytes reserved. */
  get bytes(): number {
    return this.#rows.bytes + this.#expiry.bytes;
  }

  /** Returns the number of homes, see Homes. */
  get homes(): number {
    return this.#rows.homeCount;
  }

  /** Returns the bound of row numbers, of rows in use or not. */
  get places(): number {
    return this.#rows.capacity;
  }

  /** Returns the most rows of one home so far: what a lookup compares at most. */
  get longestProbe(): number {
    return this.#rows.longestProbe;
  }

  /** Returns the rows that lie in the annex, because the places near their homes are taken. */
  get spilled(): number {
    return this.#rows.spilled;
  }

  /**
   * Makes a row, with state, timeout and packets 0; NONE if the table is full. It does not expire before it is touched. Only
   * replies find an older connection with the same ends after that.
   */
  add(ends: FiveTuple, { destination, dport, flags, salt }: Binding): Row {
    const rows = this.#rows;
    const { vport } = ends;
    const track = trackOf(flags) | (dport === rows.records.port(destination) ? 0 : TRACK.SAME_PORT);
    if ((track & TRACK.SAME_PORT) !== 0 && dport !== vport)
      throw new RangeError(`connection to port ${dport}: expected that of the destination or ${vport}`);
    const made = this.#made;
    made.kind = kindOf(flags);
    made.destination = destination;
    made.track = track;
    made.salt = salt;
    let row = this.#addWithRoom(ends);
    for (let attempt = 0; row === TAKEN && attempt < MAX_ATTEMPTS; attempt++) {
      // A program of the kernel may be about to publish a row with these ends, which is not found before that.
      const former = rows.findRequest(ends.protocol, ends.caddr, ends.cport, ends.vaddr, vport);
      if (former !== NONE) rows.replace(former);
      row = rows.add(ends, made);
    }
    if (rows.size > this.#highest) this.#highest = rows.size;
    if (rows.size >= this.capacity) this.fullCount++;
    return row === TAKEN ? NONE : row;
  }

  /** Adds what `#made` says, in place of a row near its home whose time has come if there is no other place. */
  #addWithRoom(ends: FiveTuple): Row {
    const made = this.#made;
    const scan = this.#scan;
    if (scan === undefined) return this.#rows.add(ends, made);
    // Until it is touched, it is due as late as can be.
    made.timeout = MAX_TIMEOUT_TICKS;
    made.seen = scan.tick;
    const row = this.#rows.add(ends, made);
    if (row !== NONE) return row;
    scan.advanceNear(this.#rows.homeFor(ends, made), (due) => this.#ask(due, scan.now));
    return this.#rows.add(ends, made);
  }

  /**
   * Ends the row if `track` is what `track` returned for it, so that no program changes it any more. Reports whether it
   * did: otherwise the row had a packet since, or has ended.
   */
  end(row: Row, track: number): boolean {
    return this.#rows.end(row, track);
  }

  /** Sees that a template controls no rows from now on, so that it may end. Returns false if it controls some. */
  closeTemplate(row: Row): boolean {
    return this.#rows.closeTemplate(row);
  }

  /** Reports whether the row has ended, and waits to be removed, or has another connection at this moment. */
  hasEnded(row: Row): boolean {
    return this.#rows.state(row) >= TRACK.RECYCLE;
  }

  /** Returns state and flags as one value, for `end`. */
  track(row: Row): number {
    return this.#rows.track(row);
  }

  /** Frees the row, whose number will be used again. The row that controls it controls one less. */
  remove(row: Row): void {
    this.#rows.remove(row);
    this.#expiry.cancel(row);
  }

  /** Reports whether the row is in use. */
  has(row: Row): boolean {
    return this.#rows.has(row);
  }

  /**
   * Returns the newest connection that a packet of this client to this virtual endpoint belongs to, never a template. Where
   * none has the client's port, one that does not know it yet (NO_CPORT) does.
   */
  findFromClient(protocol: number, caddr: Address, cport: number, vaddr: Address, vport: number): Row {
    return this.#fetch(this.#rows.findRequest(protocol, caddr, cport, vaddr, vport));
  }

  /** Returns the newest template of this client, or of its network, for this virtual endpoint; NONE: there is none. */
  findTemplate(protocol: number, caddr: Address, vaddr: Address, vport: number, salt = 0): Row {
    return this.#rows.findTemplate(protocol, caddr, vaddr, vport, salt);
  }

  /**
   * Shows every template that `findTemplate` could return for these arguments, newest first, until `visit` returns true
   * for one, which is the answer. `visit` may remove the row that it is given, and no other.
   */
  templates(
    protocol: number,
    caddr: Address,
    vaddr: Address,
    vport: number,
    visit: (row: Row) => boolean,
    salt = 0,
  ): Row {
    return this.#rows.templates(protocol, caddr, vaddr, vport, salt).find(visit) ?? NONE;
  }

  /** Returns the newest translated connection of this destination and this client, never a template; NONE: there is none. */
  findFromDestination(protocol: number, daddr: Address, dport: number, caddr: Address, cport: number): Row {
    return this.#fetch(this.#rows.findReply(protocol, daddr, dport, caddr, cport));
  }

  /** The template is not found any more, and shows INVALID_PORT on its virtual and its destination side. */
  invalidateTemplate(row: Row): void {
    this.#rows.invalidate(row);
  }

  /** Returns the ms that `touch` gives. */
  timeout(row: Row): number {
    return this.#expiry.toMs(this.#rows.timeout(row));
  }

  setTimeout(row: Row, ms: number): void {
    this.#rows.setTimeout(row, this.#expiry.toWritten(ms));
  }

  /**
   * Returns the rows in use from number `from` to `to`, exclusive, in the order of their numbers. Rows may be removed and
   * added meanwhile. Reading all places of an empty table takes time, too: the packet thread reads them in portions.
   */
  *rows(from = 0, to = this.places): Generator<Row, void, undefined> {
    const end = Math.min(to, this.places);
    for (let row = from; row < end; row++) if (this.#rows.has(row)) yield row;
  }

  /** Restarts the row's timer: it expires its timeout after `now`, in ms. */
  touch(row: Row, now: number): void {
    this.#expiry.restart(row, now, this.timeout(row));
  }

  /** When the row expires, ms of the clock of `touch`; negative: at the next `expire`; 0 where it is not armed. */
  expires(row: Row): number {
    return this.#expiry.expires(row);
  }

  /** False before a row's first `touch`, and while `onExpired` is asked about it. */
  armed(row: Row): boolean {
    return this.#expiry.armed(row);
  }

  /** The row is due at the next `expire`. */
  expireNow(row: Row): void {
    this.#expiry.dueNow(row);
  }

  /**
   * Asks about every row whose time has come, in the order of time (in steps of TICK ms): true removes the row, false
   * keeps it, for another timeout unless the callback touched it itself. The callback may add, remove and touch
   * any rows.
   */
  expire(now: number, onExpired: (row: Row) => boolean): void {
    this.#onExpired = onExpired;
    if (this.size > this.#highest) this.#highest = this.size;
    this.#expiry.advance(now, (row) => this.#ask(row, now));
  }

  #ask(row: Row, now: number): void {
    const remove = this.#onExpired(row);
    if (!this.has(row)) return;
    if (remove) this.remove(row);
    else if (!this.#expiry.armed(row)) this.touch(row, now);
  }

  /** Reads the row's timer together with the row: in a large table both are cache misses. */
  #fetch(row: Row): Row {
    if (row !== NONE) this.fetched = this.#expiry.expires(row);
    return row;
  }
}
