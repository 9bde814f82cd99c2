/** The rows of the connection table: finds those of a packet. layout.ts explains rows and homes. */
import { NONE, type Row } from '../model/connection.ts';
import { type Address, isV4 } from '../wire/address.ts';
import { type DestinationRecords, RECORD_SHIFT_16, RECORD_SHIFT_32 } from './destination-records.ts';
import { OTHER, WIDE } from './key.ts';
import {
  HEAD,
  HEAD_BYTES,
  KIND,
  KIND_SHIFT,
  METHOD_BITS,
  ROW_SHIFT_16,
  ROW_SHIFT_32,
  TRACK,
} from './layout.ts';
import type { TableMemory } from './memory.ts';
import { inPacketOrder, portInPacketOrder } from './packet-order.ts';
import { Places } from './places.ts';
import { DESTINATION } from './record-layout.ts';
import { CADDR, CLIENT, NEAR_BITS, TRACK_WORD, VADDR, VPORT } from './row-fields.ts';

/** So that a row's half words can be numbered in 31 bits. */
export const MAX_CONNECTIONS = 2 ** 25;

/** Index of the number of OPEN rows in `head`. */
export const OPEN_COUNT = HEAD.open >> 2;

const LIVE = KIND.LIVE << KIND_SHIFT;
const REPLACED = KIND.REPLACED << KIND_SHIFT;
const OPEN = KIND.OPEN << KIND_SHIFT;
const TEMPLATE = KIND.TEMPLATE << KIND_SHIFT;
const RECORD_ADDRESS = DESTINATION.address >> 2;
const RECORD_PORT = DESTINATION.port >> 1;

export interface RowsOptions {
  /** The most rows in use, 1 to MAX_CONNECTIONS. */
  readonly limit: number;
  /** See Homes. */
  readonly secrets: Uint32Array;
  readonly memory: TableMemory;
  /** What rows name by number. */
  readonly records: DestinationRecords;
}

/** Takes addresses and ports as the director has them. */
export class RowSearch extends Places {
  readonly limit: number;
  protected readonly head: Int32Array<ArrayBuffer>;

  constructor({ limit, secrets, memory, records }: RowsOptions) {
    if (!Number.isInteger(limit) || limit < 1 || limit > MAX_CONNECTIONS)
      throw new RangeError(`connection table of ${limit} rows: expected 1 to ${MAX_CONNECTIONS}`);
    super(memory, limit, secrets, records);
    this.limit = limit;
    const { buffer, offset } = memory.reserve('head', HEAD_BYTES);
    this.head = new Int32Array(buffer, offset, HEAD_BYTES / 4);
  }

  /** Returns the connection that a request belongs to: a LIVE row, else an OPEN one; NONE if there is none. */
  findRequest(protocol: number, caddr: Address, cport: number, vaddr: Address, vport: number): Row {
    const port = portInPacketOrder(vport);
    const client = portInPacketOrder(cport) | (protocol << 16);
    const row = this.#find(LIVE, client, caddr, vaddr, port);
    return row !== NONE || this.head[OPEN_COUNT] === 0
      ? row
      : this.#find(OPEN, protocol << 16, caddr, vaddr, port);
  }

  /**
   * Returns the connection with NAT that a reply belongs to; NONE if there is none. Where a client talks to two virtual
   * services from one port, and both have the same server, the server cannot distinguish them: the newest is returned.
   * NAT keeps the IP version, so the virtual address is of the version of `daddr`.
   */
  findReply(protocol: number, daddr: Address, dport: number, caddr: Address, cport: number): Row {
    const { key } = this;
    const port = portInPacketOrder(dport);
    const client = portInPacketOrder(cport) | (protocol << 16);
    key.set(caddr, daddr);
    const home = key.home(client);
    const wanted = client | key.wide;
    let found = NONE;
    for (let row = this.nearFrom(home, home); row !== NONE; row = this.nearFrom(home, row + 1))
      if (this.#isReply(row, wanted, port) && (found === NONE || this.isNewer(row, found))) found = row;
    if (this.annex.size === 0 || !this.annex.has(home)) return found;
    for (const row of this.annex.replies(key.inAnnex(home, port)))
      if (this.#isReply(row, wanted, port) && (found === NONE || this.isNewer(row, found))) found = row;
    return found;
  }

  /** Returns the newest template of this client, or of its network, for this virtual endpoint; NONE if there is none. */
  findTemplate(protocol: number, caddr: Address, vaddr: Address, vport: number, salt = 0): Row {
    const { key } = this;
    const port = portInPacketOrder(vport);
    key.set(caddr, vaddr);
    const home = key.homeOfTemplate(protocol, port, salt);
    if (this.annex.size > 0 && this.annex.has(home))
      return this.templates(protocol, caddr, vaddr, vport, salt)[0] ?? NONE;
    const wanted = (protocol << 16) | key.wide | TEMPLATE;
    let found = NONE;
    for (let row = this.nearFrom(home, home); row !== NONE; row = this.nearFrom(home, row + 1)) {
      if (!this.isRequest(row, wanted, port) || this.salt(row) !== salt >>> 0) continue;
      if (found === NONE || this.isNewer(row, found)) found = row;
    }
    return found;
  }

  /** Returns every template with this key, the newest first. */
  templates(protocol: number, caddr: Address, vaddr: Address, vport: number, salt = 0): Row[] {
    const { key } = this;
    const port = portInPacketOrder(vport);
    key.set(caddr, vaddr);
    const home = key.homeOfTemplate(protocol, port, salt);
    const wanted = (protocol << 16) | key.wide | TEMPLATE;
    const isIt = (row: Row) => this.isRequest(row, wanted, port) && this.salt(row) === salt >>> 0;
    const rows = this.annex.has(home) ? this.annex.requests(key.inAnnex(home, port)).filter(isIt) : [];
    for (let row = this.nearFrom(home, home); row !== NONE; row = this.nearFrom(home, row + 1))
      if (isIt(row)) rows.push(row);
    return rows.length < 2 ? rows : rows.sort((a, b) => (this.isNewer(a, b) ? -1 : 1));
  }

  #find(kind: number, client: number, caddr: Address, vaddr: Address, port: number): Row {
    const { key } = this;
    const isWide = !(isV4(caddr) && isV4(vaddr));
    if (!isWide) {
      const row = this.#findIpv4(kind, client, inPacketOrder(caddr[3]!), inPacketOrder(vaddr[3]!), port);
      if (row !== NONE || this.annex.size === 0) return row;
    }
    key.set(caddr, vaddr);
    const home = key.home(client);
    const wanted = client | key.wide | kind;
    if (isWide) {
      // Most often the row lies at its home, whose bits need not be read then.
      if (this.isRequest(home, wanted, port)) return home;
      for (let row = this.nearFrom(home, home); row !== NONE; row = this.nearFrom(home, row + 1))
        if (this.isRequest(row, wanted, port)) return row;
    }
    return this.annex.size === 0 ? NONE : this.findInAnnex(home, wanted, port);
  }

  /** As `#find` near the home, for what is most frequent, with no more memory accesses than it needs. */
  #findIpv4(kind: number, client: number, caddr: number, vaddr: number, port: number): Row {
    const { words, halves } = this;
    const home = this.homes.ofIpv4(caddr, client);
    const first = home << ROW_SHIFT_32;
    const wanted = kind | client;
    let row = home;
    let half = 0;
    let bits = 0;
    for (;;) {
      const at = row << ROW_SHIFT_32;
      if (
        words[at + CLIENT] === wanted &&
        words[at + CADDR + 3] === caddr &&
        words[at + VADDR + 3] === vaddr &&
        halves[(row << ROW_SHIFT_16) + VPORT] === port
      )
        return row;
      while (bits === 0) {
        if (half === 2) return NONE;
        bits = words[first + NEAR_BITS + half++]!;
      }
      row = home + half * 32 - 1 - Math.clz32(bits & -bits);
      bits &= bits - 1;
    }
  }

  protected findInAnnex(home: number, wanted: number, port: number): Row {
    if (!this.annex.has(home)) return NONE;
    for (const row of this.annex.requests(this.key.inAnnex(home, port)))
      if (this.isRequest(row, wanted, port)) return row;
    return NONE;
  }

  /** Reports whether the row has the key's client and virtual address. `wanted`: its `client`. */
  protected isRequest(row: Row, wanted: number, port: number): boolean {
    const { words } = this;
    const key = this.key.words;
    const at = row << ROW_SHIFT_32;
    return (
      words[at + CLIENT] === wanted &&
      words[at + CADDR + 3] === key[3] &&
      words[at + VADDR + 3] === key[OTHER + 3] &&
      this.halves[(row << ROW_SHIFT_16) + VPORT] === port &&
      ((wanted & WIDE) === 0 || (this.#startsAs(at + CADDR, 0) && this.#startsAs(at + VADDR, OTHER)))
    );
  }

  /** Reports whether the row has NAT, the key's client, and a destination at its other address. `wanted`: without kind. */
  #isReply(row: Row, wanted: number, port: number): boolean {
    const { words, records } = this;
    const key = this.key.words;
    const at = row << ROW_SHIFT_32;
    const client = words[at + CLIENT]!;
    if (client !== (wanted | LIVE) && client !== (wanted | REPLACED)) return false;
    if (words[at + CADDR + 3] !== key[3]) return false;
    if ((wanted & WIDE) !== 0 && !this.#startsAs(at + CADDR, 0)) return false;
    const track = words[at + TRACK_WORD]!;
    if ((track & METHOD_BITS) !== 0) return false;
    const record = this.destination(row);
    const address = (record << RECORD_SHIFT_32) + RECORD_ADDRESS;
    const its = records.words;
    const dport =
      (track & TRACK.SAME_PORT) !== 0
        ? this.halves[(row << ROW_SHIFT_16) + VPORT]
        : records.halves[(record << RECORD_SHIFT_16) + RECORD_PORT];
    return (
      dport === port &&
      its[address + 3] === key[OTHER + 3] &&
      its[address + 2] === key[OTHER + 2] &&
      its[address + 1] === key[OTHER + 1] &&
      its[address] === key[OTHER]
    );
  }

  /** Compares the first three words of a row's address with those of the key's address at `of`. */
  #startsAs(at: number, of: number): boolean {
    const { words } = this;
    const key = this.key.words;
    return words[at + 2] === key[of + 2] && words[at + 1] === key[of + 1] && words[at] === key[of];
  }
}
