/** The connection table: a struct of typed arrays, a connection is a row number, found from either side. */
import { NONE, type Row } from '../model/connection.ts';
import type { Address } from '../wire/address.ts';
import { ConnectionIndex } from './connection-index.ts';
import {
  CADDR,
  type ConnectionKeys,
  DADDR,
  FREE,
  FULL,
  HIDDEN,
  OPEN,
  PERSISTENT,
  TRANSLATED,
  VADDR,
} from './connection-keys.ts';
import { TimerWheel } from './timer-wheel.ts';

/** Forwarding method of a connection, flags & FORWARDING_METHOD; the numbers of include/uapi/linux/ip_vs.h, Linux 6.1. */
export const MASQ = 0;
export const LOCAL = 1;
export const TUNNEL = 2;
export const ROUTE = 3;
export const FORWARDING_METHOD = 0x7;
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

/** A persistence template that is valid no more has this port on its virtual and its destination side. */
export const INVALID_PORT = 0xffff;

/** So that a row's words can be numbered in 30 bits. */
export const MAX_LIMIT = 2 ** 26;

/** A row's addresses and ports, copied out of the table; valid until the next `select`. */
export class SelectedRow {
  row: Row = NONE;
  protocol = 0;
  readonly caddr: Address = new Uint32Array(4);
  cport = 0;
  readonly vaddr: Address = new Uint32Array(4);
  vport = 0;
  readonly daddr: Address = new Uint32Array(4);
  dport = 0;
}

/** Every array is reserved for `limit` rows at once; only the pages of rows that were used are resident. */
export class ConnectionTable {
  /** Rows reserved. */
  readonly capacity: number;
  readonly #flags: Uint16Array<ArrayBuffer>;
  readonly #state: Uint8Array<ArrayBuffer>;
  readonly #timeout: Uint32Array<ArrayBuffer>;
  readonly #destination: Int32Array<ArrayBuffer>;
  readonly #packets: Uint32Array<ArrayBuffer>;
  readonly #template: Int32Array<ArrayBuffer>;
  readonly #children: Uint32Array<ArrayBuffer>;
  /** What `select` fills. */
  readonly window = new SelectedRow();

  /** What `#fetch` read, so that it is read at all. */
  protected fetched = 0;

  readonly #index: ConnectionIndex;
  readonly #keys: ConnectionKeys;
  readonly #wheel: TimerWheel;

  /** `limit`: the most rows. `seed`: 32 random bits, secret. */
  constructor(options: { readonly limit: number; readonly seed: number }) {
    const { limit, seed } = options;
    if (!Number.isInteger(limit) || limit < 1 || limit > MAX_LIMIT)
      throw new RangeError(`a connection table of ${limit} rows: must be 1 to ${MAX_LIMIT}`);
    this.capacity = limit;
    this.#flags = new Uint16Array(limit);
    this.#state = new Uint8Array(limit);
    this.#timeout = new Uint32Array(limit);
    this.#destination = new Int32Array(limit);
    this.#packets = new Uint32Array(limit);
    this.#template = new Int32Array(limit);
    this.#children = new Uint32Array(limit);
    this.#index = new ConnectionIndex(limit, seed);
    this.#keys = this.#index.keys;
    this.#wheel = new TimerWheel(limit);
  }

  /** Returns the rows in use. */
  get size(): number {
    return this.#index.size;
  }

  /** Returns the bytes of all arrays as far as they have been used. */
  get octets(): number {
    const columns =
      this.#flags.BYTES_PER_ELEMENT +
      this.#state.BYTES_PER_ELEMENT +
      this.#timeout.BYTES_PER_ELEMENT +
      this.#destination.BYTES_PER_ELEMENT +
      this.#packets.BYTES_PER_ELEMENT +
      this.#template.BYTES_PER_ELEMENT +
      this.#children.BYTES_PER_ELEMENT;
    const rows = this.#index.highWater;
    return rows * columns + this.#index.octets + this.#wheel.octets(rows);
  }

  /** Returns the rows that were ever in use at the same time: all rows in use have lower numbers. */
  get highWater(): number {
    return this.#index.highWater;
  }

  /** Returns the most rows that one lookup has had to compare. */
  get longestProbe(): number {
    return this.#index.longestProbe;
  }

  /**
   * A new row, all its columns 0 or NONE; NONE when the table is full. It does not expire before it is touched.
   * `salt` (32 bits) tells templates apart that have all else in common, as a persistence engine makes them.
   */
  add(
    protocol: number,
    caddr: Address,
    cport: number,
    vaddr: Address,
    vport: number,
    daddr: Address,
    dport: number,
    flags: number,
    salt = 0,
  ): Row {
    const kind = kindOf(flags);
    const row = this.#index.insert(
      kind,
      protocol,
      caddr,
      cport,
      vaddr,
      vport,
      daddr,
      dport,
      kind === PERSISTENT ? salt : 0,
    );
    if (row === NONE) return NONE;
    this.#flags[row] = flags;
    this.#state[row] = 0;
    this.#timeout[row] = 0;
    this.#destination[row] = NONE;
    this.#packets[row] = 0;
    this.#template[row] = NONE;
    this.#children[row] = 0;
    return row;
  }

  /** Takes the row out of index and wheel; its number will be given again. The row that controls it controls one less. */
  remove(row: Row): void {
    const template = this.#template[row]!;
    this.#index.delete(row);
    if (template !== NONE) this.#children[template] = this.#children[template]! - 1;
    this.#wheel.cancel(row);
  }

  /** True for a row in use. */
  has(row: Row): boolean {
    return row >= 0 && row < this.#index.highWater && this.#keys.kind(row) !== FREE;
  }

  /**
   * Returns the newest connection that a packet of this client to this virtual endpoint belongs to, never a template. Where
   * none has the client's port, one that does not know it yet (NO_CPORT) does.
   */
  findFromClient(protocol: number, caddr: Address, cport: number, vaddr: Address, vport: number): Row {
    const row = this.#index.find(FULL, protocol, caddr, cport, vaddr, vport, 0);
    if (row === NONE) return this.#index.find(OPEN, protocol, caddr, 0, vaddr, vport, 0);
    this.#fetch(row);
    return row;
  }

  /** Returns the newest template of this client (or of its network) for this virtual endpoint. */
  findTemplate(protocol: number, caddr: Address, vaddr: Address, vport: number, salt = 0): Row {
    return this.#index.find(PERSISTENT, protocol, caddr, 0, vaddr, vport, salt | 0);
  }

  /**
   * Shows every template that `findTemplate` could give for these arguments, newest first, until `visit` returns true
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
    let row = this.#index.find(PERSISTENT, protocol, caddr, 0, vaddr, vport, salt | 0);
    while (row !== NONE) {
      const following = this.#index.following(row);
      if (visit(row)) return row;
      row = this.#index.findNext(following, PERSISTENT, protocol, caddr, 0, vaddr, vport, salt | 0);
    }
    return NONE;
  }

  /** Returns the newest translated connection of this destination and this client, never a template; NONE: there is none. */
  findFromDestination(protocol: number, daddr: Address, dport: number, caddr: Address, cport: number): Row {
    const row = this.#index.findFromDestination(protocol, daddr, dport, caddr, cport);
    if (row !== NONE) this.#fetch(row);
    return row;
  }

  /** Returns the row's client port became known: it is no longer NO_CPORT and is found by this port. */
  setClientPort(row: Row, port: number): void {
    this.#flags[row] = this.#flags[row]! & ~NO_CPORT;
    this.#index.setPorts(row, port, this.#keys.vport(row), this.#keys.dport(row));
  }

  /** The template is not found any more, and shows INVALID_PORT on its virtual and its destination side. */
  invalidateTemplate(row: Row): void {
    this.#index.setPorts(row, 0, INVALID_PORT, INVALID_PORT);
  }

  /** IP protocol number; 0 for a template of a firewall mark. */
  protocol(row: Row): number {
    return this.#keys.protocol(row);
  }

  /** Returns the flags of include/uapi/linux/ip_vs.h, among them the method. */
  flags(row: Row): number {
    return this.#flags[row]!;
  }

  /** Returns the number of the forwarding method: MASQ, LOCAL, TUNNEL or ROUTE. */
  method(row: Row): number {
    return this.#flags[row]! & FORWARDING_METHOD;
  }

  isTemplate(row: Row): boolean {
    return (this.#flags[row]! & TEMPLATE) !== 0;
  }

  isOnePacket(row: Row): boolean {
    return (this.#flags[row]! & ONE_PACKET) !== 0;
  }

  /** Reports whether no packet of the destination was seen. */
  isHalfSeen(row: Row): boolean {
    return (this.#flags[row]! & NOOUTPUT) !== 0;
  }

  /** A packet of the destination was seen. */
  setFullySeen(row: Row): void {
    this.#flags[row] = this.#flags[row]! & ~NOOUTPUT;
  }

  /** Reports whether the row is counted among its destination's inactive connections. */
  isInactive(row: Row): boolean {
    return (this.#flags[row]! & INACTIVE) !== 0;
  }

  setInactive(row: Row, inactive: boolean): void {
    this.#flags[row] = inactive ? this.#flags[row]! | INACTIVE : this.#flags[row]! & ~INACTIVE;
  }

  /** Returns the state of its protocol. */
  state(row: Row): number {
    return this.#state[row]!;
  }

  setState(row: Row, state: number): void {
    this.#state[row] = state;
  }

  /** Returns the ms that `touch` gives. */
  timeout(row: Row): number {
    return this.#timeout[row]!;
  }

  setTimeout(row: Row, ms: number): void {
    this.#timeout[row] = ms;
  }

  /** Returns the number of the destination; NONE in a new row. */
  destination(row: Row): number {
    return this.#destination[row]!;
  }

  setDestination(row: Row, index: number): void {
    this.#destination[row] = index;
  }

  /** Returns how many packets came from the client. */
  packets(row: Row): number {
    return this.#packets[row]!;
  }

  addPackets(row: Row, count: number): void {
    this.#packets[row] = this.#packets[row]! + count;
  }

  /** Returns the row that controls this one: a template, or the connection that announced it; NONE: there is none. */
  template(row: Row): Row {
    return this.#template[row]!;
  }

  /** Returns how many rows this one controls. */
  children(row: Row): number {
    return this.#children[row]!;
  }

  /** Makes `template` control the row until one of them is removed. */
  control(row: Row, template: Row): void {
    this.#template[row] = template;
    this.setChildren(template, this.#children[template]! + 1);
  }

  /** Sets how many rows this one controls, for a copy of a table. */
  setChildren(row: Row, count: number): void {
    this.#children[row] = count;
  }

  /** What tells a template apart that a persistence engine made. */
  salt(row: Row): number {
    return this.#keys.salt(row);
  }

  cport(row: Row): number {
    return this.#keys.cport(row);
  }

  vport(row: Row): number {
    return this.#keys.vport(row);
  }

  dport(row: Row): number {
    return this.#keys.dport(row);
  }

  copyCaddr(row: Row, into: Address): Address {
    return this.#keys.copyAddress(row, CADDR, into);
  }

  copyVaddr(row: Row, into: Address): Address {
    return this.#keys.copyAddress(row, VADDR, into);
  }

  copyDaddr(row: Row, into: Address): Address {
    return this.#keys.copyAddress(row, DADDR, into);
  }

  /** Fills `window` with the row's addresses and ports. */
  select(row: Row): SelectedRow {
    const window = this.window;
    const keys = this.#keys;
    window.row = row;
    window.protocol = keys.protocol(row);
    window.cport = keys.cport(row);
    window.vport = keys.vport(row);
    window.dport = keys.dport(row);
    keys.copyAddress(row, CADDR, window.caddr);
    keys.copyAddress(row, VADDR, window.vaddr);
    keys.copyAddress(row, DADDR, window.daddr);
    return window;
  }

  /** Returns the rows in use, in the order of their numbers. Rows may be removed and added meanwhile. */
  *rows(): Generator<Row, void, undefined> {
    for (let row = 0; row < this.#index.highWater; row++) if (this.#keys.kind(row) !== FREE) yield row;
  }

  /** Restarts the row's timer: it expires timeout[row] ms after `now`. */
  touch(row: Row, now: number): void {
    this.#wheel.restart(row, now, this.#timeout[row]!);
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
   * keeps it, for another timeout[row] ms unless the callback touched it itself. The callback may add, remove and touch
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

  /**
   * Reads at once what the packet of a connection that was found needs next: in a large table every column is a cache
   * miss, and so their memory answers together instead of one after the other.
   */
  #fetch(row: Row): void {
    this.fetched =
      this.#flags[row]! ^
      this.#state[row]! ^
      this.#timeout[row]! ^
      this.#destination[row]! ^
      this.#packets[row]! ^
      this.#wheel.expires[row]!;
  }
}

function kindOf(flags: number): number {
  if (flags & ONE_PACKET) return HIDDEN;
  if (flags & TEMPLATE) return PERSISTENT;
  const kind = flags & NO_CPORT ? OPEN : FULL;
  return (flags & FORWARDING_METHOD) === MASQ ? kind | TRANSLATED : kind;
}
