/**
 * IPv4 and IPv6 addresses as four words: parsing, formatting, comparison. Only this file uses the packages ip
 * and netmask.
 */
import { isIP } from 'node:net';
import ip from 'ip';
import netmask from 'netmask';

/**
 * An address as four 32-bit words in network order. IPv4 is held as ::ffff:a.b.c.d (RFC 4291 section
 * 2.5.5.2), so that one code path serves both families.
 */
export type Address = Uint32Array<ArrayBuffer>;

/** The third word of every IPv4 address. */
const MAPPED = 0xffff;

/** 0.0.0.0 */
export const ANY4: Address = Uint32Array.of(0, 0, MAPPED, 0);
/** :: */
export const ANY6: Address = Uint32Array.of(0, 0, 0, 0);

/** Reports whether the address is an IPv4 address. */
export const isV4 = (address: Address): boolean =>
  address[2] === MAPPED && address[1] === 0 && address[0] === 0;

export const familyOf = (address: Address): 4 | 6 => (isV4(address) ? 4 : 6);

export const sameAddress = (a: Address, b: Address): boolean =>
  a[3] === b[3] && a[2] === b[2] && a[1] === b[1] && a[0] === b[0];

/** Returns the IPv4 address with these 32 bits. */
export const addressFromV4 = (word: number): Address => Uint32Array.of(0, 0, MAPPED, word);

/** Returns the address of an IPv4 or IPv6 literal; undefined for other text (names, zones, prefixes). */
export function parseAddress(text: string): Address | undefined {
  const family = isIP(text);
  if (family === 4) return addressFromV4(ip.toLong(text));
  if (family !== 6 || text.includes('%')) return undefined;
  const octets = ip.toBuffer(text);
  return Uint32Array.of(
    octets.readUInt32BE(0),
    octets.readUInt32BE(4),
    octets.readUInt32BE(8),
    octets.readUInt32BE(12),
  );
}

/**
 * Returns the text of an address, IPv6 like inet_ntop: RFC 5952, and ::a.b.c.d for IPv4-compatible addresses.
 */
export function formatAddress(address: Address): string {
  if (isV4(address)) return ip.fromLong(address[3]!);
  const groups: number[] = [];
  for (const word of address) groups.push(word >>> 16, word & 0xffff);
  const [from, length] = longestZeroRun(groups);
  if (from === 0 && length === 6) return `::${ip.fromLong(address[3]!)}`;
  const hex = (part: number[]) => part.map((group) => group.toString(16)).join(':');
  return length < 2 ? hex(groups) : `${hex(groups.slice(0, from))}::${hex(groups.slice(from + length))}`;
}

function longestZeroRun(groups: readonly number[]): [from: number, length: number] {
  let best: [number, number] = [0, 0];
  for (let i = 0; i < groups.length; i++) {
    let length = 0;
    while (groups[i + length] === 0) length++;
    if (length > best[1]) best = [i, length];
    i += length;
  }
  return best;
}

/** Returns `host:port` as tools print it: an IPv6 address goes in brackets. The port may be a name. */
export const joinEndpoint = (host: string, port: number | string): string =>
  host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;

/** Returns `address:port` as tools print it: an IPv6 address goes in brackets. */
export const formatEndpoint = (address: Address, port: number): string =>
  joinEndpoint(formatAddress(address), port);

export const isMulticast = (address: Address): boolean =>
  isV4(address) ? address[3]! >>> 28 === 0xe : address[0]! >>> 24 === 0xff;

/**
 * Reports whether the address is in 127.0.0.0/8 or ::1 (RFC 1122 section 3.2.1.3, RFC 4291 section 2.5.3).
 */
export const isLoopback = (address: Address): boolean =>
  isV4(address)
    ? address[3]! >>> 24 === 127
    : address[3] === 1 && (address[0]! | address[1]! | address[2]!) === 0;

/**
 * Reports whether the address can be that of one host: not multicast, limited broadcast, unspecified or
 * loopback (RFC 1122 section 3.2.1.3, RFC 4291 section 2.5). The rest of 0.0.0.0/8 and 240.0.0.0/4 can, as in
 * Linux 6.1.
 */
export function isOneHost(address: Address): boolean {
  if (!isV4(address))
    return !isMulticast(address) && ((address[0]! | address[1]! | address[2]!) !== 0 || address[3]! > 1);
  const word = address[3]!;
  return !isMulticast(address) && word !== 0 && word !== 0xffffffff && word >>> 24 !== 127;
}

/**
 * Reports whether the kernel's IPVS accepts the address as a destination: not unspecified, multicast or
 * broadcast, and in IPv6 not link-local, which would need an interface.
 */
export function isUnicast(address: Address): boolean {
  const first = address[0]!;
  if (isV4(address)) return address[3] !== 0 && address[3]! >>> 28 < 0xe;
  const isLinkLocal = first >>> 22 === 0xfe80 >>> 6;
  return first >>> 24 !== 0xff && !isLinkLocal && (first | address[1]! | address[2]! | address[3]!) !== 0;
}

/** Returns the mask of a prefix, 0..32 bits for IPv4, 0..128 for IPv6, to be ANDed with an address. */
export function prefixMask(family: 4 | 6, bits: number): Address {
  const length = family === 4 ? bits + 96 : bits;
  const word = (i: number) => {
    const ones = Math.min(32, Math.max(0, length - 32 * i));
    return ones === 0 ? 0 : (0xffffffff << (32 - ones)) >>> 0;
  };
  return Uint32Array.of(word(0), word(1), word(2), word(3));
}

/**
 * Returns the prefix length of a dotted IPv4 mask such as 255.255.255.0; undefined when its ones do not lead.
 */
export function prefixOfMask(mask: string): number | undefined {
  if (isIP(mask) !== 4) return undefined;
  try {
    return new netmask.Netmask('0.0.0.0', mask).bitmask;
  } catch {
    return undefined;
  }
}

/** Writes the address, with all bits outside the mask cleared, to `into`. Returns `into`. */
export function maskAddress(address: Address, mask: Address, into: Address): Address {
  for (let i = 0; i < 4; i++) into[i] = address[i]! & mask[i]!;
  return into;
}
