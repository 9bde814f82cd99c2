/** Address prefixes: an address and the number of its leading bits that count. */
import {
  type Address,
  formatAddress,
  isV4,
  maskAddress,
  parseAddress,
  prefixMask,
  sameAddress,
} from './address.ts';

/** Bits of an address in memory, where those of IPv4 follow 96 fixed ones. */
export const ADDRESS_BITS = 128;
/** Bits that IPv4 prefixes have at least. */
export const BITS_BEFORE_IPV4 = 96;

/** An address whose other bits are 0, and the number of leading bits, of 128: those of an IPv4 prefix and 96. */
export interface Prefix {
  readonly address: Address;
  readonly bits: number;
}

const MASKS = Array.from({ length: ADDRESS_BITS + 1 }, (_, bits) => prefixMask(6, bits));

/** Reports whether all addresses of a prefix are of IPv4: 0.0.0.0/0 differs from ::/0 by its address. */
export const isIpv4Prefix = ({ address, bits }: Prefix): boolean => isV4(address) && bits >= BITS_BEFORE_IPV4;

/** Returns the mask of so many leading bits, of 128. */
export const maskOf = (bits: number): Address => MASKS[bits]!;

/**
 * Returns the prefix of an address, or of `address/bits`. IPv4-mapped IPv6 is IPv4. Text that is neither, or that has bits
 * behind the prefix, is an error, which is returned as text.
 */
export function parsePrefix(text: string): Prefix | string {
  const [, written = '', length] = /^([^/]*)(?:\/(\d{1,3}))?$/.exec(text) ?? [];
  const address = parseAddress(written);
  if (!address) return 'expected an address, or a prefix such as 198.51.100.0/24 or 2001:db8::/32';
  const isIpv4Text = !written.includes(':');
  const most = isIpv4Text ? ADDRESS_BITS - BITS_BEFORE_IPV4 : ADDRESS_BITS;
  if (Number(length ?? 0) > most) return `expected at most ${most} bits`;
  const bits = length === undefined ? ADDRESS_BITS : Number(length) + (isIpv4Text ? BITS_BEFORE_IPV4 : 0);
  const masked = maskAddress(address, maskOf(bits), new Uint32Array(4));
  if (!sameAddress(masked, address))
    return `bits are set behind the prefix: expected ${formatPrefix({ address: masked, bits })}, or ${formatAddress(address)} alone`;
  return { address, bits };
}

/** Returns `address/bits`, or the address alone if all of its bits count. */
export function formatPrefix(prefix: Prefix): string {
  const { address, bits } = prefix;
  if (bits === ADDRESS_BITS) return formatAddress(address);
  return `${formatAddress(address)}/${isIpv4Prefix(prefix) ? bits - BITS_BEFORE_IPV4 : bits}`;
}
