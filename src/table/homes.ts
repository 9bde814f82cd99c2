/** Homes: a keyed hash of the client's endpoint and the protocol, the same in the director and in programs. */

/** Words that are hashed: four of an address, and one of port and protocol. */
const WORDS = 5;
/** Words of `secrets`: a factor of 64 bits for each word, a summand of 64 bits, and a factor of 32 bits. */
const SECRET_WORDS = 2 * WORDS + 3;
const REDUCTION = 2 ** -32;
/** Bits of the hash that choose among the places; fewer than 2^28 of them keep all products below 2^53. */
const PLACE_BITS = 25;

/**
 * Multilinear hashing (Lemire, Kaser: Strongly universal string hashing is fast, 2014): the upper word of
 * b + sum of a[i] * word[i] modulo 2^64 with secret a and b. No choice of addresses is known to collide beforehand, even
 * for a client that has a /64 to choose from; a chain of multiplications by secrets does not have this property.
 * Sequences of addresses would still cluster under some secrets, so a shift and a multiplication finish it.
 * Words are those of a packet as a little-endian machine loads them.
 */
export class Homes {
  /** How many homes. */
  readonly places: number;
  readonly #scale: number;
  readonly #low0: number;
  readonly #low1: number;
  readonly #low2: number;
  readonly #low3: number;
  readonly #low4: number;
  readonly #lowSum: number;
  readonly #high0: number;
  readonly #high1: number;
  readonly #high2: number;
  readonly #high3: number;
  readonly #high4: number;
  readonly #highSum: number;
  readonly #finish: number;

  /** `places`: 1 to 2^28 - 1. `secrets`: 13 random words that strangers must not learn. */
  constructor(places: number, secrets: Uint32Array) {
    if (secrets.length < SECRET_WORDS) throw new RangeError(`secrets: expected ${SECRET_WORDS} words`);
    this.places = places;
    this.#scale = places / 2 ** PLACE_BITS;
    const low = (i: number) => secrets[2 * i]!;
    const high = (i: number) => secrets[2 * i + 1]! | 0;
    this.#low0 = low(0);
    this.#low1 = low(1);
    this.#low2 = low(2);
    this.#low3 = low(3);
    this.#low4 = low(4);
    this.#lowSum = low(WORDS);
    this.#high0 = high(0);
    this.#high1 = high(1);
    this.#high2 = high(2);
    this.#high3 = high(3);
    this.#high4 = high(4);
    this.#highSum = high(WORDS);
    this.#finish = secrets[2 * WORDS + 2]! | 1;
  }

  /** The home of an IPv4 client. `client`: port, and protocol above it. */
  ofIpv4(address: number, client: number): number {
    const word3 = address >>> 0;
    const last = client >>> 0;
    // The lower half of a product is exact by imul; the upper half is the product, as a double, less that.
    const a = Math.imul(this.#low3, word3) >>> 0;
    const b = Math.imul(this.#low4, last) >>> 0;
    const upper = (upperHalf(this.#low3 * word3, a) + upperHalf(this.#low4 * last, b)) | 0;
    const carry = ((a + b + this.#lowSum) * REDUCTION) | 0;
    const high = (Math.imul(this.#high3, word3) + Math.imul(this.#high4, last)) | 0;
    return this.#place((upper + carry + this.#highSum + high) | 0);
  }

  /** The home of any client by all four words of its address. */
  ofIpv6(word0: number, word1: number, word2: number, word3: number, client: number): number {
    return this.#place(this.sum(word0, word1, word2, word3, client));
  }

  /** A hash of five words, 32 bits (signed); not finished. */
  sum(word0: number, word1: number, word2: number, word3: number, word4: number): number {
    const w0 = word0 >>> 0;
    const w1 = word1 >>> 0;
    const w2 = word2 >>> 0;
    const w3 = word3 >>> 0;
    const w4 = word4 >>> 0;
    const a = Math.imul(this.#low0, w0) >>> 0;
    const b = Math.imul(this.#low1, w1) >>> 0;
    const c = Math.imul(this.#low2, w2) >>> 0;
    const d = Math.imul(this.#low3, w3) >>> 0;
    const e = Math.imul(this.#low4, w4) >>> 0;
    const upper01 = (upperHalf(this.#low0 * w0, a) + upperHalf(this.#low1 * w1, b)) | 0;
    const upper23 = (upperHalf(this.#low2 * w2, c) + upperHalf(this.#low3 * w3, d)) | 0;
    const upper4 = (upperHalf(this.#low4 * w4, e) + this.#highSum) | 0;
    const carry = ((a + b + c + d + e + this.#lowSum) * REDUCTION) | 0;
    const high01 = (Math.imul(this.#high0, w0) + Math.imul(this.#high1, w1)) | 0;
    const high23 = (Math.imul(this.#high2, w2) + Math.imul(this.#high3, w3)) | 0;
    const high4 = (Math.imul(this.#high4, w4) + carry) | 0;
    return (upper01 + upper23 + upper4 + high01 + high23 + high4) | 0;
  }

  #place(sum: number): number {
    const hash = Math.imul(sum ^ (sum >>> 15), this.#finish);
    return ((hash >>> 7) * this.#scale) | 0;
  }
}

/** The upper 32 bits of a product of two words: `rounded` as a double, `low` its lower half. The error stays below 2^-20. */
const upperHalf = (rounded: number, low: number): number => ((rounded - low) * REDUCTION + 0.5) >>> 0;

/** Derives the secrets of Homes from 32 random bits (the finalizer of MurmurHash3 over a sequence). */
export function secretsFrom(seed: number): Uint32Array {
  return Uint32Array.from({ length: SECRET_WORDS }, (_, i) => {
    let word = (seed + Math.imul(i + 1, 0x9e3779b1)) | 0;
    word = Math.imul(word ^ (word >>> 16), 0x85ebca6b);
    word = Math.imul(word ^ (word >>> 13), 0xc2b2ae35);
    return word ^ (word >>> 16);
  });
}
