/** The Internet checksum (RFC 1071): sum, fold, incremental update (RFC 1624), pseudo header. */
import type { Address } from './address.ts';
import { isV4 } from './address.ts';

/** Bytes summed before folding, so that the sum stays within 31 bits. */
const CHUNK = 16_384;

/** Folds the sum to 16 bits; returns 0 only when the sum is 0. */
export function fold(sum: number): number {
  let folded = sum;
  while (folded > 0xffff) folded = (folded & 0xffff) + (folded >>> 16);
  return folded;
}

/**
 * Returns the ones' complement sum of the 16-bit words of view[from, to), added to `initial` (0..0xffffff)
 * and folded to 16 bits. `from` may be odd; an odd last byte counts as the high one of a word.
 */
export function sum(view: DataView, from: number, to: number, initial = 0): number {
  let total = initial;
  let at = from;
  while (to - at >= 4) {
    const stop = Math.min(to - 3, at + CHUNK);
    for (; at < stop; at += 4) {
      const word = view.getInt32(at);
      total += (word >>> 16) + (word & 0xffff);
    }
    total = fold(total);
  }
  if (to - at >= 2) {
    total += view.getUint16(at);
    at += 2;
  }
  if (at < to) total += view.getUint8(at) << 8;
  return fold(total);
}

/** Returns the checksum field for a sum. */
export const complement = (total: number): number => ~fold(total) & 0xffff;

/** Returns the UDP checksum field for a checksum: 0 would mean "none", so it is sent as 0xffff (RFC 768). */
export const neverZero = (checksum: number): number => (checksum === 0 ? 0xffff : checksum);

/*
 * RFC 1624, equation 3: HC' = ~(~HC + ~m + m'). A "change" is the ~m + m' of one or several replaced words.
 * Changes are added, and one change serves every checksum that covers the words.
 */

/** Returns the change that replaces one 16-bit word by another. */
export const change16 = (from: number, to: number): number => (~from & 0xffff) + to;

/** Returns the change that replaces one 32-bit word, of either sign, by another. */
export const change32 = (from: number, to: number): number =>
  (~from & 0xffff) + (~from >>> 16) + (to & 0xffff) + (to >>> 16);

/** Returns the checksum field after a change. */
export const updated = (checksum: number, change: number): number =>
  ~fold((~checksum & 0xffff) + change) & 0xffff;

/** Applies a change to the checksum field at `at`. */
export function update(view: DataView, at: number, change: number): void {
  view.setUint16(at, updated(view.getUint16(at), change));
}

/**
 * Applies a change to the UDP checksum field at `at`. An absent checksum stays absent, and none becomes
 * absent (RFC 768).
 */
export function updateUdp(view: DataView, at: number, change: number): void {
  const checksum = view.getUint16(at);
  if (checksum !== 0) view.setUint16(at, neverZero(updated(checksum, change)));
}

/**
 * Returns the sum of the pseudo header of TCP, UDP and ICMPv6 (RFC 9293 section 3.1, RFC 8200 section 8.1), folded.
 * `length`: bytes of transport header and payload.
 */
export function pseudoSum(src: Address, dst: Address, protocol: number, length: number): number {
  let total = protocol + (length & 0xffff) + (length >>> 16);
  // An IPv6 packet may have an IPv4-mapped source (RFC 4291 section 2.5.5.2): the prefix ::ffff adds nothing.
  for (let i = isV4(src) && isV4(dst) ? 3 : 0; i < 4; i++) {
    const s = src[i]! | 0;
    const d = dst[i]! | 0;
    total += (s >>> 16) + (s & 0xffff) + (d >>> 16) + (d & 0xffff);
  }
  return fold(total);
}
