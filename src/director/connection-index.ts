/** The keys of the connection table's rows, and the index that finds a row from either side of its connection. */
import { NONE, type Row } from '../model/connection.ts';
import type { Address } from '../wire/address.ts';
import { tupleHash } from './tuple-hash.ts';

/*
 * A row's key, 16 words, so that one cache line answers a look-up:
 *   0 caddr  4 vaddr  8 daddr  12 cport, vport  13 dport, protocol, kind  14, 15 next row + 1 of the two chains
 * The chain by what clients send also links free rows; a template is in that one only, and keeps its salt in the other's word.
 */
const WORDS = 16;
const SHIFT = 4;
export const CADDR = 0;
export const VADDR = 4;
export const DADDR = 8;
const PORTS = 12;
const DPORT = 13;
const NEXT = 14;
const REPLY_NEXT = 15;
const SALT = REPLY_NEXT;

/** What a row is to the index, the lowest octet of its word 13. */
export const FREE = 0;
/** A connection with both ports. */
export const FULL = 1;
/** A connection whose client port is not known: found where there is no full one. */
export const OPEN = 2;
export const PERSISTENT = 3;
/** In use, and never found. */
export const HIDDEN = 4;
const KIND = 0xff;
/** Protocol and kind: what a look-up asks for besides the port. */
const PROTOCOL_AND_KIND = 0xffff;

/** Buckets a row, so that look-ups see few rows and the index costs little more than 10 octets a row. */
const BUCKETS_A_ROW = 4 / 3;
const FIRST_BUCKETS = 64;

/**
 * Two chains a row, one by what clients send and one by what destinations answer, both hashed with the client's
 * endpoint *and* the other one: an endpoint with very many connections makes no long chain. It grows by linear hashing:
 * an added row splits at most two buckets, and nothing is ever hashed anew all at once. Its arrays are reserved for
 * `limit` rows, and only the pages of what was used become resident.
 */
export class ConnectionIndex {
  /** Rows reserved. */
  readonly capacity: number;
  /** Rows in use. */
  size = 0;
  /** Rows that were ever in use: those from here on are untouched. */
  highWater = 0;
  /** The most rows that one look-up has had to compare. */
  longestProbe = 0;

  readonly #keys: Uint32Array<ArrayBuffer>;
  /** First row + 1 of each bucket: from the client's side, from the destination's side. */
  readonly #heads: Uint32Array<ArrayBuffer>;
  readonly #replyHeads: Uint32Array<ArrayBuffer>;
  readonly #key0: number;
  readonly #key1: number;
  #buckets = FIRST_BUCKETS;
  /** One less than the power of two that is not less than #buckets. */
  #mask = FIRST_BUCKETS - 1;
  /** First free row + 1. */
  #free = 0;
  /** Rows of kind OPEN. */
  #open = 0;

  constructor(limit: number, seed: number) {
    this.capacity = limit;
    this.#keys = new Uint32Array(limit * WORDS);
    const buckets = Math.max(FIRST_BUCKETS, Math.ceil(limit * BUCKETS_A_ROW));
    this.#heads = new Uint32Array(buckets);
    this.#replyHeads = new Uint32Array(buckets);
    this.#key0 = seed | 0;
    this.#key1 = Math.imul(seed ^ (seed >>> 15), 0x85ebca6b) | 0;
  }

  /** Octets of the arrays as far as they have been used. */
  get octets(): number {
    return this.highWater * WORDS * 4 + this.#buckets * (4 + 4);
  }

  /** A free row, now in use under this key; NONE when there is none. `salt` counts for templates only. */
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
    const keys = this.#keys;
    const at = row << SHIFT;
    for (let i = 0; i < 4; i++) {
      keys[at + i] = caddr[i]!;
      keys[at + VADDR + i] = vaddr[i]!;
      keys[at + DADDR + i] = daddr[i]!;
    }
    keys[at + PORTS] = (cport << 16) | vport;
    keys[at + DPORT] = (dport << 16) | (protocol << 8) | kind;
    if (kind === PERSISTENT) keys[at + SALT] = salt;
    this.size++;
    this.#grow();
    this.#link(row);
    return row;
  }

  /** Takes the row out; its number will be given again. */
  delete(row: Row): void {
    const at = row << SHIFT;
    if (this.kind(row) === FREE) throw new Error(`connection ${row} is removed twice`);
    this.#unlink(row);
    this.#keys[at + DPORT] = FREE;
    this.#keys[at + NEXT] = this.#free;
    this.#free = row + 1;
    this.size--;
  }

  /** Gives the row another client port and a kind that fits it. */
  setClientPort(row: Row, port: number): void {
    const at = row << SHIFT;
    const keys = this.#keys;
    const kind = this.kind(row) === OPEN ? FULL : this.kind(row);
    this.#unlink(row);
    keys[at + PORTS] = (port << 16) | (keys[at + PORTS]! & 0xffff);
    keys[at + DPORT] = (keys[at + DPORT]! & ~KIND) | kind;
    this.#link(row);
  }

  /** Gives the row other ports on its virtual and its destination side. */
  setServerPorts(row: Row, vport: number, dport: number): void {
    const at = row << SHIFT;
    const keys = this.#keys;
    this.#unlink(row);
    keys[at + PORTS] = (keys[at + PORTS]! & ~0xffff) | vport;
    keys[at + DPORT] = (keys[at + DPORT]! & PROTOCOL_AND_KIND) | (dport << 16);
    this.#link(row);
  }

  /** See ConnectionTable.findFromClient. */
  findFromClient(protocol: number, caddr: Address, cport: number, vaddr: Address, vport: number): Row {
    const row = this.#find(protocol, caddr, cport, vaddr, vport, FULL, 0);
    if (row !== NONE || this.#open === 0) return row;
    return this.#find(protocol, caddr, 0, vaddr, vport, OPEN, 0);
  }

  /** See ConnectionTable.findTemplate. */
  findTemplate(protocol: number, caddr: Address, vaddr: Address, vport: number, salt = 0): Row {
    return this.#find(protocol, caddr, 0, vaddr, vport, PERSISTENT, salt);
  }

  /** See ConnectionTable.templates. */
  templates(
    protocol: number,
    caddr: Address,
    vaddr: Address,
    vport: number,
    visit: (row: Row) => boolean,
    salt = 0,
  ): Row {
    const keys = this.#keys;
    let row = this.findTemplate(protocol, caddr, vaddr, vport, salt);
    while (row !== NONE) {
      // The callback may remove the row.
      const next = keys[(row << SHIFT) + NEXT]!;
      if (visit(row)) return row;
      row = this.#findIn(next, (protocol << 8) | PERSISTENT, caddr, vaddr, vport, salt);
    }
    return NONE;
  }

  /** See ConnectionTable.findFromDestination. */
  findFromDestination(protocol: number, daddr: Address, dport: number, caddr: Address, cport: number): Row {
    const keys = this.#keys;
    const hash = tupleHash(this.#key0, this.#key1, caddr, 0, daddr, 0, (cport << 16) | dport, protocol);
    const wanted = (dport << 16) | (protocol << 8) | FULL;
    let probes = 0;
    let link = this.#replyHeads[this.#bucket(hash)]!;
    while (link !== 0) {
      const at = (link - 1) << SHIFT;
      probes++;
      if (
        (keys[at + DPORT]! | 0) === wanted &&
        keys[at + PORTS]! >>> 16 === cport &&
        keys[at + 3] === caddr[3] &&
        keys[at + DADDR + 3] === daddr[3] &&
        keys[at + 2] === caddr[2] &&
        keys[at + DADDR + 2] === daddr[2] &&
        keys[at + 1] === caddr[1] &&
        keys[at + DADDR + 1] === daddr[1] &&
        keys[at] === caddr[0] &&
        keys[at + DADDR] === daddr[0]
      )
        break;
      link = keys[at + REPLY_NEXT]!;
    }
    if (probes > this.longestProbe) this.longestProbe = probes;
    return link - 1;
  }

  kind(row: Row): number {
    return this.#keys[(row << SHIFT) + DPORT]! & KIND;
  }

  /** IP protocol number; 0 for a template of a firewall mark. */
  protocol(row: Row): number {
    return (this.#keys[(row << SHIFT) + DPORT]! >>> 8) & 0xff;
  }

  cport(row: Row): number {
    return this.#keys[(row << SHIFT) + PORTS]! >>> 16;
  }

  vport(row: Row): number {
    return this.#keys[(row << SHIFT) + PORTS]! & 0xffff;
  }

  dport(row: Row): number {
    return this.#keys[(row << SHIFT) + DPORT]! >>> 16;
  }

  /** Copies the address that begins at word CADDR, VADDR or DADDR of the row. */
  copyAddress(row: Row, word: number, into: Address): Address {
    const keys = this.#keys;
    const at = (row << SHIFT) + word;
    into[0] = keys[at]!;
    into[1] = keys[at + 1]!;
    into[2] = keys[at + 2]!;
    into[3] = keys[at + 3]!;
    return into;
  }

  #allocate(): Row {
    const free = this.#free;
    if (free !== 0) {
      this.#free = this.#keys[((free - 1) << SHIFT) + NEXT]!;
      return free - 1;
    }
    return this.highWater < this.capacity ? this.highWater++ : NONE;
  }

  #find(
    protocol: number,
    caddr: Address,
    cport: number,
    vaddr: Address,
    vport: number,
    kind: number,
    salt: number,
  ): Row {
    const hash = tupleHash(
      this.#key0,
      this.#key1,
      caddr,
      0,
      vaddr,
      0,
      (cport << 16) | vport,
      protocol ^ salt,
    );
    return this.#findIn(
      this.#heads[this.#bucket(hash)]!,
      (protocol << 8) | kind,
      caddr,
      vaddr,
      (cport << 16) | vport,
      salt,
    );
  }

  /** The first match of a chain from the client's side, from `link` on. */
  #findIn(link: number, wanted: number, caddr: Address, vaddr: Address, ports: number, salt: number): Row {
    const keys = this.#keys;
    let probes = 0;
    while (link !== 0) {
      const at = (link - 1) << SHIFT;
      probes++;
      if (
        (keys[at + PORTS]! | 0) === ports &&
        (keys[at + DPORT]! & PROTOCOL_AND_KIND) === wanted &&
        keys[at + 3] === caddr[3] &&
        keys[at + VADDR + 3] === vaddr[3] &&
        keys[at + 2] === caddr[2] &&
        keys[at + VADDR + 2] === vaddr[2] &&
        keys[at + 1] === caddr[1] &&
        keys[at + VADDR + 1] === vaddr[1] &&
        keys[at] === caddr[0] &&
        keys[at + VADDR] === vaddr[0] &&
        ((wanted & KIND) !== PERSISTENT || (keys[at + SALT]! | 0) === (salt | 0))
      )
        break;
      link = keys[at + NEXT]!;
    }
    if (probes > this.longestProbe) this.longestProbe = probes;
    return link - 1;
  }

  #bucket(hash: number): number {
    const bucket = hash & this.#mask;
    return bucket < this.#buckets ? bucket : bucket & (this.#mask >>> 1);
  }

  #clientBucket(at: number): number {
    const keys = this.#keys;
    const rest = keys[at + DPORT]!;
    const salt = (rest & KIND) === PERSISTENT ? keys[at + SALT]! : 0;
    const last = ((rest >>> 8) & 0xff) ^ salt;
    return this.#bucket(
      tupleHash(this.#key0, this.#key1, keys, at, keys, at + VADDR, keys[at + PORTS]!, last),
    );
  }

  #replyBucket(at: number): number {
    const keys = this.#keys;
    const rest = keys[at + DPORT]!;
    const ports = (keys[at + PORTS]! & ~0xffff) | (rest >>> 16);
    return this.#bucket(
      tupleHash(this.#key0, this.#key1, keys, at, keys, at + DADDR, ports, (rest >>> 8) & 0xff),
    );
  }

  /** Puts the row before all others of its chains: the newest is found first. */
  #link(row: Row): void {
    const kind = this.kind(row);
    if (kind === HIDDEN) return;
    if (kind === OPEN) this.#open++;
    const keys = this.#keys;
    const at = row << SHIFT;
    const bucket = this.#clientBucket(at);
    keys[at + NEXT] = this.#heads[bucket]!;
    this.#heads[bucket] = row + 1;
    if (kind === PERSISTENT) return;
    const replyBucket = this.#replyBucket(at);
    keys[at + REPLY_NEXT] = this.#replyHeads[replyBucket]!;
    this.#replyHeads[replyBucket] = row + 1;
  }

  #unlink(row: Row): void {
    const kind = this.kind(row);
    if (kind === HIDDEN) return;
    if (kind === OPEN) this.#open--;
    const at = row << SHIFT;
    this.#unchain(this.#heads, this.#clientBucket(at), row, NEXT);
    if (kind !== PERSISTENT) this.#unchain(this.#replyHeads, this.#replyBucket(at), row, REPLY_NEXT);
  }

  #unchain(heads: Uint32Array<ArrayBuffer>, bucket: number, row: Row, next: number): void {
    const keys = this.#keys;
    const following = keys[(row << SHIFT) + next]!;
    let link = heads[bucket]!;
    if (link === row + 1) {
      heads[bucket] = following;
      return;
    }
    while (link !== 0) {
      const before = ((link - 1) << SHIFT) + next;
      link = keys[before]!;
      if (link === row + 1) {
        keys[before] = following;
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
  #split(heads: Uint32Array<ArrayBuffer>, to: number, next: number): void {
    const keys = this.#keys;
    const from = to & (this.#mask >>> 1);
    let link = heads[from]!;
    let lastStaying = -1;
    let lastMoving = -1;
    heads[from] = 0;
    while (link !== 0) {
      const at = (link - 1) << SHIFT;
      const bucket = next === NEXT ? this.#clientBucket(at) : this.#replyBucket(at);
      const following = keys[at + next]!;
      keys[at + next] = 0;
      if (bucket === to) {
        if (lastMoving < 0) heads[to] = link;
        else keys[lastMoving] = link;
        lastMoving = at + next;
      } else {
        if (lastStaying < 0) heads[from] = link;
        else keys[lastStaying] = link;
        lastStaying = at + next;
      }
      link = following;
    }
  }
}
