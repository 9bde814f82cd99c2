/** The index of the connection table: finds a row from either side of its connection, and hands out free rows. */
import { NONE, type Row } from '../model/connection.ts';
import type { Address } from '../wire/address.ts';
import { tupleHash } from './connection-hash.ts';
import {
  CADDR,
  ConnectionKeys,
  DADDR,
  FREE,
  FULL,
  HIDDEN,
  NEXT,
  OPEN,
  REPLY_NEXT,
  SALT,
  SHIFT,
  VADDR,
} from './connection-keys.ts';

/** Buckets a row, so that lookups see few rows and the index costs little more than 10 bytes a row. */
const BUCKETS_A_ROW = 4 / 3;
const FIRST_BUCKETS = 64;

/**
 * Two chains a row, one by what clients send and one by what destinations answer, both hashed with the client's
 * endpoint *and* the other one: an endpoint with very many connections makes no long chain. It grows by linear hashing:
 * an added row splits at most two buckets, and the index is never rehashed as a whole. Its arrays are reserved for
 * `limit` rows, and only the pages of what was used become resident. A link is a row + 1; 0 ends a chain.
 */
export class ConnectionIndex {
  readonly keys: ConnectionKeys;
  /** Rows reserved. */
  readonly capacity: number;
  /** Rows in use. */
  size = 0;
  /** Rows that were ever in use: those from here on are untouched. */
  highWater = 0;
  /** The most rows that one lookup has had to compare. */
  longestProbe = 0;

  readonly #words: Uint32Array<ArrayBuffer>;
  /** First links: of chains from the client's side, from the destination's side. */
  readonly #heads: Uint32Array<ArrayBuffer>;
  readonly #replyHeads: Uint32Array<ArrayBuffer>;
  readonly #key0: number;
  readonly #key1: number;
  /** A row's addresses while it is hashed. */
  readonly #caddr: Address = new Uint32Array(4);
  readonly #other: Address = new Uint32Array(4);
  #buckets = FIRST_BUCKETS;
  /** One less than the power of two that is not less than #buckets. */
  #mask = FIRST_BUCKETS - 1;
  /** Link to the first free row, which links to the next. */
  #free = 0;
  /** Rows of kind OPEN. */
  #open = 0;

  constructor(limit: number, seed: number) {
    this.capacity = limit;
    this.keys = new ConnectionKeys(limit);
    this.#words = this.keys.words;
    const buckets = Math.max(FIRST_BUCKETS, Math.ceil(limit * BUCKETS_A_ROW));
    this.#heads = new Uint32Array(buckets);
    this.#replyHeads = new Uint32Array(buckets);
    this.#key0 = seed | 0;
    this.#key1 = Math.imul(seed ^ (seed >>> 15), 0x85ebca6b) | 0;
  }

  /** Returns the bytes of the arrays as far as they have been used. */
  get octets(): number {
    return this.keys.octets(this.highWater) + this.#buckets * (4 + 4);
  }

  /** A free row, now in use under this key; NONE when there is none. `salt` is 0 but for templates. */
  insert(
    kind: number,
    protocol: number,
    caddr: Address,
    cport: number,
    vaddr: Address,
    vport: number,
    daddr: Address,
    dport: number,
    salt: number,
  ): Row {
    const row = this.#allocate();
    if (row === NONE) return NONE;
    this.keys.write(row, kind, protocol, caddr, cport, vaddr, vport, daddr, dport, salt);
    this.size++;
    this.#grow();
    this.#link(row);
    return row;
  }

  /** Takes the row out; its number will be given again. */
  delete(row: Row): void {
    if (this.keys.kind(row) === FREE) throw new Error(`connection ${row} is removed twice`);
    this.#unlink(row);
    this.keys.setKind(row, FREE);
    this.#words[(row << SHIFT) + NEXT] = this.#free;
    this.#free = row + 1;
    this.size--;
  }

  /** Gives the row other ports; with its client's port known, an OPEN one becomes FULL. */
  setPorts(row: Row, cport: number, vport: number, dport: number): void {
    const keys = this.keys;
    this.#unlink(row);
    keys.setPorts(row, cport, vport, dport);
    if (keys.kind(row) === OPEN && cport !== 0) keys.setKind(row, FULL);
    this.#link(row);
  }

  /** The newest row of this kind with this client and virtual endpoint. */
  find(
    kind: number,
    protocol: number,
    caddr: Address,
    cport: number,
    vaddr: Address,
    vport: number,
    salt: number,
  ): Row {
    if (kind === OPEN && this.#open === 0) return NONE;
    const ports = (cport << 16) | vport;
    const hash = tupleHash(this.#key0, this.#key1, caddr, vaddr, ports, protocol ^ salt);
    return this.#firstMatch(
      this.#heads[this.#bucket(hash)]!,
      (protocol << 8) | kind,
      caddr,
      vaddr,
      ports,
      salt,
    );
  }

  /** The same, but the next newest after `link`, which is `following` of a row that was found. */
  findNext(
    link: number,
    kind: number,
    protocol: number,
    caddr: Address,
    cport: number,
    vaddr: Address,
    vport: number,
    salt: number,
  ): Row {
    return this.#firstMatch(link, (protocol << 8) | kind, caddr, vaddr, (cport << 16) | vport, salt);
  }

  /** Returns where `findNext` goes on after this row. */
  following(row: Row): number {
    return this.#words[(row << SHIFT) + NEXT]!;
  }

  /** Returns the newest FULL translated row with this destination and client. */
  findFromDestination(protocol: number, daddr: Address, dport: number, caddr: Address, cport: number): Row {
    const hash = tupleHash(this.#key0, this.#key1, caddr, daddr, (cport << 16) | dport, protocol);
    let link = this.#replyHeads[this.#bucket(hash)]!;
    let probes = 0;
    while (link !== 0) {
      probes++;
      if (this.keys.isFromDestination(link - 1, protocol, daddr, dport, caddr, cport)) break;
      link = this.#words[((link - 1) << SHIFT) + REPLY_NEXT]!;
    }
    if (probes > this.longestProbe) this.longestProbe = probes;
    return link - 1;
  }

  #firstMatch(
    link: number,
    protocolAndKind: number,
    caddr: Address,
    vaddr: Address,
    ports: number,
    salt: number,
  ): Row {
    let probes = 0;
    while (link !== 0) {
      probes++;
      if (this.keys.isFromClient(link - 1, protocolAndKind, caddr, vaddr, ports, salt)) break;
      link = this.#words[((link - 1) << SHIFT) + NEXT]!;
    }
    if (probes > this.longestProbe) this.longestProbe = probes;
    return link - 1;
  }

  #allocate(): Row {
    const free = this.#free;
    if (free !== 0) {
      this.#free = this.#words[((free - 1) << SHIFT) + NEXT]!;
      return free - 1;
    }
    return this.highWater < this.capacity ? this.highWater++ : NONE;
  }

  #bucket(hash: number): number {
    const bucket = hash & this.#mask;
    return bucket < this.#buckets ? bucket : bucket & (this.#mask >>> 1);
  }

  /** Bucket of a row's chain, NEXT or REPLY_NEXT. */
  #bucketOf(row: Row, chain: number): number {
    const keys = this.keys;
    const fromClient = chain === NEXT;
    const caddr = keys.copyAddress(row, CADDR, this.#caddr);
    const other = keys.copyAddress(row, fromClient ? VADDR : DADDR, this.#other);
    const ports = (keys.cport(row) << 16) | (fromClient ? keys.vport(row) : keys.dport(row));
    const last = keys.protocol(row) ^ (fromClient ? this.#words[(row << SHIFT) + SALT]! : 0);
    return this.#bucket(tupleHash(this.#key0, this.#key1, caddr, other, ports, last));
  }

  /** Puts the row before all others of its chains: the newest is found first. */
  #link(row: Row): void {
    const kind = this.keys.kind(row);
    if (kind === HIDDEN) return;
    if (kind === OPEN) this.#open++;
    this.#chain(this.#heads, row, NEXT);
    if (kind === FULL && this.keys.isTranslated(row)) this.#chain(this.#replyHeads, row, REPLY_NEXT);
  }

  #unlink(row: Row): void {
    const kind = this.keys.kind(row);
    if (kind === HIDDEN) return;
    if (kind === OPEN) this.#open--;
    this.#unchain(this.#heads, row, NEXT);
    if (kind === FULL && this.keys.isTranslated(row)) this.#unchain(this.#replyHeads, row, REPLY_NEXT);
  }

  #chain(heads: Uint32Array<ArrayBuffer>, row: Row, chain: number): void {
    const bucket = this.#bucketOf(row, chain);
    this.#words[(row << SHIFT) + chain] = heads[bucket]!;
    heads[bucket] = row + 1;
  }

  #unchain(heads: Uint32Array<ArrayBuffer>, row: Row, chain: number): void {
    const words = this.#words;
    const bucket = this.#bucketOf(row, chain);
    const following = words[(row << SHIFT) + chain]!;
    let link = heads[bucket]!;
    if (link === row + 1) {
      heads[bucket] = following;
      return;
    }
    while (link !== 0) {
      const before = ((link - 1) << SHIFT) + chain;
      link = words[before]!;
      if (link === row + 1) {
        words[before] = following;
        return;
      }
    }
    throw new Error(`connection ${row} is not in its chain`);
  }

  /** Splits buckets until there are enough of them for the rows. */
  #grow(): void {
    const wanted = Math.min(this.size * BUCKETS_A_ROW, this.#heads.length);
    while (this.#buckets < wanted) {
      if (this.#buckets > this.#mask) this.#mask = this.#mask * 2 + 1;
      const to = this.#buckets++;
      this.#split(this.#heads, to, NEXT);
      this.#split(this.#replyHeads, to, REPLY_NEXT);
    }
  }

  /** Moves what belongs into the new bucket `to` out of the bucket where it was until now; keeps the order of both. */
  #split(heads: Uint32Array<ArrayBuffer>, to: number, chain: number): void {
    const words = this.#words;
    const from = to & (this.#mask >>> 1);
    let link = heads[from]!;
    let lastStaying = -1;
    let lastMoving = -1;
    heads[from] = 0;
    while (link !== 0) {
      const row = link - 1;
      const at = (row << SHIFT) + chain;
      const following = words[at]!;
      words[at] = 0;
      if (this.#bucketOf(row, chain) === to) {
        if (lastMoving < 0) heads[to] = link;
        else words[lastMoving] = link;
        lastMoving = at;
      } else {
        if (lastStaying < 0) heads[from] = link;
        else words[lastStaying] = link;
        lastStaying = at;
      }
      link = following;
    }
  }
}
