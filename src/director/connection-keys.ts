/** What a row of the connection table is known by: its addresses, ports and protocol, packed so that few cache lines are read. */
import type { Row } from '../model/connection.ts';
import { type Address, isV4 } from '../wire/address.ts';

/*
 * Eight words a row answer a lookup of IPv4, two rows a cache line:
 *   0 caddr  1 vaddr  2 daddr (their last words)  3 cport, vport  4 dport, protocol, kind
 *   5, 6 links of the two chains of the index  7 salt
 */
export const SHIFT = 3;
const WORDS = 1 << SHIFT;
export const CADDR = 0;
export const VADDR = 1;
export const DADDR = 2;
export const PORTS = 3;
export const REST = 4;
export const NEXT = 5;
export const REPLY_NEXT = 6;
export const SALT = 7;

/** The first three words of each of the three addresses; only of rows where one of them is not IPv4. */
const WIDE_WORDS = 9;

/** What a row is to the index. */
export const FREE = 0;
/** A connection with both ports. */
export const FULL = 1;
/** A connection whose client port is not known: found where there is no full one. */
export const OPEN = 2;
export const PERSISTENT = 3;
/** In use, and never found. */
export const HIDDEN = 4;
const KIND = 0x3f;
/** Bit of word 4: the connection is translated, so it is found from its destination's side too. */
export const TRANSLATED = 0x40;
/** Bit of word 4: one of the row's addresses is not IPv4. */
const WIDE = 0x80;
/** Of word 4: what a lookup from the client's side asks for. */
const PROTOCOL_AND_KIND = 0xff00 | KIND;

/** A page's memory begins 16 bytes late (glibc's malloc), so a row would lie across cache lines without this. */
const TO_CACHE_LINE = 48;

export class ConnectionKeys {
  /** Words of all rows; row << SHIFT is a row's first. */
  readonly words: Uint32Array<ArrayBuffer>;
  readonly #wide: Uint32Array<ArrayBuffer>;

  constructor(limit: number) {
    const octets = limit * WORDS * 4;
    this.words = new Uint32Array(new ArrayBuffer(octets + TO_CACHE_LINE), TO_CACHE_LINE, limit * WORDS);
    this.#wide = new Uint32Array(limit * WIDE_WORDS);
  }

  /** Returns the bytes of the arrays as far as `rows` rows touch them, all of them IPv6. */
  octets(rows: number): number {
    return rows * 4 * (WORDS + WIDE_WORDS) + TO_CACHE_LINE;
  }

  /** Writes everything but the links. `kind`: with TRANSLATED where the row is. */
  write(
    row: Row,
    kind: number,
    protocol: number,
    caddr: Address,
    cport: number,
    vaddr: Address,
    vport: number,
    daddr: Address,
    dport: number,
    salt: number,
  ): void {
    const words = this.words;
    const at = row << SHIFT;
    const wide = isV4(caddr) && isV4(vaddr) && isV4(daddr) ? 0 : WIDE;
    words[at + CADDR] = caddr[3]!;
    words[at + VADDR] = vaddr[3]!;
    words[at + DADDR] = daddr[3]!;
    words[at + PORTS] = (cport << 16) | vport;
    words[at + REST] = (dport << 16) | (protocol << 8) | wide | kind;
    words[at + SALT] = salt;
    if (wide === 0) return;
    this.#writeWide(row, CADDR, caddr);
    this.#writeWide(row, VADDR, vaddr);
    this.#writeWide(row, DADDR, daddr);
  }

  kind(row: Row): number {
    return this.words[(row << SHIFT) + REST]! & KIND;
  }

  isTranslated(row: Row): boolean {
    return (this.words[(row << SHIFT) + REST]! & TRANSLATED) !== 0;
  }

  setKind(row: Row, kind: number): void {
    const at = (row << SHIFT) + REST;
    this.words[at] = (this.words[at]! & ~KIND) | kind;
  }

  /** IP protocol number; 0 for a template of a firewall mark. */
  protocol(row: Row): number {
    return (this.words[(row << SHIFT) + REST]! >>> 8) & 0xff;
  }

  salt(row: Row): number {
    return this.words[(row << SHIFT) + SALT]!;
  }

  cport(row: Row): number {
    return this.words[(row << SHIFT) + PORTS]! >>> 16;
  }

  vport(row: Row): number {
    return this.words[(row << SHIFT) + PORTS]! & 0xffff;
  }

  dport(row: Row): number {
    return this.words[(row << SHIFT) + REST]! >>> 16;
  }

  setPorts(row: Row, cport: number, vport: number, dport: number): void {
    const at = row << SHIFT;
    this.words[at + PORTS] = (cport << 16) | vport;
    this.words[at + REST] = (dport << 16) | (this.words[at + REST]! & 0xffff);
  }

  /** Copies the row's address `which`: CADDR, VADDR or DADDR. */
  copyAddress(row: Row, which: number, into: Address): Address {
    const at = row << SHIFT;
    into[3] = this.words[at + which]!;
    if ((this.words[at + REST]! & WIDE) === 0) {
      into[0] = 0;
      into[1] = 0;
      into[2] = 0xffff;
    } else {
      const from = row * WIDE_WORDS + which * 3;
      into[0] = this.#wide[from]!;
      into[1] = this.#wide[from + 1]!;
      into[2] = this.#wide[from + 2]!;
    }
    return into;
  }

  /** True when the row has this client, virtual endpoint, kind and salt; `ports` is cport << 16 | vport. */
  isFromClient(
    row: Row,
    protocolAndKind: number,
    caddr: Address,
    vaddr: Address,
    ports: number,
    salt: number,
  ): boolean {
    const words = this.words;
    const at = row << SHIFT;
    const rest = words[at + REST]!;
    return (
      (words[at + PORTS]! | 0) === ports &&
      words[at + CADDR] === caddr[3] &&
      words[at + VADDR] === vaddr[3] &&
      (rest & PROTOCOL_AND_KIND) === protocolAndKind &&
      (words[at + SALT]! | 0) === salt &&
      ((rest & WIDE) === 0 ? isV4(caddr) && isV4(vaddr) : this.#sameWide(row, CADDR, caddr, VADDR, vaddr))
    );
  }

  /** True when the row is a full translated connection of this client and destination. */
  isFromDestination(
    row: Row,
    protocol: number,
    daddr: Address,
    dport: number,
    caddr: Address,
    cport: number,
  ): boolean {
    const words = this.words;
    const at = row << SHIFT;
    const rest = words[at + REST]!;
    return (
      words[at + PORTS]! >>> 16 === cport &&
      words[at + CADDR] === caddr[3] &&
      words[at + DADDR] === daddr[3] &&
      ((rest & ~WIDE) | 0) === ((dport << 16) | (protocol << 8) | TRANSLATED | FULL) &&
      ((rest & WIDE) === 0 ? isV4(caddr) && isV4(daddr) : this.#sameWide(row, CADDR, caddr, DADDR, daddr))
    );
  }

  /** Compares all but the last words of two addresses. */
  #sameWide(row: Row, a: number, first: Address, b: number, second: Address): boolean {
    const wide = this.#wide;
    const i = row * WIDE_WORDS + a * 3;
    const j = row * WIDE_WORDS + b * 3;
    return (
      wide[i] === first[0] &&
      wide[i + 1] === first[1] &&
      wide[i + 2] === first[2] &&
      wide[j] === second[0] &&
      wide[j + 1] === second[1] &&
      wide[j + 2] === second[2]
    );
  }

  #writeWide(row: Row, which: number, address: Address): void {
    const to = row * WIDE_WORDS + which * 3;
    this.#wide[to] = address[0]!;
    this.#wide[to + 1] = address[1]!;
    this.#wide[to + 2] = address[2]!;
  }
}
