/** The fields of connections as the director reads and changes them. */
import type { Row } from '../model/connection.ts';
import { KIND, TRACK } from '../table/layout.ts';
import type { Rows } from '../table/rows.ts';
import type { Address } from '../wire/address.ts';
import { flagsOf } from './connection-flags.ts';
import { SelectedRow } from './selected-row.ts';

/** A persistence template that is no longer valid has this port on its virtual and its destination side. */
export const INVALID_PORT = 0xffff;

export class ConnectionFields {
  /** What `select` fills. */
  readonly window = new SelectedRow();
  protected readonly stored: Rows;

  constructor(rows: Rows) {
    this.stored = rows;
  }

  /** Returns the IP protocol number; 0 for a template of a firewall mark. */
  protocol(row: Row): number {
    return this.stored.protocol(row);
  }

  /** Returns the flags of include/uapi/linux/ip_vs.h, among them the method. */
  flags(row: Row): number {
    return this.method(row) | flagsOf(this.stored.kind(row), this.stored.track(row));
  }

  /** Returns the number of the forwarding method: MASQ, LOCAL, TUNNEL or ROUTE. */
  method(row: Row): number {
    return this.stored.method(row);
  }

  isTemplate(row: Row): boolean {
    const kind = this.stored.kind(row);
    return kind === KIND.TEMPLATE || kind === KIND.INVALID;
  }

  /** Shows connections from `from` to `to`, by row number, whose count of packets is not that of `counts`. */
  eachCounted(from: Row, to: Row, counts: Uint16Array<ArrayBuffer>, visit: (row: Row) => void): void {
    this.stored.eachCounted(from, to, counts, visit);
  }

  /** Reports whether the client's port is not known yet (NO_CPORT). */
  isOpen(row: Row): boolean {
    return this.stored.kind(row) === KIND.OPEN;
  }

  isOnePacket(row: Row): boolean {
    return this.stored.kind(row) === KIND.HIDDEN;
  }

  /** Reports whether no packet of the destination was seen. */
  isHalfSeen(row: Row): boolean {
    return (this.stored.track(row) & TRACK.NOOUTPUT) !== 0;
  }

  /** A packet of the destination was seen. */
  setFullySeen(row: Row): void {
    this.stored.setBits(row, TRACK.NOOUTPUT, 0);
  }

  /** Reports whether the row is counted among its destination's inactive connections. */
  isInactive(row: Row): boolean {
    return (this.stored.track(row) & TRACK.INACTIVE) !== 0;
  }

  /** Returns the state of its protocol. */
  state(row: Row): number {
    return this.stored.state(row);
  }

  /**
   * Changes the state, and whether the row counts as inactive, if `track` is what `track` returned for it. Reports whether
   * it did: otherwise another packet has changed the row.
   */
  enterState(row: Row, track: number, state: number, inactive: boolean): boolean {
    const kept = track & ~(TRACK.state | TRACK.INACTIVE);
    return this.stored.changeTrack(row, track, kept | state | (inactive ? TRACK.INACTIVE : 0));
  }

  /** The row's template is assured: programs of the kernel may forward all of its packets. */
  setAssured(row: Row): void {
    this.stored.setBits(row, TRACK.ASSURED, TRACK.ASSURED);
  }

  /** Sets whether programs of the kernel send all packets of the row to the director. */
  setHeld(row: Row, isHeld: boolean): void {
    this.stored.setBits(row, TRACK.UP, isHeld ? TRACK.UP : 0);
  }

  /** Returns the number of the next hop of its replies; 0: not known. */
  nextHop(row: Row): number {
    return this.stored.nextHop(row);
  }

  setNextHop(row: Row, number: number): void {
    this.stored.setNextHop(row, number);
  }

  /** Makes the next hops of these numbers unknown to all rows that name them. */
  clearNextHops(numbers: ReadonlySet<number>, from: Row, to: Row): void {
    this.stored.clearNextHops(numbers, from, to);
  }

  setState(row: Row, state: number): void {
    this.stored.setBits(row, TRACK.state, state);
  }

  /** Returns the number of the destination. */
  destination(row: Row): number {
    return this.stored.destination(row);
  }

  /** Returns how many packets came from the client; many are not counted exactly. */
  packets(row: Row): number {
    return this.isTemplate(row) ? 0 : this.stored.packets(row);
  }

  addPackets(row: Row, count: number): void {
    this.stored.addPackets(row, count);
  }

  /** Sets the count of packets from the client, of a connection that another director began. */
  setPackets(row: Row, count: number): void {
    this.stored.setPackets(row, count);
  }

  /** Reports whether a message of another director made the row. */
  isSynced(row: Row): boolean {
    return (this.stored.track(row) & TRACK.SYNCED) !== 0;
  }

  /** Returns a number that differs from that of the last connection with this row number, 0 to 255. */
  generation(row: Row): number {
    return this.stored.generation(row);
  }

  /** Returns a number that differs for each row that is made with the same row number. */
  order(row: Row): number {
    return this.stored.order(row);
  }

  /** Returns the row that controls this one: a template, or the connection that announced it; NONE: there is none. */
  template(row: Row): Row {
    return this.stored.template(row);
  }

  /** Returns how many rows this one controls. */
  children(row: Row): number {
    return this.stored.children(row);
  }

  /** Makes `template` control the row until one of them is removed. */
  control(row: Row, template: Row): void {
    this.stored.control(row, template);
  }

  /** Sets how many rows this one controls, for a copy of a table. */
  setChildren(row: Row, count: number): void {
    this.stored.setChildren(row, count);
  }

  /** Returns what distinguishes a template that a persistence engine made; 0 for a connection. */
  salt(row: Row): number {
    return this.isTemplate(row) ? this.stored.salt(row) : 0;
  }

  cport(row: Row): number {
    return this.stored.cport(row);
  }

  vport(row: Row): number {
    return this.#isInvalid(row) ? INVALID_PORT : this.stored.vport(row);
  }

  dport(row: Row): number {
    return this.#isInvalid(row) ? INVALID_PORT : this.stored.dport(row);
  }

  copyCaddr(row: Row, into: Address): Address {
    return this.stored.copyCaddr(row, into);
  }

  copyVaddr(row: Row, into: Address): Address {
    return this.stored.copyVaddr(row, into);
  }

  /** Fills `window` with the row's addresses and ports. */
  select(row: Row): SelectedRow {
    const { window } = this;
    const rows = this.stored;
    window.row = row;
    window.protocol = rows.protocol(row);
    window.cport = rows.cport(row);
    window.vport = this.vport(row);
    window.dport = this.dport(row);
    rows.copyCaddr(row, window.caddr);
    rows.copyVaddr(row, window.vaddr);
    return window;
  }

  #isInvalid(row: Row): boolean {
    return this.stored.kind(row) === KIND.INVALID;
  }
}
