/** The connection table of a director: rows of src/table, in memory of this process, with a timer for each. */
import { type FiveTuple, NONE, type Row } from '../model/connection.ts';
import { DestinationRecords } from '../table/destination-records.ts';
import { secretsFrom } from '../table/homes.ts';
import { KIND, TRACK } from '../table/layout.ts';
import { ordinaryMemory, type TableMemory } from '../table/memory.ts';
import { Rows, TAKEN } from '../table/rows.ts';
import type { Address } from '../wire/address.ts';
import { flagsOf, kindOf, trackOf } from './connection-flags.ts';
import { SelectedRow } from './selected-row.ts';
import { TimerWheel } from './timer-wheel.ts';

/** A persistence template that is no longer valid has this port on its virtual and its destination side. */
export const INVALID_PORT = 0xffff;

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
}

/** All memory is reserved at once; only pages that were written to are resident. Rows are numbered by their place. */
export class ConnectionTable {
  /** The most rows in use. */
  readonly capacity: number;
  /** Secrets of the homes of rows, see Homes. */
  readonly secrets: Uint32Array;
  /** What `select` fills. */
  readonly window = new SelectedRow();
  /** The most rows that were in use at the same time. */
  highest = 0;

  /** What `#fetch` read, so that it is read at all. */
  protected fetched = 0;

  readonly #rows: Rows;
  /** Reused by `add`. */
  readonly #made = { kind: 0, destination: 0, track: 0, salt: 0 };
  readonly #wheel: TimerWheel;

  constructor({ limit, seed, memory = ordinaryMemory, records }: TableOptions) {
    this.secrets = secretsFrom(seed);
    this.#rows = new Rows({
      limit,
      secrets: this.secrets,
      memory,
      records: records ?? new DestinationRecords(memory),
    });
    this.capacity = limit;
    this.#wheel = new TimerWheel(this.#rows.capacity);
  }

  /** Returns the records of destinations, which rows name by number. */
  get records(): DestinationRecords {
    return this.#rows.records;
  }

  /** Returns the rows in use. */
  get size(): number {
    return this.#rows.size;
  }

  /** Returns the bytes reserved. */
  get bytes(): number {
    return this.#rows.bytes + this.#wheel.bytes;
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
    let row = rows.add(ends, made);
    if (row === TAKEN) {
      rows.replace(rows.findRequest(ends.protocol, ends.caddr, ends.cport, ends.vaddr, vport));
      row = rows.add(ends, made);
    }
    if (rows.size > this.highest) this.highest = rows.size;
    return row;
  }

  /** Frees the row, whose number will be used again. The row that controls it controls one less. */
  remove(row: Row): void {
    this.#rows.remove(row);
    this.#wheel.cancel(row);
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

  /** The row's client port became known: it is no longer NO_CPORT and is found by this port. */
  setClientPort(row: Row, port: number): void {
    this.#rows.setClientPort(row, port);
  }

  /** The template is not found any more, and shows INVALID_PORT on its virtual and its destination side. */
  invalidateTemplate(row: Row): void {
    this.#rows.invalidate(row);
  }

  /** Returns the IP protocol number; 0 for a template of a firewall mark. */
  protocol(row: Row): number {
    return this.#rows.protocol(row);
  }

  /** Returns the flags of include/uapi/linux/ip_vs.h, among them the method. */
  flags(row: Row): number {
    return this.method(row) | flagsOf(this.#rows.kind(row), this.#rows.track(row));
  }

  /** Returns the number of the forwarding method: MASQ, LOCAL, TUNNEL or ROUTE. */
  method(row: Row): number {
    return this.#rows.method(row);
  }

  isTemplate(row: Row): boolean {
    const kind = this.#rows.kind(row);
    return kind === KIND.TEMPLATE || kind === KIND.INVALID;
  }

  isOnePacket(row: Row): boolean {
    return this.#rows.kind(row) === KIND.HIDDEN;
  }

  /** Reports whether no packet of the destination was seen. */
  isHalfSeen(row: Row): boolean {
    return (this.#rows.track(row) & TRACK.NOOUTPUT) !== 0;
  }

  /** A packet of the destination was seen. */
  setFullySeen(row: Row): void {
    this.#rows.setBits(row, TRACK.NOOUTPUT, 0);
  }

  /** Reports whether the row is counted among its destination's inactive connections. */
  isInactive(row: Row): boolean {
    return (this.#rows.track(row) & TRACK.INACTIVE) !== 0;
  }

  setInactive(row: Row, inactive: boolean): void {
    this.#rows.setBits(row, TRACK.INACTIVE, inactive ? TRACK.INACTIVE : 0);
  }

  /** Returns the state of its protocol. */
  state(row: Row): number {
    return this.#rows.state(row);
  }

  setState(row: Row, state: number): void {
    this.#rows.setBits(row, TRACK.state, state);
  }

  /** Returns the ms that `touch` gives. */
  timeout(row: Row): number {
    return this.#rows.timeout(row);
  }

  setTimeout(row: Row, ms: number): void {
    this.#rows.setTimeout(row, ms);
  }

  /** Returns the number of the destination. */
  destination(row: Row): number {
    return this.#rows.destination(row);
  }

  /** Returns how many packets came from the client; many are not counted exactly. */
  packets(row: Row): number {
    return this.isTemplate(row) ? 0 : this.#rows.packets(row);
  }

  addPackets(row: Row, count: number): void {
    this.#rows.addPackets(row, count);
  }

  /** Returns the row that controls this one: a template, or the connection that announced it; NONE: there is none. */
  template(row: Row): Row {
    return this.#rows.template(row);
  }

  /** Returns how many rows this one controls. */
  children(row: Row): number {
    return this.#rows.children(row);
  }

  /** Makes `template` control the row until one of them is removed. */
  control(row: Row, template: Row): void {
    this.#rows.control(row, template);
  }

  /** Sets how many rows this one controls, for a copy of a table. */
  setChildren(row: Row, count: number): void {
    this.#rows.setChildren(row, count);
  }

  /** Returns what distinguishes a template that a persistence engine made; 0 for a connection. */
  salt(row: Row): number {
    return this.isTemplate(row) ? this.#rows.salt(row) : 0;
  }

  cport(row: Row): number {
    return this.#rows.cport(row);
  }

  vport(row: Row): number {
    return this.#isInvalid(row) ? INVALID_PORT : this.#rows.vport(row);
  }

  dport(row: Row): number {
    return this.#isInvalid(row) ? INVALID_PORT : this.#rows.dport(row);
  }

  copyCaddr(row: Row, into: Address): Address {
    return this.#rows.copyCaddr(row, into);
  }

  copyVaddr(row: Row, into: Address): Address {
    return this.#rows.copyVaddr(row, into);
  }

  /** Fills `window` with the row's addresses and ports. */
  select(row: Row): SelectedRow {
    const { window } = this;
    const rows = this.#rows;
    window.row = row;
    window.protocol = rows.protocol(row);
    window.cport = rows.cport(row);
    window.vport = this.vport(row);
    window.dport = this.dport(row);
    rows.copyCaddr(row, window.caddr);
    rows.copyVaddr(row, window.vaddr);
    return window;
  }

  /** Returns the rows in use, in the order of their numbers. Rows may be removed and added meanwhile. */
  *rows(): Generator<Row, void, undefined> {
    for (let row = 0; row < this.#rows.capacity; row++) if (this.#rows.has(row)) yield row;
  }

  /** Restarts the row's timer: it expires its timeout after `now`, in ms. */
  touch(row: Row, now: number): void {
    this.#wheel.restart(row, now, this.timeout(row));
  }

  /** When the row expires, ms of the clock of `touch`; negative: at the next `expire`; 0 where it is not armed. */
  expires(row: Row): number {
    return this.#wheel.expires[row]!;
  }

  /** False before a row's first `touch`, and while `onExpired` is asked about it. */
  armed(row: Row): boolean {
    return this.#wheel.armed(row);
  }

  /** The row is due at the next `expire`. */
  expireNow(row: Row): void {
    this.#wheel.dueNow(row);
  }

  /**
   * Asks about every row whose time has come, in the order of time (in steps of TICK ms): true removes the row, false
   * keeps it, for another timeout unless the callback touched it itself. The callback may add, remove and touch
   * any rows.
   */
  expire(now: number, onExpired: (row: Row) => boolean): void {
    this.#wheel.advance(now, (row) => {
      const remove = onExpired(row);
      if (!this.has(row)) return;
      if (remove) this.remove(row);
      else if (!this.#wheel.armed(row)) this.touch(row, now);
    });
  }

  #isInvalid(row: Row): boolean {
    return this.#rows.kind(row) === KIND.INVALID;
  }

  /** Reads the row's timer together with the row: in a large table both are cache misses. */
  #fetch(row: Row): Row {
    if (row !== NONE) this.fetched = this.#wheel.expires[row]!;
    return row;
  }
}
