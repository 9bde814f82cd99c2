/** The seeded hash of the connection table: strangers feed it, and none of them can choose keys that collide. */

/** HalfSipHash (github.com/veorq/SipHash) starts from these two words and its two key words. */
const V2 = 0x6c796765;
const V3 = 0x74656462;

/** The third word of an IPv4 address in four words; the first two are 0. */
const MAPPED = 0xffff;

/**
 * HalfSipHash-1-3 of two addresses, two ports and a protocol, as 32 bits (signed). Addresses are four words of `a`
 * from `i` on, and of `b` from `j` on; of two IPv4 addresses only the last words are hashed.
 * `last` is whatever else tells keys apart, the protocol at least; it takes the place of the length.
 */
export function tupleHash(
  key0: number,
  key1: number,
  a: Uint32Array<ArrayBuffer>,
  i: number,
  b: Uint32Array<ArrayBuffer>,
  j: number,
  ports: number,
  last: number,
): number {
  let v0 = key0;
  let v1 = key1;
  let v2 = key0 ^ V2;
  let v3 = key1 ^ V3;
  const short = (a[i]! | a[i + 1]! | b[j]! | b[j + 1]!) === 0 && a[i + 2] === MAPPED && b[j + 2] === MAPPED;
  for (let step = short ? 3 : 0; step < 13; step++) {
    // Steps 0-3 and 4-7 take the addresses, 8 the ports, 9 the rest, 10-12 finish.
    let word = 0;
    if (step < 4) word = a[i + step]!;
    else if (step < 8) word = b[j + step - 4]!;
    else if (step === 8) word = ports;
    else if (step === 9) word = last;
    v3 ^= word;
    v0 = (v0 + v1) | 0;
    v1 = ((v1 << 5) | (v1 >>> 27)) ^ v0;
    v0 = (v0 << 16) | (v0 >>> 16);
    v2 = (v2 + v3) | 0;
    v3 = ((v3 << 8) | (v3 >>> 24)) ^ v2;
    v0 = (v0 + v3) | 0;
    v3 = ((v3 << 7) | (v3 >>> 25)) ^ v0;
    v2 = (v2 + v1) | 0;
    v1 = ((v1 << 13) | (v1 >>> 19)) ^ v2;
    v2 = (v2 << 16) | (v2 >>> 16);
    v0 ^= word;
    if (step === 3 && short) step = 6;
    if (step === 9) v2 ^= 0xff;
  }
  return v1 ^ v3;
}
