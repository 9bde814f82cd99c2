/** A set of prefixes, which finds those that an address is in. It makes no objects: hundreds of thousands cost no collections. */
import { type Address, isV4, maskAddress } from './address.ts';
import { mix } from './hash.ts';
import { ADDRESS_BITS, BITS_BEFORE_IPV4, isIpv4Prefix, maskOf, type Prefix } from './prefix.ts';

/* A slot: four words of the address, and one of the bits and of what the slot is. */
const SLOT_WORDS = 5;
const STATE = 4;
const FREE = 0;
/** A prefix was here: lookups go on. */
const REMOVED = 0xffff_ffff;
/** Beside the bits of a prefix. */
const USED = 1 << 8;
const MIN_SLOTS = 16;
const NOT_FOUND = -1;

export class PrefixSet {
  readonly #seed: number;
  #slots = new Uint32Array(MIN_SLOTS * SLOT_WORDS);
  /** Slots that are not free. */
  #filled = 0;
  #size = 0;
  /** Prefixes of each number of bits. */
  readonly #counts = new Uint32Array(ADDRESS_BITS + 1);
  /** Numbers of bits in use, longest first. */
  #lengths: number[] = [];
  readonly #masked: Address = new Uint32Array(4);

  /** `seed`: secret, so that no choice of prefixes slows lookups. */
  constructor(seed = 0) {
    this.#seed = seed;
  }

  get size(): number {
    return this.#size;
  }

  add({ address, bits }: Prefix): void {
    if (this.#find(address, bits) !== NOT_FOUND) return;
    if ((this.#filled + 1) * 2 > this.#slots.length / SLOT_WORDS) this.#rebuild();
    this.#insert(this.#slots, address, bits);
    this.#filled++;
    this.#size++;
    if (this.#counts[bits]!++ === 0) this.#lengths = [...this.#lengths, bits].sort((a, b) => b - a);
  }

  delete({ address, bits }: Prefix): void {
    const at = this.#find(address, bits);
    if (at === NOT_FOUND) return;
    this.#slots[at + STATE] = REMOVED;
    this.#size--;
    if (--this.#counts[bits]! === 0) this.#lengths = this.#lengths.filter((each) => each !== bits);
  }

  /**
   * Returns the bits of the longest prefix that the address is in, of 128; -1: it is in none. Prefixes of `except` do not
   * count.
   */
  match(address: Address, except?: PrefixSet): number {
    const least = isV4(address) ? BITS_BEFORE_IPV4 : 0;
    for (const bits of this.#lengths) {
      if (bits < least) return NOT_FOUND;
      const masked = maskAddress(address, maskOf(bits), this.#masked);
      if (this.#find(masked, bits) !== NOT_FOUND && !except?.has(masked, bits)) return bits;
    }
    return NOT_FOUND;
  }

  /** Reports whether the set has this very prefix. */
  has(address: Address, bits: number): boolean {
    return this.#size > 0 && this.#find(address, bits) !== NOT_FOUND;
  }

  /** Returns the longest prefix that the address is in; undefined: it is in none. */
  find(address: Address): Prefix | undefined {
    return this.covering({ address, bits: ADDRESS_BITS });
  }

  /** Returns the longest prefix that all addresses of `prefix` are in. */
  covering(prefix: Prefix): Prefix | undefined {
    const { address, bits: most } = prefix;
    const least = isIpv4Prefix(prefix) ? BITS_BEFORE_IPV4 : 0;
    for (const bits of this.#lengths) {
      if (bits > most) continue;
      if (bits < least) return undefined;
      const masked = maskAddress(address, maskOf(bits), new Uint32Array(4));
      if (this.#find(masked, bits) !== NOT_FOUND) return { address: masked, bits };
    }
    return undefined;
  }

  /** Yields the prefixes. One that is added or removed meanwhile may be missing. */
  *[Symbol.iterator](): Generator<Prefix> {
    const slots = this.#slots;
    for (let at = 0; at < slots.length; at += SLOT_WORDS) {
      const state = slots[at + STATE]!;
      if (state !== FREE && state !== REMOVED)
        yield { address: slots.slice(at, at + STATE) as Address, bits: state & ~USED };
    }
  }

  /** Returns the index of the slot that has the prefix. */
  #find(address: Address, bits: number): number {
    const slots = this.#slots;
    for (let at = this.#home(slots, address, bits); ; at = next(slots, at)) {
      const state = slots[at + STATE]!;
      if (state === FREE) return NOT_FOUND;
      if (
        state === (bits | USED) &&
        slots[at + 3] === address[3] &&
        slots[at + 2] === address[2] &&
        slots[at + 1] === address[1] &&
        slots[at] === address[0]
      )
        return at;
    }
  }

  #insert(slots: Uint32Array, address: ArrayLike<number>, bits: number): void {
    let at = this.#home(slots, address, bits);
    while (slots[at + STATE] !== FREE) at = next(slots, at);
    for (let i = 0; i < STATE; i++) slots[at + i] = address[i]!;
    slots[at + STATE] = bits | USED;
  }

  /** Makes room for as many prefixes again, without the removed ones. */
  #rebuild(): void {
    const old = this.#slots;
    let count = MIN_SLOTS;
    while (count < this.#size * 4) count *= 2;
    const slots = new Uint32Array(count * SLOT_WORDS);
    for (let at = 0; at < old.length; at += SLOT_WORDS) {
      const state = old[at + STATE]!;
      if (state !== FREE && state !== REMOVED)
        this.#insert(slots, old.subarray(at, at + STATE), state & ~USED);
    }
    this.#slots = slots;
    this.#filled = this.#size;
  }

  #home(slots: Uint32Array, address: ArrayLike<number>, bits: number): number {
    let hash = this.#seed ^ bits;
    for (let i = 0; i < STATE; i++) {
      hash = mix(hash ^ address[i]!);
      hash ^= hash >>> 16;
    }
    // The high bits are the good ones.
    return (mix(hash) >>> Math.clz32(slots.length / SLOT_WORDS - 1)) * SLOT_WORDS;
  }
}

const next = (slots: Uint32Array, at: number): number =>
  at + SLOT_WORDS < slots.length ? at + SLOT_WORDS : 0;
