/** IPsec, as far as a director looks at it (RFC 4301): its packets have no ports, and follow the key exchange. */
import { AUTHENTICATION } from './ipv6.ts';

/** IP protocol number of the encapsulating security payload (RFC 4303). */
export const ESP = 50;
/** UDP port of the Internet key exchange (RFC 7296 section 2). */
export const IKE_PORT = 500;

/**
 * Reports whether the protocol of a packet of the IP version is ESP or AH. In IPv6 AH is an extension header, and what
 * follows it counts.
 */
export const isIpsec = (protocol: number, version: number): boolean =>
  protocol === ESP || (protocol === AUTHENTICATION && version === 4);
