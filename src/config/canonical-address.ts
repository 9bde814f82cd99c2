/** Addresses in configuration files: recognition, and the canonical spelling in which they are compared. */
import { isIP } from 'node:net';
import { formatAddress, isMulticast, isUnicast, parseAddress } from '../wire/address.ts';

/**
 * Returns the family of a literal address; 0 for other text, and for an address with a zone (fe80::1%eth0 is
 * valid on one host only).
 */
export const familyOfText = (text: string): 4 | 6 | 0 => (text.includes('%') ? 0 : (isIP(text) as 4 | 6 | 0));

/** Returns an IPv6 address in the form of RFC 5952, other text unchanged. */
export function canonical(text: string): string {
  const address = isIP(text) === 6 ? parseAddress(text) : undefined;
  const written = address && formatAddress(address);
  // An IPv4-mapped address (RFC 4291 section 2.5.5.2) stays an IPv6 address.
  return written !== undefined && isIP(written) === 6 ? written : text;
}

/** Reports whether the text is the address of a multicast group, of IPv4 or IPv6. */
export function isMulticastGroup(text: string): boolean {
  const address = parseAddress(text);
  return address !== undefined && isMulticast(address);
}

/** Reports whether the text is the address of one host, not link-local. */
export function isHostAddress(text: string): boolean {
  const address = familyOfText(text) === 0 ? undefined : parseAddress(text);
  return address !== undefined && isUnicast(address);
}
