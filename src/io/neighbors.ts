/** Who has which MAC address: a bounded table of neighbours, and the packets that wait for an answer. */
import { type Address, sameAddress } from '../wire/address.ts';
import { MAC } from '../wire/ethernet.ts';
import type { Frame } from '../wire/frame.ts';
import { foldAddress, multiplicative } from '../wire/hash.ts';

/** No such neighbour. */
export const NO_NEIGHBOR = -1;

/* States of a row. */
const FREE = 0;
/** Asked for the first time; packets wait. */
const UNKNOWN = 1;
const KNOWN = 2;
/** Known, but that is long ago: used while it is asked again. */
const DOUBTFUL = 3;

/** How much is kept and how long is waited. Defaults are those of RFC 4861 section 10, and modest. */
export interface NeighborLimits {
  /** Neighbours. */
  readonly neighbors: number;
  /** Packets that wait, in all and for one neighbour; a further one pushes out that neighbour's oldest. */
  readonly waiting: number;
  readonly waitingForOne: number;
  /** ms for which an answer is believed without asking again. */
  readonly reachable: number;
  /** ms between questions, and how many go without an answer. */
  readonly retry: number;
  readonly attempts: number;
}

const DEFAULTS: NeighborLimits = {
  neighbors: 1024,
  waiting: 256,
  waitingForOne: 16,
  reachable: 30_000,
  retry: 1000,
  attempts: 3,
};

interface Waiting {
  readonly row: number;
  readonly octets: Uint8Array<ArrayBuffer>;
}

/** The neighbours of one link. All times are ms of the caller's clock. */
export class Neighbors {
  /** Packets that nobody answered for, or that were too many. */
  lost = 0;
  /** MAC addresses, six octets a row. */
  readonly macs: Uint8Array<ArrayBuffer>;
  readonly #limits: NeighborLimits;
  readonly #addresses: Address[];
  readonly #state: Uint8Array;
  readonly #attempts: Uint8Array;
  readonly #asked: Float64Array;
  readonly #confirmed: Float64Array;
  readonly #used: Float64Array;
  readonly #heads: Int32Array;
  readonly #next: Int32Array;
  readonly #hashBits: number;
  #waiting: Waiting[] = [];
  /** Rows that `due` has to look at. */
  #open = 0;

  constructor(limits: Partial<NeighborLimits> = {}) {
    this.#limits = { ...DEFAULTS, ...limits };
    const rows = this.#limits.neighbors;
    this.#hashBits = Math.max(1, 32 - Math.clz32(rows));
    this.#addresses = Array.from({ length: rows }, () => new Uint32Array(4));
    this.macs = new Uint8Array(rows * MAC);
    this.#state = new Uint8Array(rows);
    this.#attempts = new Uint8Array(rows);
    this.#asked = new Float64Array(rows);
    this.#confirmed = new Float64Array(rows);
    this.#used = new Float64Array(rows);
    this.#heads = new Int32Array(1 << this.#hashBits).fill(NO_NEIGHBOR);
    this.#next = new Int32Array(rows).fill(NO_NEIGHBOR);
  }

  /** The row of a neighbour whose MAC address is known; NO_NEIGHBOR: it is not, `wait` for it. */
  lookup(address: Address, now: number): number {
    const row = this.#find(address);
    if (row < 0 || this.#state[row] === UNKNOWN) return NO_NEIGHBOR;
    this.#used[row] = now;
    if (this.#state[row] === KNOWN && now - this.#confirmed[row]! > this.#limits.reachable) {
      this.#state[row] = DOUBTFUL;
      this.#attempts[row] = 0;
      this.#asked[row] = Number.NEGATIVE_INFINITY;
      this.#open++;
    }
    return row;
  }

  /** Keeps a copy of the packet until the neighbour is known; false: no room for one more neighbour. */
  wait(address: Address, frame: Frame, now: number): boolean {
    let row = this.#find(address);
    if (row < 0) row = this.#add(address, now);
    if (row < 0) {
      this.lost++;
      return false;
    }
    const mine = this.#waiting.filter((waiting) => waiting.row === row);
    if (mine.length >= this.#limits.waitingForOne || this.#waiting.length >= this.#limits.waiting) {
      this.lost++;
      const oldest = mine[0];
      if (oldest === undefined) return false;
      this.#waiting.splice(this.#waiting.indexOf(oldest), 1);
    }
    this.#waiting.push({ row, octets: frame.copy() });
    return true;
  }

  /** Calls `ask` for every neighbour that is to be asked (again) now, and gives up on those that were asked enough. */
  due(now: number, ask: (address: Address) => void): void {
    if (this.#open === 0) return;
    for (let row = 0; row < this.#state.length; row++) {
      if (this.#state[row] !== UNKNOWN && this.#state[row] !== DOUBTFUL) continue;
      if (now - this.#asked[row]! < this.#limits.retry) continue;
      if (this.#attempts[row]! >= this.#limits.attempts) {
        this.#remove(row);
        continue;
      }
      this.#attempts[row]!++;
      this.#asked[row] = now;
      ask(this.#addresses[row]!);
    }
  }

  /**
   * The neighbour says where it is: six octets of `bytes` from `at` on. Believed only of neighbours that are asked for
   * or known: nobody fills the table from outside. Returns its row, or NO_NEIGHBOR.
   */
  learn(address: Address, bytes: Uint8Array, at: number, now: number): number {
    const row = this.#find(address);
    if (row < 0 || (bytes[at]! & 1) !== 0) return NO_NEIGHBOR; // a group is nobody's address
    if (this.#state[row] !== KNOWN) this.#open--;
    this.#state[row] = KNOWN;
    this.#confirmed[row] = now;
    this.macs.set(bytes.subarray(at, at + MAC), row * MAC);
    return row;
  }

  /** Takes out the packets that waited for this neighbour, oldest first. */
  release(row: number): Uint8Array<ArrayBuffer>[] {
    const released = this.#waiting.filter((waiting) => waiting.row === row);
    if (released.length > 0) this.#waiting = this.#waiting.filter((waiting) => waiting.row !== row);
    return released.map((waiting) => waiting.octets);
  }

  #find(address: Address): number {
    let row = this.#heads[this.#slot(address)]!;
    while (row >= 0 && !sameAddress(this.#addresses[row]!, address)) row = this.#next[row]!;
    return row;
  }

  #slot(address: Address): number {
    return multiplicative(foldAddress(address), this.#hashBits);
  }

  #add(address: Address, now: number): number {
    let row = this.#state.indexOf(FREE);
    if (row < 0) row = this.#evict();
    if (row < 0) return NO_NEIGHBOR;
    this.#addresses[row]!.set(address);
    this.#state[row] = UNKNOWN;
    this.#attempts[row] = 0;
    this.#asked[row] = Number.NEGATIVE_INFINITY;
    this.#used[row] = now;
    this.#open++;
    const slot = this.#slot(address);
    this.#next[row] = this.#heads[slot]!;
    this.#heads[slot] = row;
    return row;
  }

  /** Frees the known neighbour that was not used for longest. */
  #evict(): number {
    let oldest = NO_NEIGHBOR;
    for (let row = 0; row < this.#state.length; row++) {
      if (this.#state[row] === UNKNOWN) continue;
      if (oldest < 0 || this.#used[row]! < this.#used[oldest]!) oldest = row;
    }
    if (oldest >= 0) this.#remove(oldest);
    return oldest;
  }

  #remove(row: number): void {
    if (this.#state[row] !== KNOWN) this.#open--;
    this.lost += this.release(row).length;
    const slot = this.#slot(this.#addresses[row]!);
    if (this.#heads[slot] === row) this.#heads[slot] = this.#next[row]!;
    else {
      let before = this.#heads[slot]!;
      while (this.#next[before] !== row) before = this.#next[before]!;
      this.#next[before] = this.#next[row]!;
    }
    this.#state[row] = FREE;
  }
}
