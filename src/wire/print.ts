/** Formats a packet as one tcpdump-like line; packet-line.ts parses such lines. */
import { formatAddress, formatEndpoint } from './address.ts';
import type { Frame } from './frame.ts';
import { ICMP, icmp, isIcmpError } from './icmp.ts';
import { ICMP6, icmp6, isIcmp6Error } from './icmp6.ts';
import { ipv4 } from './ipv4.ts';
import { ipv6 } from './ipv6.ts';
import { Packet } from './packet.ts';
import {
  SCTP,
  SCTP_ABORT,
  SCTP_CHUNK_HEADER,
  SCTP_COOKIE_ACK,
  SCTP_COOKIE_ECHO,
  SCTP_DATA,
  SCTP_ERROR,
  SCTP_HEARTBEAT,
  SCTP_HEARTBEAT_ACK,
  SCTP_INIT,
  SCTP_INIT_ACK,
  SCTP_SACK,
  SCTP_SHUTDOWN,
  SCTP_SHUTDOWN_ACK,
  SCTP_SHUTDOWN_COMPLETE,
  sctp,
} from './sctp.ts';
import { ACK, CWR, ECE, FIN, PSH, RST, SYN, TCP, tcp, URG } from './tcp.ts';
import { checksumHolds, isPartial } from './transport-checksum.ts';
import { UDP } from './udp.ts';

/** Names of the TCP flags, in the usual order: SYN+ACK, FIN+ACK. */
export const TCP_FLAG_NAMES: readonly (readonly [flag: number, name: string])[] = [
  [SYN, 'SYN'],
  [FIN, 'FIN'],
  [RST, 'RST'],
  [PSH, 'PSH'],
  [URG, 'URG'],
  [ACK, 'ACK'],
  [ECE, 'ECE'],
  [CWR, 'CWR'],
];

/** Protocols with names. 4 and 41 are IPv4 and IPv6 in a tunnel (RFC 2003, RFC 2473). */
export const PROTOCOL_NAMES: Readonly<Record<number, string>> = {
  [ICMP]: 'ICMP',
  4: 'IPIP',
  [TCP]: 'TCP',
  [UDP]: 'UDP',
  41: 'IPV6',
  47: 'GRE',
  50: 'ESP',
  [ICMP6]: 'ICMP6',
  [SCTP]: 'SCTP',
};

/** Names of ICMP messages by type/code (RFC 792). */
export const ICMP_NAMES: Readonly<Record<string, string>> = {
  '0/0': 'echo-reply',
  '3/0': 'net-unreachable',
  '3/1': 'host-unreachable',
  '3/2': 'protocol-unreachable',
  '3/3': 'port-unreachable',
  '3/4': 'frag-needed',
  '3/13': 'prohibited',
  '5/1': 'redirect',
  '8/0': 'echo-request',
  '11/0': 'ttl-exceeded',
  '11/1': 'reassembly-exceeded',
};

/** Names of ICMPv6 messages by type/code (RFC 4443, RFC 4861). */
export const ICMP6_NAMES: Readonly<Record<string, string>> = {
  '1/0': 'no-route',
  '1/1': 'prohibited',
  '1/3': 'address-unreachable',
  '1/4': 'port-unreachable',
  '2/0': 'too-big',
  '3/0': 'ttl-exceeded',
  '3/1': 'reassembly-exceeded',
  '128/0': 'echo-request',
  '129/0': 'echo-reply',
  '135/0': 'neighbor-solicitation',
  '136/0': 'neighbor-advertisement',
};

/** Names of SCTP chunk types (RFC 9260 section 3.2). */
export const SCTP_CHUNK_NAMES: Readonly<Record<number, string>> = {
  [SCTP_DATA]: 'DATA',
  [SCTP_INIT]: 'INIT',
  [SCTP_INIT_ACK]: 'INIT_ACK',
  [SCTP_SACK]: 'SACK',
  [SCTP_HEARTBEAT]: 'HEARTBEAT',
  [SCTP_HEARTBEAT_ACK]: 'HEARTBEAT_ACK',
  [SCTP_ABORT]: 'ABORT',
  [SCTP_SHUTDOWN]: 'SHUTDOWN',
  [SCTP_SHUTDOWN_ACK]: 'SHUTDOWN_ACK',
  [SCTP_ERROR]: 'ERROR',
  [SCTP_COOKIE_ECHO]: 'COOKIE_ECHO',
  [SCTP_COOKIE_ACK]: 'COOKIE_ACK',
  [SCTP_SHUTDOWN_COMPLETE]: 'SHUTDOWN_COMPLETE',
};

/** Depth to which nested packets are printed. */
const MAX_DEPTH = 4;

/** Amount of detail of a line. */
export interface PrintOptions {
  /** Includes hop limit, identification, sequence numbers, window, maximum segment size. */
  readonly detail?: boolean;
}

/**
 * Returns the IP packet in a frame as a line: `203.0.113.7:4000 > 192.0.2.80:80 TCP SYN`, then `len=` for the
 * bytes of payload, if any, `frag=OFFSET` with a `+` when more follow, the packet that ICMP quotes or a
 * tunnel carries in brackets, and `bad-checksum`, `bad-header-checksum`, `partial-checksum` if applicable.
 */
export function printFrame(frame: Frame, options: PrintOptions = {}): string {
  const packet = new Packet();
  if (!packet.decode(frame)) return `malformed len=${frame.length}`;
  return printPacket(packet, options);
}

/** Returns the line of a packet that is already decoded. */
export function printPacket(packet: Packet, options: PrintOptions = {}): string {
  return line(packet, options, 0, false);
}

function line(packet: Packet, options: PrintOptions, depth: number, quoted: boolean): string {
  const { frame, src, dst } = packet;
  const ends = packet.hasPorts
    ? `${formatEndpoint(src, packet.srcPort)} > ${formatEndpoint(dst, packet.dstPort)}`
    : `${formatAddress(src)} > ${formatAddress(dst)}`;
  const name = PROTOCOL_NAMES[packet.protocol] ?? `proto=${packet.protocol}`;
  const words = [ends, name, ...transportWords(packet, options, depth)];
  if (packet.fragmentOffset !== 0 || packet.moreFragments)
    words.push(`frag=${packet.fragmentOffset}${packet.moreFragments ? '+' : ''}`);
  if (options.detail) words.push(...networkWords(packet));
  if (packet.malformed && !quoted) words.push('malformed');
  if (quoted) return words.join(' ');
  if (packet.version === 4 && !ipv4.checksumHolds(frame, packet.network)) words.push('bad-header-checksum');
  if (!checksumHolds(packet)) words.push(isPartial(packet) ? 'partial-checksum' : 'bad-checksum');
  return words.join(' ');
}

function networkWords(packet: Packet): string[] {
  const { frame, network } = packet;
  const words = [`ttl=${packet.ttl}`];
  if (packet.tos !== 0) words.push(`tos=${packet.tos}`);
  if (packet.version === 4) {
    words.push(`ipid=${ipv4.id(frame, network)}`);
    if (packet.dontFragment) words.push('DF');
  } else if (packet.fragmentHeader !== 0) {
    words.push(`ipid=${ipv6.fragmentId(frame, packet.fragmentHeader) >>> 0}`);
  }
  return words;
}

/** Returns `len=` with the bytes of payload without `headers`; nothing without payload. */
function lengthWord(packet: Packet, headers = 0): string[] {
  const length = packet.end - packet.payload - headers;
  return length > 0 ? [`len=${length}`] : [];
}

function transportWords(packet: Packet, options: PrintOptions, depth: number): string[] {
  if (packet.fragmentOffset !== 0) return lengthWord(packet);
  switch (packet.protocol) {
    case TCP:
      return tcpWords(packet, options);
    case SCTP:
      return sctpWords(packet, options);
    case ICMP:
    case ICMP6:
      return icmpWords(packet, options, depth);
    case 4:
    case 41:
      // A fragment of a tunnel packet holds only part of the inner packet.
      return [...inner(packet, packet.transport, options, depth, packet.moreFragments)];
    default:
      return lengthWord(packet);
  }
}

/** Returns `SYN+ACK`; `-` when no flag is set. */
function tcpFlagsWord(flags: number): string {
  const names = TCP_FLAG_NAMES.filter(([flag]) => (flags & flag) !== 0).map(([, name]) => name);
  return names.length === 0 ? '-' : names.join('+');
}

function tcpWords(packet: Packet, options: PrintOptions): string[] {
  const { frame, transport: at } = packet;
  const words = [tcpFlagsWord(packet.tcpFlags)];
  if (packet.malformed) return words;
  if (options.detail) {
    words.push(`seq=${tcp.sequence(frame, at)}`, `ack=${tcp.acknowledgement(frame, at)}`);
    words.push(`win=${tcp.window(frame, at)}`);
    const mss = tcp.mss(frame, at);
    if (mss >= 0) words.push(`mss=${mss}`);
  }
  return [...words, ...lengthWord(packet)];
}

function sctpWords(packet: Packet, options: PrintOptions): string[] {
  const chunk = packet.sctpChunk;
  const words = chunk < 0 ? [] : [SCTP_CHUNK_NAMES[chunk] ?? `chunk=${chunk}`];
  if (options.detail && !packet.malformed)
    words.push(`tag=${sctp.verificationTag(packet.frame, packet.transport)}`);
  return [...words, ...lengthWord(packet, chunk < 0 ? 0 : SCTP_CHUNK_HEADER)];
}

function icmpWords(packet: Packet, options: PrintOptions, depth: number): string[] {
  const { frame, transport: at, icmpType: type } = packet;
  const kind = `${type}/${packet.icmpCode}`;
  const six = packet.protocol === ICMP6;
  const words = [(six ? ICMP6_NAMES : ICMP_NAMES)[kind] ?? kind];
  if (packet.malformed) return words;
  if (kind === (six ? '2/0' : '3/4'))
    words.push(`mtu=${six ? icmp6.mtu(frame, at) : icmp.nextHopMtu(frame, at)}`);
  if (six ? isIcmp6Error(type) : isIcmpError(type))
    return [...words, ...inner(packet, packet.payload, options, depth, true)];
  if (options.detail && (six ? type === 128 || type === 129 : type === 8 || type === 0))
    words.push(`id=${icmp.id(frame, at)}`, `seq=${icmp.sequence(frame, at)}`);
  return [...words, ...lengthWord(packet)];
}

/** Returns the inner packet in brackets. */
function inner(packet: Packet, at: number, options: PrintOptions, depth: number, quoted: boolean): string[] {
  const within = new Packet();
  if (depth >= MAX_DEPTH || !within.decodeQuoted(packet.frame, at, packet.end)) return lengthWord(packet);
  return [`[${line(within, options, depth + 1, quoted)}]`];
}
