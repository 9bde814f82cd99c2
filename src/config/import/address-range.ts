/** Ranges of addresses, as keepalived and ldirectord write them. */
import { formatAddress, parseAddress } from '../../wire/address.ts';
import { familyOfText } from '../canonical-address.ts';

/** Addresses that one range may stand for: each of them becomes a service or a destination. */
export const MAX_RANGE = 1024;

/** Returns the addresses from `first` to `last`, or undefined where they are no range of at most MAX_RANGE. */
export function addressRange(first: string, last: string): string[] | undefined {
  const family = familyOfText(first);
  if (family === 0 || familyOfText(last) !== family) return undefined;
  const [from, to] = [numberOf(first), numberOf(last)];
  const count = to - from + 1n;
  if (count < 1n || count > BigInt(MAX_RANGE)) return undefined;
  return Array.from({ length: Number(count) }, (_, i) => textOf(from + BigInt(i)));
}

/** Returns the addresses of the network of `prefix` leading bits that has `address`, or undefined as addressRange. */
export function networkRange(address: string, prefix: number): string[] | undefined {
  const family = familyOfText(address);
  const bits = (family === 6 ? 128 : 32) - prefix;
  if (family === 0 || bits < 0 || bits > 10) return undefined;
  const size = 1n << BigInt(bits);
  const from = (numberOf(address) / size) * size;
  return addressRange(textOf(from), textOf(from + size - 1n));
}

/** All 128 bits, so that IPv4 addresses count within ::ffff:0:0/96. */
const numberOf = (text: string): bigint =>
  parseAddress(text)!.reduce((sum, word) => (sum << 32n) | BigInt(word), 0n);

const textOf = (number: bigint): string =>
  formatAddress(
    Uint32Array.from([96n, 64n, 32n, 0n].map((shift) => Number((number >> shift) & 0xffff_ffffn))),
  );
