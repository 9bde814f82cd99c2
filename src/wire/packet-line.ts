/** Parses the line format of print.ts, in which scenarios and tests state packets. */
import type { Address } from './address.ts';
import { isV4, parseAddress } from './address.ts';
import { pseudoSum } from './checksum.ts';
import { Frame } from './frame.ts';
import { ICMP, ICMP_HEADER, icmp } from './icmp.ts';
import { ICMP6 } from './icmp6.ts';
import { DONT_FRAGMENT, IPV4_HEADER, ipv4, MORE_FRAGMENTS } from './ipv4.ts';
import { FRAGMENT, FRAGMENT_HEADER, IPV6_HEADER, ipv6 } from './ipv6.ts';
import { Packet } from './packet.ts';
import { ICMP_NAMES, ICMP6_NAMES, PROTOCOL_NAMES, SCTP_CHUNK_NAMES, TCP_FLAG_NAMES } from './print.ts';
import { SCTP, SCTP_CHECKSUM, SCTP_CHUNK_HEADER, SCTP_HEADER, sctp } from './sctp.ts';
import { TCP, TCP_HEADER, tcp } from './tcp.ts';
import { checksumOffset, recompute } from './transport-checksum.ts';
import { UDP, UDP_HEADER, udp } from './udp.ts';

/** An invalid packet line, with the reason. */
export class PacketLineError extends Error {
  constructor(line: string, reason: string) {
    super(`${reason}: ${line}`);
    this.name = 'PacketLineError';
  }
}

/* Fields of a packet whose line does not give them. */
const DEFAULT_TTL = 64;
const DEFAULT_WINDOW = 64_240;

/** One endpoint of a packet. */
interface End {
  readonly address: Address;
  readonly port: number | undefined;
}

/** A parsed line. */
interface Line {
  readonly text: string;
  readonly src: End;
  readonly dst: End;
  readonly protocol: number;
  /** Words other than key=value: flags, names, DF. */
  readonly words: ReadonlySet<string>;
  readonly values: ReadonlyMap<string, string>;
  /** The packet in brackets. */
  readonly inner: Uint8Array | undefined;
}

/**
 * Returns the bytes of the IP packet that a line describes, checksums included. After the two endpoints: the
 * protocol (`TCP` may be omitted before flags), flags like `SYN+ACK` or the name of a message or chunk (or
 * its number: `3/1`, `chunk=7`), then in any order `len=`, `data="text"` or `hex=` for the payload; `ttl=
 * tos= ipid= DF frag=OFFSET+`; `seq= ack= win= mss=`; `tag=`; `id= seq= mtu=`; `proto=`; `[a line]` for the
 * packet inside; `bad-checksum`, `partial-checksum`, `no-checksum`, `bad-header-checksum`. Throws
 * PacketLineError.
 */
export function packetOfLine(text: string): Uint8Array<ArrayBuffer> {
  const line = takeApart(text.trim());
  const frame = new Frame();
  const v4 = isV4(line.src.address);
  const fragment = fragmentOf(line);
  const network = frame.start;
  const fragmented = fragment.offset > 0 || fragment.more;
  const transport = network + (v4 ? IPV4_HEADER : IPV6_HEADER + (fragmented ? FRAGMENT_HEADER : 0));
  frame.end = transport;
  writeTransport(frame, line, fragment.offset > 0);
  if (frame.length > 0xffff) throw new PacketLineError(line.text, 'packet is too long');
  const ttl = number(line, 'ttl', 255, DEFAULT_TTL);
  const tos = number(line, 'tos', 255, 0);
  const id = number(line, 'ipid', 0xffffffff, 0);
  const { protocol } = line;
  const ends = { src: line.src.address, dst: line.dst.address };
  if (v4) {
    const bits =
      (line.words.has('DF') ? DONT_FRAGMENT : 0) |
      (fragment.more ? MORE_FRAGMENTS : 0) |
      (fragment.offset / 8);
    ipv4.write(frame, network, {
      totalLength: frame.length,
      tos,
      id,
      fragment: bits,
      ttl,
      protocol,
      ...ends,
    });
  } else {
    ipv6.write(frame, network, {
      payloadLength: frame.length - IPV6_HEADER,
      trafficClass: tos,
      nextHeader: fragmented ? FRAGMENT : protocol,
      hopLimit: ttl,
      ...ends,
    });
    if (fragmented)
      ipv6.writeFragment(frame, network + IPV6_HEADER, protocol, fragment.offset, fragment.more, id);
  }
  writeChecksums(frame, line);
  return frame.copy();
}

function writeChecksums(frame: Frame, line: Line): void {
  const packet = new Packet();
  if (!packet.decode(frame)) throw new PacketLineError(line.text, 'packet is too long');
  recompute(packet);
  const at = checksumOffset(packet);
  const { view } = frame;
  if (at >= 0 && line.words.has('no-checksum')) view.setUint16(at, 0);
  if (at >= 0 && line.words.has('bad-checksum')) view.setUint16(at, view.getUint16(at) ^ 0x5555);
  if (packet.protocol === SCTP && line.words.has('bad-checksum'))
    frame.bytes[packet.transport + SCTP_CHECKSUM]! ^= 0x55;
  if (at >= 0 && line.words.has('partial-checksum')) {
    const length = packet.end - packet.transport;
    view.setUint16(at, pseudoSum(packet.src, packet.dst, packet.protocol, length));
  }
  if (line.words.has('bad-header-checksum') && packet.version === 4)
    frame.bytes[packet.network + 10]! ^= 0x55;
}

function takeApart(text: string): Line {
  const match = /^(\S+) > (\S+)((?: .*)?)$/.exec(text);
  if (match === null) throw new PacketLineError(text, 'invalid packet line: expected SRC > DST ...');
  const src = endOf(text, match[1]!);
  const dst = endOf(text, match[2]!);
  if (isV4(src.address) !== isV4(dst.address))
    throw new PacketLineError(text, 'addresses of different families');
  let rest = match[3]!;
  let inner: Uint8Array | undefined;
  const bracket = /(?<= )\[(.*)\]/.exec(rest);
  if (bracket !== null) {
    inner = packetOfLine(bracket[1]!);
    rest = rest.replace(bracket[0], '');
  }
  const words = new Set<string>();
  const values = new Map<string, string>();
  for (const [token] of rest.matchAll(/[a-z]+="(?:[^"\\]|\\.)*"|\S+/g)) {
    const equals = token.indexOf('=');
    if (equals > 0) values.set(token.slice(0, equals), token.slice(equals + 1));
    else words.add(token);
  }
  const line = { text, src, dst, words, values, inner };
  return { ...line, protocol: protocolOf(text, words, values) };
}

function endOf(text: string, end: string): End {
  const bare = parseAddress(end);
  if (bare !== undefined) return { address: bare, port: undefined };
  const match = /^\[?([^\]]+?)\]?:(\d{1,5})$/.exec(end);
  const address = match === null ? undefined : parseAddress(match[1]!);
  const port = Number(match?.[2]);
  if (address === undefined || port > 0xffff) throw new PacketLineError(text, `invalid address ${end}`);
  return { address, port };
}

function protocolOf(text: string, words: Set<string>, values: Map<string, string>): number {
  const given = values.get('proto');
  if (given !== undefined) return Number(given) & 0xff;
  for (const [protocol, name] of Object.entries(PROTOCOL_NAMES))
    if (words.delete(name)) return Number(protocol);
  for (const word of words) if (flagsOf(word) !== undefined) return TCP;
  throw new PacketLineError(text, 'missing protocol');
}

/** Returns the flags byte of a word like SYN+ACK, or `-`; undefined for other words. */
function flagsOf(word: string): number | undefined {
  if (word === '-') return 0;
  let flags = 0;
  for (const name of word.split('+')) {
    const named = TCP_FLAG_NAMES.find(([, known]) => known === name);
    if (named === undefined) return undefined;
    flags |= named[0];
  }
  return flags;
}

function fragmentOf(line: Line): { offset: number; more: boolean } {
  const word = line.values.get('frag');
  if (word === undefined) return { offset: 0, more: false };
  const match = /^(\d+)(\+?)$/.exec(word);
  const offset = Number(match?.[1]);
  if (match === null || offset % 8 !== 0 || offset > 0xfff8)
    throw new PacketLineError(
      line.text,
      'invalid frag: expected a multiple of 8 bytes, and + when more follow',
    );
  return { offset, more: match[2] === '+' };
}

function number(line: Line, key: string, most: number, otherwise: number): number {
  const word = line.values.get(key);
  if (word === undefined) return otherwise;
  const value = Number(word);
  if (!Number.isInteger(value) || value < 0 || value > most)
    throw new PacketLineError(line.text, `invalid ${key}: expected a number of at most ${most}`);
  return value;
}

/** Appends bytes to the packet. */
function append(frame: Frame, line: Line, octets: Uint8Array): void {
  if (octets.length > frame.bytes.length - frame.end)
    throw new PacketLineError(line.text, 'packet is too long');
  frame.bytes.set(octets, frame.end);
  frame.end += octets.length;
}

/** Returns the payload of data= or hex=, or `len=` characters. */
function payloadOf(line: Line): Uint8Array {
  const data = line.values.get('data');
  if (data !== undefined) return new TextEncoder().encode(JSON.parse(data) as string);
  const hex = line.values.get('hex');
  if (hex !== undefined)
    return Uint8Array.from(hex.match(/../g) ?? [], (octet) => Number.parseInt(octet, 16));
  return new Uint8Array(number(line, 'len', 0xffff, 0)).map((_zero, i) => 0x61 + (i % 26));
}

/** Returns the type and code of a name, or of `3/1`. */
function messageOf(line: Line, names: Readonly<Record<string, string>>): [type: number, code: number] {
  for (const word of line.words) {
    const kind = Object.keys(names).find((key) => names[key] === word) ?? word;
    const match = /^(\d+)\/(\d+)$/.exec(kind);
    if (match !== null) return [Number(match[1]), Number(match[2])];
  }
  throw new PacketLineError(line.text, 'missing or unknown message name');
}

function writeTransport(frame: Frame, line: Line, later: boolean): void {
  const { protocol } = line;
  const payload = line.inner ?? payloadOf(line);
  if (!later && protocol === TCP) writeTcp(frame, line);
  else if (!later && protocol === UDP) {
    const [srcPort, dstPort] = portsOf(line);
    udp.write(frame, grow(frame, UDP_HEADER), srcPort, dstPort, UDP_HEADER + payload.length);
  } else if (!later && protocol === SCTP) writeSctp(frame, line, payload.length);
  else if (!later && (protocol === ICMP || protocol === ICMP6)) writeIcmp(frame, line);
  append(frame, line, payload);
}

function portsOf(line: Line): [src: number, dst: number] {
  const { src, dst } = line;
  if (src.port === undefined || dst.port === undefined) throw new PacketLineError(line.text, 'missing port');
  return [src.port, dst.port];
}

/** Reserves bytes at the packet's end for a header; returns their offset. */
function grow(frame: Frame, octets: number): number {
  frame.end += octets;
  return frame.end - octets;
}

function writeTcp(frame: Frame, line: Line): void {
  const [srcPort, dstPort] = portsOf(line);
  const flags = [...line.words].map(flagsOf).find((value) => value !== undefined) ?? 0;
  const mss = line.values.has('mss') ? number(line, 'mss', 0xffff, 0) : -1;
  const headerLength = TCP_HEADER + (mss < 0 ? 0 : 4);
  const at = grow(frame, headerLength);
  tcp.write(frame, at, {
    srcPort,
    dstPort,
    sequence: number(line, 'seq', 0xffffffff, 0),
    acknowledgement: number(line, 'ack', 0xffffffff, 0),
    flags,
    window: number(line, 'win', 0xffff, DEFAULT_WINDOW),
    headerLength,
  });
  if (mss >= 0) frame.view.setUint32(at + TCP_HEADER, 0x02040000 | mss);
}

function writeSctp(frame: Frame, line: Line, length: number): void {
  const [srcPort, dstPort] = portsOf(line);
  sctp.write(frame, grow(frame, SCTP_HEADER), srcPort, dstPort, number(line, 'tag', 0xffffffff, 0));
  const named = Object.entries(SCTP_CHUNK_NAMES).find(([, name]) => line.words.has(name))?.[0];
  const type = named === undefined ? number(line, 'chunk', 255, -1) : Number(named);
  if (type < 0) return;
  frame.view.setInt32(grow(frame, SCTP_CHUNK_HEADER), (type << 24) | (SCTP_CHUNK_HEADER + length));
}

function writeIcmp(frame: Frame, line: Line): void {
  const six = line.protocol === ICMP6;
  const [type, code] = messageOf(line, six ? ICMP6_NAMES : ICMP_NAMES);
  const echo = (number(line, 'id', 0xffff, 0) << 16) | number(line, 'seq', 0xffff, 0);
  icmp.write(
    frame,
    grow(frame, ICMP_HEADER),
    type,
    code,
    line.values.has('mtu') ? number(line, 'mtu', 0xffffffff, 0) | 0 : echo,
  );
}
