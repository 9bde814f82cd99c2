/** The seeded hash of the connection table: strangers feed it, and none of them can choose keys that collide. */
import { type Address, isV4 } from '../wire/address.ts';

/** HalfSipHash (github.com/veorq/SipHash) starts from these two words and its two key words. */
const V2 = 0x6c796765;
const V3 = 0x74656462;

/** Words taken in: four of each address, the ports, the rest; then three rounds to finish. */
const A = 0;
const B = 4;
const PORTS = 8;
const LAST = 9;
const END = 13;

/**
 * HalfSipHash-1-3 of two addresses, two ports and a protocol, as 32 bits (signed). Of two IPv4 addresses only the last
 * words are hashed. `last` is whatever else tells keys apart, the protocol at least; it takes the place of the length.
 */
export function tupleHash(
  key0: number,
  key1: number,
  a: Address,
  b: Address,
  ports: number,
  last: number,
): number {
  let v0 = key0;
  let v1 = key1;
  let v2 = key0 ^ V2;
  let v3 = key1 ^ V3;
  const short = isV4(a) && isV4(b);
  for (let step = short ? B - 1 : A; step < END; step++) {
    // `| 0`: an unsigned word past 2^31 would be put on the heap.
    let word = 0;
    if (step < B) word = a[step]! | 0;
    else if (step < PORTS) word = b[step - B]! | 0;
    else if (step === PORTS) word = ports;
    else if (step === LAST) word = last;
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
    if (step === LAST) v2 ^= 0xff;
    if (step === B - 1 && short) step = PORTS - 2;
  }
  return v1 ^ v3;
}
