/** Addresses as a director names them, so that what a file says can be compared with what runs. */
import { isIP } from 'node:net';
import { formatAddress, parseAddress } from '../wire/address.ts';

/** An IPv6 address as RFC 5952 writes it; anything else as it is. */
export function canonical(text: string): string {
  const address = isIP(text) === 6 ? parseAddress(text) : undefined;
  const written = address && formatAddress(address);
  // One that stands for an IPv4 address (RFC 4291 section 2.5.5.2) stays an IPv6 one.
  return written !== undefined && isIP(written) === 6 ? written : text;
}
