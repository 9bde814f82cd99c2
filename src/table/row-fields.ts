/** The fields of rows, by row number. places.ts, row-search.ts and rows.ts place, find and make rows. */
import type { FiveTuple, Row } from '../model/connection.ts';
import type { Address } from '../wire/address.ts';
import { Controls } from './controls.ts';
import type { DestinationRecords } from './destination-records.ts';
import { KIND, KIND_SHIFT, ROW, ROW_BYTES, ROW_SHIFT_16, ROW_SHIFT_32, TRACK } from './layout.ts';
import type { Region, TableMemory } from './memory.ts';
import { inPacketOrder, portInPacketOrder } from './packet-order.ts';

/* Offsets in 32-bit and 16-bit words. */
export const CADDR = ROW.caddr >> 2;
export const VADDR = ROW.vaddr >> 2;
export const CLIENT = ROW.client >> 2;
export const NEAR_BITS = ROW.near >> 2;
export const TRACK_WORD = ROW.track >> 2;
const TIMEOUT = ROW.timeout >> 2;
const SEEN = ROW.seen >> 2;
export const VPORT = ROW.vport >> 1;
const PACKETS = ROW.packets >> 1;
export const DESTINATION_HALF = ROW.destination >> 1;
const NEXT_HOP = ROW.nextHop >> 1;

/** What `client` holds beside the kind: port and protocol. */
export const CLIENT_MASK = 0xff_ffff;
const METHOD_MASK = 7;
export const GENERATION_MASK = ~((1 << TRACK.generation) - 1);
/** Where the count of packets goes on at the end of its 16 bits. */
const PACKETS_WRAP = 0x8000;

/** What a row has from its beginning, beside its ends. */
export interface NewRow {
  /** LIVE, OPEN, HIDDEN or TEMPLATE of KIND. */
  readonly kind: number;
  /** Number of the destination's record. */
  readonly destination: number;
  /** State and flags, see TRACK. */
  readonly track: number;
  /** 32 bits that distinguish templates with the same ends; 0 for a connection. */
  readonly salt: number;
  /** Ticks, as `timeout` and `seen` of ROW. */
  readonly timeout: number;
  readonly seen: number;
}

export class RowFields {
  /** Rows reserved. */
  readonly capacity: number;
  readonly records: DestinationRecords;
  protected readonly words: Int32Array<ArrayBuffer>;
  protected readonly halves: Uint16Array<ArrayBuffer>;
  /** When each row was made, in the order of all rows, modulo 2^32. */
  protected readonly orders: Int32Array<ArrayBuffer>;
  protected readonly controls: Controls;

  constructor(memory: TableMemory, capacity: number, records: DestinationRecords) {
    this.capacity = capacity;
    this.records = records;
    const { buffer, offset } = memory.reserve('rows', capacity * ROW_BYTES);
    this.words = new Int32Array(buffer, offset, capacity << ROW_SHIFT_32);
    this.halves = new Uint16Array(buffer, offset, capacity << ROW_SHIFT_16);
    this.orders = wordsOf(memory.reserve('order', capacity * 4), capacity);
    this.controls = new Controls(memory, capacity);
  }

  /** What the row is: a number of KIND, without WIDE. */
  kind(row: Row): number {
    return (this.words[(row << ROW_SHIFT_32) + CLIENT]! >>> KIND_SHIFT) & ~KIND.WIDE;
  }

  /** IP protocol number; 0 for a template of a firewall mark. */
  protocol(row: Row): number {
    return (this.words[(row << ROW_SHIFT_32) + CLIENT]! >>> 16) & 0xff;
  }

  cport(row: Row): number {
    return portInPacketOrder(this.words[(row << ROW_SHIFT_32) + CLIENT]! & 0xffff);
  }

  vport(row: Row): number {
    return portInPacketOrder(this.halves[(row << ROW_SHIFT_16) + VPORT]!);
  }

  /** The destination's port: its record's, or the virtual port. */
  dport(row: Row): number {
    if ((this.track(row) & TRACK.SAME_PORT) !== 0) return this.vport(row);
    return this.records.port(this.destination(row));
  }

  copyCaddr(row: Row, into: Address): Address {
    return this.#copyAddress(row, CADDR, into);
  }

  copyVaddr(row: Row, into: Address): Address {
    return this.#copyAddress(row, VADDR, into);
  }

  /** State, flags and generation, see TRACK. */
  track(row: Row): number {
    return this.words[(row << ROW_SHIFT_32) + TRACK_WORD]!;
  }

  /** Replaces `track` if it still is `from`; reports whether it was. The generation of `to` must be that of `from`. */
  changeTrack(row: Row, from: number, to: number): boolean {
    const at = (row << ROW_SHIFT_32) + TRACK_WORD;
    return Atomics.compareExchange(this.words, at, from, to) === from;
  }

  /** Replaces the bits of `mask` in `track`. */
  setBits(row: Row, mask: number, bits: number): void {
    for (let track = this.track(row); (track & mask) !== bits; track = this.track(row))
      this.changeTrack(row, track, (track & ~mask) | bits);
  }

  /** Returns the generation, 8 bits: another one than that of former connections in this row. */
  generation(row: Row): number {
    return this.track(row) >>> TRACK.generation;
  }

  state(row: Row): number {
    return this.track(row) & TRACK.state;
  }

  /** Number of the forwarding method (include/uapi/linux/ip_vs.h, Linux 6.1). */
  method(row: Row): number {
    return (this.track(row) >>> TRACK.method) & METHOD_MASK;
  }

  /** Ticks after `seen` at which the row is due. */
  timeout(row: Row): number {
    return this.words[(row << ROW_SHIFT_32) + TIMEOUT]! >>> 0;
  }

  setTimeout(row: Row, ticks: number): void {
    this.words[(row << ROW_SHIFT_32) + TIMEOUT] = ticks;
  }

  /** Tick of the last packet; signed, modulo 2^32. */
  seen(row: Row): number {
    return this.words[(row << ROW_SHIFT_32) + SEEN]!;
  }

  setSeen(row: Row, tick: number): void {
    this.words[(row << ROW_SHIFT_32) + SEEN] = tick;
  }

  /** Number of the destination's record; 0: none. */
  destination(row: Row): number {
    return this.halves[(row << ROW_SHIFT_16) + DESTINATION_HALF]!;
  }

  /** Packets from the client; beyond 65,535 between 32,768 and that. */
  packets(row: Row): number {
    return this.halves[(row << ROW_SHIFT_16) + PACKETS]!;
  }

  /** Counts packets from the client. */
  addPackets(row: Row, count: number): void {
    const at = (row << ROW_SHIFT_16) + PACKETS;
    const sum = this.halves[at]! + count;
    this.halves[at] = sum < 0x1_0000 ? sum : PACKETS_WRAP + (sum % PACKETS_WRAP);
  }

  /** Sets the count of packets from the client. */
  setPackets(row: Row, count: number): void {
    this.halves[(row << ROW_SHIFT_16) + PACKETS] = count;
  }

  /** Shows connections from `from` to `to` whose count of packets is not that of `counts`, which has one for each row. */
  eachCounted(from: Row, to: Row, counts: Uint16Array<ArrayBuffer>, visit: (row: Row) => void): void {
    const { words, halves } = this;
    for (let row = from; row < to; row++) {
      if (halves[(row << ROW_SHIFT_16) + PACKETS] === counts[row]) continue;
      const kind = (words[(row << ROW_SHIFT_32) + CLIENT]! >>> KIND_SHIFT) & ~KIND.WIDE;
      if (kind === KIND.LIVE || kind === KIND.OPEN || kind === KIND.REPLACED) visit(row);
    }
  }

  /** Number of the next hop of replies; 0: not known. Not of templates. */
  nextHop(row: Row): number {
    return this.halves[(row << ROW_SHIFT_16) + NEXT_HOP]!;
  }

  setNextHop(row: Row, number: number): void {
    this.halves[(row << ROW_SHIFT_16) + NEXT_HOP] = number;
  }

  /** Makes the next hops of these numbers unknown to the LIVE rows from `from` to `to`, exclusive, that name them. */
  clearNextHops(numbers: ReadonlySet<number>, from: Row, to: Row): void {
    const end = Math.min(to, this.capacity);
    for (let row = from; row < end; row++) {
      if (this.kind(row) !== KIND.LIVE) continue;
      const number = this.nextHop(row);
      if (number !== 0 && numbers.has(number)) this.setNextHop(row, 0);
    }
  }

  /** What distinguishes a template that a persistence engine made, 32 bits. */
  salt(row: Row): number {
    const at = row << ROW_SHIFT_16;
    return ((this.halves[at + NEXT_HOP]! << 16) | this.halves[at + PACKETS]!) >>> 0;
  }

  /** The row that controls this one; NONE if there is none. */
  template(row: Row): Row {
    return this.controls.template(row);
  }

  /** How many rows this one controls. */
  children(row: Row): number {
    return this.controls.children(row);
  }

  /** Makes `template` control the row. */
  control(row: Row, template: Row): void {
    this.setBits(row, TRACK.TEMPLATED, TRACK.TEMPLATED);
    this.setBits(template, TRACK.TEMPLATED, TRACK.TEMPLATED);
    this.controls.add(row, template);
  }

  /** Sets how many rows this one controls. */
  setChildren(row: Row, count: number): void {
    this.controls.setChildren(row, count);
  }

  /** Sees that a template controls no rows from now on, so that it may end. Returns false if it controls some. */
  closeTemplate(row: Row): boolean {
    return this.controls.close(row);
  }

  /** Returns when the row was made, in the order of all rows, modulo 2^32: it differs for each row with the same number. */
  order(row: Row): number {
    return this.orders[row]!;
  }

  /** Reports whether row `a` was made after row `b`. */
  isNewer(a: Row, b: Row): boolean {
    return ((this.orders[a]! - this.orders[b]!) | 0) > 0;
  }

  /** Writes everything but the first word that makes it a row of some kind, `near`, and the order. */
  protected fill(
    row: Row,
    { caddr, vaddr, vport }: FiveTuple,
    { destination, track, salt, timeout, seen }: NewRow,
  ): void {
    const { words, halves } = this;
    const at = row << ROW_SHIFT_32;
    words[at + CADDR] = inPacketOrder(caddr[0]!);
    words[at + CADDR + 1] = inPacketOrder(caddr[1]!);
    words[at + CADDR + 2] = inPacketOrder(caddr[2]!);
    words[at + CADDR + 3] = inPacketOrder(caddr[3]!);
    words[at + VADDR] = inPacketOrder(vaddr[0]!);
    words[at + VADDR + 1] = inPacketOrder(vaddr[1]!);
    words[at + VADDR + 2] = inPacketOrder(vaddr[2]!);
    words[at + VADDR + 3] = inPacketOrder(vaddr[3]!);
    const half = row << ROW_SHIFT_16;
    halves[half + VPORT] = portInPacketOrder(vport);
    halves[half + PACKETS] = salt & 0xffff;
    halves[half + DESTINATION_HALF] = destination;
    halves[half + NEXT_HOP] = salt >>> 16;
    words[at + TIMEOUT] = timeout;
    words[at + SEEN] = seen;
    const generation = (words[at + TRACK_WORD]! & GENERATION_MASK) + (1 << TRACK.generation);
    Atomics.store(words, at + TRACK_WORD, generation | track);
  }

  #copyAddress(row: Row, which: number, into: Address): Address {
    const at = (row << ROW_SHIFT_32) + which;
    for (let i = 0; i < 4; i++) into[i] = inPacketOrder(this.words[at + i]!);
    return into;
  }
}

const wordsOf = ({ buffer, offset }: Region, words: number): Int32Array<ArrayBuffer> =>
  new Int32Array(buffer, offset, words);
