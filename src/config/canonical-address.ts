/** Addresses of files: which texts are some, and how a director names them, so that both can be compared. */
import { isIP } from 'node:net';
import { formatAddress, parseAddress } from '../wire/address.ts';

/** Returns the family of a literal address without a zone (fe80::1%eth0 is one host's own name); 0: it is none. */
export const familyOfText = (text: string): 4 | 6 | 0 => (text.includes('%') ? 0 : (isIP(text) as 4 | 6 | 0));

/** Returns an IPv6 address as RFC 5952 writes it; anything else as it is. */
export function canonical(text: string): string {
  const address = isIP(text) === 6 ? parseAddress(text) : undefined;
  const written = address && formatAddress(address);
  // One that stands for an IPv4 address (RFC 4291 section 2.5.5.2) stays an IPv6 one.
  return written !== undefined && isIP(written) === 6 ? written : text;
}
