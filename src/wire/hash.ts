/**
 * Hashes: those of the schedulers sh, dh and mh, which every Linux director computes alike, and one for hash
 * tables.
 */
import type { Address } from './address.ts';
import { isV4 } from './address.ts';

/**
 * 2^32 less 2^32 divided by the golden ratio: multiplying by it spreads small differences to the high bits.
 */
export const GOLDEN_RATIO_32 = 0x61c88647;

/**
 * Returns the high `bits` bits, 1..32, of the multiplicative hash of a 32-bit word (Knuth, volume 3, section
 * 6.4).
 */
export const multiplicative = (word: number, bits: number): number =>
  Math.imul(word, GOLDEN_RATIO_32) >>> (32 - bits);

/** The factor of `mix`: 2^32 divided by the golden ratio, odd. */
export const MIX_FACTOR = 0x9e3779b1;

/** Returns a 32-bit word, of either sign, whose high bits depend on all bits of `word`; for hash tables of our own. */
export const mix = (word: number): number => Math.imul(word, MIX_FACTOR);

/** Returns an address as 32 bits, 0..2^32-1: that of IPv4 itself, the four words of IPv6 XORed. */
export const foldAddress = (address: Address): number =>
  isV4(address) ? address[3]! : (address[0]! ^ address[1]! ^ address[2]! ^ address[3]!) >>> 0;

/** SipHash (Aumasson, Bernstein 2012): the initial state, high and low words of v0 to v3. */
export const SIPHASH_STATE = [
  [0x736f6d65, 0x70736575],
  [0x646f7261, 0x6e646f6d],
  [0x6c796765, 0x6e657261],
  [0x74656462, 0x79746573],
] as const;
const [[V0_HIGH, V0_LOW], [V1_HIGH, V1_LOW], [V2_HIGH, V2_LOW], [V3_HIGH, V3_LOW]] = SIPHASH_STATE;

/** Bytes in the one word that is hashed: SipHash puts the length into the top byte of the last block. */
export const SIPHASH_WORD_BYTES = 4;
/** One compression round, then three of finalization: SipHash-1-3. */
const ROUNDS = 4;

/**
 * Returns the SipHash-1-3 of one 32-bit word (four bytes, little endian), truncated to its low 32 bits,
 * 0..2^32-1: hsiphash of a 64-bit Linux. The two 64-bit keys are given as words.
 */
export function hsiphash(word: number, key0: number, key1: number, key0High = 0, key1High = 0): number {
  let v0h = key0High ^ V0_HIGH;
  let v0l = key0 ^ V0_LOW;
  let v1h = key1High ^ V1_HIGH;
  let v1l = key1 ^ V1_LOW;
  let v2h = key0High ^ V2_HIGH;
  let v2l = key0 ^ V2_LOW;
  let v3h = key1High ^ V3_HIGH ^ (SIPHASH_WORD_BYTES << 24);
  let v3l = key1 ^ V3_LOW ^ word;
  for (let round = 0; round < ROUNDS; round++) {
    let low: number;
    let high: number;
    // v0 += v1; v1 = rotl(v1, 13) ^ v0; v0 = rotl(v0, 32)
    low = (v0l + v1l) | 0;
    high = (v0h + v1h + carry(low, v1l)) | 0;
    v0l = (v1l << 13) | (v1h >>> 19);
    v1h = ((v1h << 13) | (v1l >>> 19)) ^ high;
    v1l = v0l ^ low;
    v0l = high;
    v0h = low;
    // v2 += v3; v3 = rotl(v3, 16) ^ v2
    v2l = (v2l + v3l) | 0;
    v2h = (v2h + v3h + carry(v2l, v3l)) | 0;
    low = ((v3l << 16) | (v3h >>> 16)) ^ v2l;
    v3h = ((v3h << 16) | (v3l >>> 16)) ^ v2h;
    v3l = low;
    // v0 += v3; v3 = rotl(v3, 21) ^ v0
    v0l = (v0l + v3l) | 0;
    v0h = (v0h + v3h + carry(v0l, v3l)) | 0;
    low = ((v3l << 21) | (v3h >>> 11)) ^ v0l;
    v3h = ((v3h << 21) | (v3l >>> 11)) ^ v0h;
    v3l = low;
    // v2 += v1; v1 = rotl(v1, 17) ^ v2; v2 = rotl(v2, 32)
    low = (v2l + v1l) | 0;
    high = (v2h + v1h + carry(low, v1l)) | 0;
    v2l = (v1l << 17) | (v1h >>> 15);
    v1h = ((v1h << 17) | (v1l >>> 15)) ^ high;
    v1l = v2l ^ low;
    v2l = high;
    v2h = low;
    if (round === 0) {
      v0h ^= SIPHASH_WORD_BYTES << 24;
      v0l ^= word;
      v2l ^= 0xff;
    }
  }
  return (v0l ^ v1l ^ v2l ^ v3l) >>> 0;
}

/** Returns 1 when adding `addend` to produce `sum` overflowed 32 bits. */
const carry = (sum: number, addend: number): number => (sum >>> 0 < addend >>> 0 ? 1 : 0);
