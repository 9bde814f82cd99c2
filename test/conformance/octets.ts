/** Packets written octet by octet, as the ends of the recorded wires wrote them. */
import { formatAddress, parseAddress } from '../../src/wire/address.ts';

export interface Endpoint {
  readonly address: string;
  readonly port: number;
}

/** Fields of the IP header that a step may set; the rest has the values of the recordings. */
export interface IpOptions {
  readonly ttl?: number;
  readonly tos?: number;
  readonly df?: number;
  readonly ipid?: number;
  readonly fragmentOffset?: number;
  readonly moreFragments?: number;
}

export const isV6 = (address: string): boolean => address.includes(':');

export function addressOctets(text: string): Buffer {
  const address = parseAddress(text);
  if (!address) throw new Error(`no address: ${text}`);
  const octets = Buffer.alloc(16);
  for (const [i, word] of address.entries()) octets.writeUInt32BE(word, 4 * i);
  return isV6(text) ? octets : octets.subarray(12);
}

/** `a.b.c.d:port`, `[v6]:port` or a bare address with port 0, in the usual spelling. */
export function endpoint(text: string): Endpoint {
  const canonical = (address: string) => formatAddress(parseAddress(address)!);
  const bracketed = /^\[([^\]]+)\](?::(\d*))?$/.exec(text);
  if (bracketed) return { address: canonical(bracketed[1]!), port: Number(bracketed[2] || 0) };
  const parts = text.split(':');
  if (parts.length > 2) return { address: canonical(text), port: 0 };
  return { address: parts[0]!, port: Number(parts[1] || 0) };
}

export const formatEndpoint = ({ address, port }: Endpoint): string =>
  isV6(address) ? `[${address}]:${port}` : `${address}:${port}`;

/** The address `count` further on. */
export function laterAddress(address: string, count: number): string {
  const octets = addressOctets(address);
  const sum = BigInt(`0x${octets.toString('hex')}`) + BigInt(count);
  const words = sum.toString(16).padStart(octets.length * 2, '0');
  if (!isV6(address)) return Buffer.from(words, 'hex').join('.');
  return formatAddress(parseAddress(words.match(/.{4}/g)!.join(':'))!);
}

export function checksum(octets: Buffer): number {
  let sum = 0;
  for (let i = 0; i < octets.length; i += 2) sum += (octets[i]! << 8) | (octets[i + 1] ?? 0);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  return ~sum & 0xffff;
}

/** The checksum of a transport segment with its pseudo header; its own field must be 0, or the result says 0 for "right". */
export function transportChecksum(src: string, dst: string, protocol: number, segment: Buffer): number {
  const rest = isV6(src)
    ? uint(4, segment.length, 3, 0, 1, protocol)
    : uint(1, 0, 1, protocol, 2, segment.length);
  return checksum(Buffer.concat([addressOctets(src), addressOctets(dst), rest, segment]));
}

/** Big-endian numbers: width in octets, value, width, value, ... */
export function uint(...fields: readonly number[]): Buffer {
  const parts: Buffer[] = [];
  for (let i = 0; i < fields.length; i += 2) {
    const width = fields[i]!;
    const part = Buffer.alloc(width);
    if (width > 0) part.writeUIntBE(fields[i + 1]! % 2 ** (8 * width), 0, width);
    parts.push(part);
  }
  return Buffer.concat(parts);
}

function withChecksum(octets: Buffer, at: number, value: number): Buffer {
  octets.writeUInt16BE(value, at);
  return octets;
}

export function tcpSegment(
  from: Endpoint,
  to: Endpoint,
  flags: number,
  sequence: number,
  acknowledgement: number,
  payload: Buffer,
  options: Buffer,
): Buffer {
  const offset = (20 + options.length) / 4;
  const header = uint(
    2, from.port, 2, to.port, 4, sequence, 4, acknowledgement, 1, offset << 4, 1, flags, 2, 64_240, 4, 0,
  ); // biome-ignore format: width, value
  const segment = Buffer.concat([header, options, payload]);
  return withChecksum(segment, 16, transportChecksum(from.address, to.address, 6, segment));
}

export function udpDatagram(from: Endpoint, to: Endpoint, payload: Buffer, noChecksum = false): Buffer {
  const datagram = Buffer.concat([uint(2, from.port, 2, to.port, 2, 8 + payload.length, 2, 0), payload]);
  if (noChecksum) return datagram;
  return withChecksum(datagram, 6, transportChecksum(from.address, to.address, 17, datagram) || 0xffff);
}

function crc32c(octets: Buffer): number {
  let crc = 0xffffffff;
  for (const octet of octets) {
    crc ^= octet;
    for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ ((crc & 1) !== 0 ? 0x82f63b78 : 0);
  }
  return ~crc >>> 0;
}

export function sctpPacket(from: Endpoint, to: Endpoint, tag: number, chunks: Buffer): Buffer {
  const packet = Buffer.concat([uint(2, from.port, 2, to.port, 4, tag, 4, 0), chunks]);
  packet.writeUInt32LE(crc32c(packet), 8);
  return packet;
}

/** An ICMP or ICMPv6 message with its checksum; `covered`: whether that of ICMPv6 covers the addresses, as it should. */
export function icmpMessage(src: string, dst: string, message: Buffer, covered = true): Buffer {
  const sum = isV6(src) && covered ? transportChecksum(src, dst, 58, message) : checksum(message);
  return withChecksum(message, 2, sum);
}

/** Makes IP packets; IPv4 identifications count up from 0x1001. */
export class IpWriter {
  id = 0x1000;

  packet(src: string, dst: string, protocol: number, body: Buffer, options: IpOptions = {}): Buffer {
    const { ttl = 64, tos = 0, df = 1, fragmentOffset = 0, moreFragments = 0 } = options;
    const ends = Buffer.concat([addressOctets(src), addressOctets(dst)]);
    if (isV6(src)) {
      return Buffer.concat([
        uint(4, 0x60000000 + tos * 2 ** 20, 2, body.length, 1, protocol, 1, ttl),
        ends,
        body,
      ]);
    }
    const id = options.ipid ?? ++this.id & 0xffff;
    const fragment = (df << 14) | (moreFragments << 13) | (fragmentOffset >> 3);
    const header = Buffer.concat([
      uint(1, 0x45, 1, tos, 2, 20 + body.length, 2, id, 2, fragment, 1, ttl, 1, protocol, 2, 0),
      ends,
    ]);
    return Buffer.concat([withChecksum(header, 10, checksum(header)), body]);
  }
}
