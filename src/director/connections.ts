/** The connection table of a director: rows of src/table, in memory of this process, with a timer for each. */
import { NONE, type Row } from '../model/connection.ts';
import type { DestinationRecords } from '../table/destination-records.ts';
import { secretsFrom } from '../table/homes.ts';
import { KIND, TRACK } from '../table/layout.ts';
import { ordinaryMemory } from '../table/memory.ts';
import { Rows, TAKEN } from '../table/rows.ts';
import type { Address } from '../wire/address.ts';
import { TimerWheel } from './timer-wheel.ts';

/** Forwarding method of a connection, flags & FORWARDING_METHOD; the numbers of include/uapi/linux/ip_vs.h, Linux 6.1. */
export const MASQ = 0;
export const LOCAL = 1;
export const TUNNEL = 2;
export const ROUTE = 3;
const FORWARDING_METHOD = 0x7;
/** Further flags, of the same file. */
/** No packet of the destination was seen. */
export const NOOUTPUT = 0x80;
/** Counted among its destination's inactive connections. */
export const INACTIVE = 0x100;
/** The client's port is not known yet (FTP data). */
export const NO_CPORT = 0x800;
export const TEMPLATE = 0x1000;
/** Exists for one packet; lookups do not find it. */
export const ONE_PACKET = 0x2000;

/** A persistence template that is no longer valid has this port on its virtual and its destination side. */
export const INVALID_PORT = 0xffff;

/** A row's addresses and ports, copied out of the table; valid until the next `select`. */
export class SelectedRow {
  row: Row = NONE;
  protocol = 0;
  readonly caddr: Address = new Uint32Array(4);
  cport = 0;
  readonly vaddr: Address = new Uint32Array(4);
  vport = 0;
  dport = 0;
}

/** All memory is reserved at once; only pages that were written to are resident. Rows are numbered by their place. */
export class ConnectionTable {
  /** The most rows in use. */
  readonly capacity: number;
  /** What `select` fills. */
  readonly window = new SelectedRow();
  /** The most rows that were in use at the same time. */
  highest = 0;

  /** What `#fetch` read, so that it is read at all. */
  protected fetched = 0;

  readonly #rows: Rows;
  readonly #wheel: TimerWheel;

  /** `limit`: the most rows. `seed`: 32 random bits, secret. */
  constructor(options: { readonly limit: number; readonly seed: number }) {
    const { limit, seed } = options;
    this.#rows = new Rows({ limit, secrets: secretsFrom(seed), memory: ordinaryMemory });
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
   * replies find an older connection with the same key after that. `destination`: number of its record. `dport`: the
   * port of that record, or `vport`. `flags`: of include/uapi/linux/ip_vs.h. `salt` (32 bits) distinguishes templates that
   * have all else in common, as a persistence engine makes them.
   */
  add(
    protocol: number,
    caddr: Address,
    cport: number,
    vaddr: Address,
    vport: number,
    destination: number,
    dport: number,
    flags: number,
    salt = 0,
  ): Row {
    const rows = this.#rows;
    const kind = kindOf(flags);
    const track = trackOf(flags) | (dport === rows.records.port(destination) ? 0 : TRACK.SAME_PORT);
    if ((track & TRACK.SAME_PORT) !== 0 && dport !== vport)
      throw new RangeError(`connection to port ${dport}: expected that of the destination or ${vport}`);
    let row = rows.add(kind, protocol, caddr, cport, vaddr, vport, destination, track, salt);
    if (row === TAKEN) {
      rows.replace(rows.findRequest(protocol, caddr, cport, vaddr, vport));
      row = rows.add(kind, protocol, caddr, cport, vaddr, vport, destination, track, salt);
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
    const track = this.#rows.track(row);
    const kind = this.#rows.kind(row);
    return (
      this.method(row) |
      ((track & TRACK.NOOUTPUT) !== 0 ? NOOUTPUT : 0) |
      ((track & TRACK.INACTIVE) !== 0 ? INACTIVE : 0) |
      (kind === KIND.OPEN ? NO_CPORT : 0) |
      (this.isTemplate(row) ? TEMPLATE : 0) |
      (kind === KIND.HIDDEN ? ONE_PACKET : 0)
    );
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

function kindOf(flags: number): number {
  if (flags & ONE_PACKET) return KIND.HIDDEN;
  if (flags & TEMPLATE) return KIND.TEMPLATE;
  return flags & NO_CPORT ? KIND.OPEN : KIND.LIVE;
}

const trackOf = (flags: number): number =>
  ((flags & FORWARDING_METHOD) << TRACK.method) |
  ((flags & NOOUTPUT) !== 0 ? TRACK.NOOUTPUT : 0) |
  ((flags & INACTIVE) !== 0 ? TRACK.INACTIVE : 0);
