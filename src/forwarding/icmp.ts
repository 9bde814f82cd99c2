/** ICMP and ICMPv6 errors that the director sends about packets that it cannot forward. */
import { type Address, isMulticast, isOneHost } from '../wire/address.ts';
import { Frame, HEADROOM } from '../wire/frame.ts';
import {
  FRAGMENTATION_NEEDED,
  HOST_UNREACHABLE,
  ICMP,
  ICMP_HEADER,
  icmp,
  isIcmpError,
  PARAMETER_PROBLEM,
  PORT_UNREACHABLE,
  TIME_EXCEEDED,
  TTL_EXCEEDED,
  UNREACHABLE,
} from '../wire/icmp.ts';
import {
  ADDRESS_UNREACHABLE6,
  ICMP6,
  ICMP6_HEADER,
  icmp6,
  isIcmp6Error,
  PACKET_TOO_BIG,
  PORT_UNREACHABLE6,
  TIME_EXCEEDED6,
  UNREACHABLE6,
} from '../wire/icmp6.ts';
import { IPV4_HEADER, ipv4 } from '../wire/ipv4.ts';
import { echoOptions, type Station } from '../wire/ipv4-options.ts';
import { IPV6_HEADER, ipv6 } from '../wire/ipv6.ts';
import type { Packet } from '../wire/packet.ts';
import type { ForwardingContext } from './method.ts';
import { stationAt } from './station.ts';

/** Bytes of the longest error over IPv4, headers included (RFC 1812 section 4.3.2.3). */
const MAX_ERROR = 576;
/** Bytes of the longest error over IPv6, headers included: the minimum MTU (RFC 4443 section 2.4 c). */
const MAX_ERROR6 = 1280;
/** Precedence of errors: internetwork control (RFC 1812 section 4.3.2.5). */
const INTERNET_CONTROL = 0xc0;
/** Type of service of the offending packet, without precedence and the byte's last bit (RFC 1349). */
const TOS_BITS = 0x1e;
const ERROR_TTL = 64;
/** Bits before which the offset of the wrong byte stands in a parameter problem (RFC 792). */
const POINTER_SHIFT = 24;
/**
 * Code of TIME_EXCEEDED and TIME_EXCEEDED6: fragment reassembly time exceeded (RFC 792, RFC 4443 section
 * 3.3).
 */
const REASSEMBLY_TIME_EXCEEDED = 1;

const error = new Frame(MAX_ERROR6);

/** Sends "time exceeded" to the packet's sender. `source`: the error's source address. */
export function sendTimeExceeded(packet: Packet, source: Address, context: ForwardingContext): void {
  if (packet.version === 4) sendError(packet, TIME_EXCEEDED, TTL_EXCEEDED, 0, source, context);
  else sendError(packet, TIME_EXCEEDED6, TTL_EXCEEDED, 0, source, context);
}

/** Sends "reassembly time exceeded" to the sender of a datagram; `packet`: its first fragment. */
export function sendReassemblyTimeout(packet: Packet, source: Address, context: ForwardingContext): void {
  if (packet.version === 4) sendError(packet, TIME_EXCEEDED, REASSEMBLY_TIME_EXCEEDED, 0, source, context);
  else sendError(packet, TIME_EXCEEDED6, REASSEMBLY_TIME_EXCEEDED, 0, source, context);
}

/**
 * Sends "parameter problem" to the packet's sender, with the offset of the invalid byte in its IPv4 header.
 */
export function sendParameterProblem(
  packet: Packet,
  octet: number,
  source: Address,
  context: ForwardingContext,
): void {
  sendError(packet, PARAMETER_PROBLEM, 0, octet << POINTER_SHIFT, source, context);
}

/** Sends "fragmentation needed" or "packet too big" to the packet's sender; `mtu`: bytes that fit. */
export function sendTooBig(packet: Packet, mtu: number, source: Address, context: ForwardingContext): void {
  if (packet.version === 4) sendError(packet, UNREACHABLE, FRAGMENTATION_NEEDED, mtu, source, context);
  else sendError(packet, PACKET_TOO_BIG, 0, mtu, source, context);
}

/** Sends "port unreachable" to the packet's sender, as the kernel does for a service without destination. */
export function sendPortUnreachable(packet: Packet, source: Address, context: ForwardingContext): void {
  if (packet.version === 4) sendError(packet, UNREACHABLE, PORT_UNREACHABLE, 0, source, context);
  else sendError(packet, UNREACHABLE6, PORT_UNREACHABLE6, 0, source, context);
}

/** Sends "host unreachable" to the packet's sender. */
export function sendHostUnreachable(packet: Packet, source: Address, context: ForwardingContext): void {
  if (packet.version === 4) sendError(packet, UNREACHABLE, HOST_UNREACHABLE, 0, source, context);
  else sendError(packet, UNREACHABLE6, ADDRESS_UNREACHABLE6, 0, source, context);
}

/**
 * Sends an error of any type about the packet to its sender, quoting it as it is in its frame now. `rest`:
 * the 32 bits after the checksum. Sends nothing about packets that must not be answered (`mayAnswer`), or
 * beyond the limit; errors that report a path MTU are not limited (Linux 6.1, icmpv4_mask_allow).
 */
export function sendError(
  packet: Packet,
  type: number,
  code: number,
  rest: number,
  source: Address,
  context: ForwardingContext,
): void {
  if (!mayAnswer(packet)) return;
  const v4 = packet.version === 4;
  const tellsMtu = v4 ? type === UNREACHABLE && code === FRAGMENTATION_NEEDED : type === PACKET_TOO_BIG;
  if (!tellsMtu && context.errorLimit?.allows(packet.src) === false) return;
  const start = HEADROOM;
  const wrong = type === PARAMETER_PROBLEM ? rest >>> POINTER_SHIFT : 0;
  const here = stationAt(source, context.host);
  const options = v4 ? echoOptionsOf(packet, here, start + IPV4_HEADER, wrong) : 0;
  if (options < 0) return;
  const header = v4 ? IPV4_HEADER + options + ICMP_HEADER : IPV6_HEADER + ICMP6_HEADER;
  const length = Math.min(header + packet.end - packet.network, v4 ? MAX_ERROR : MAX_ERROR6);
  const quoted = length - header;
  const message = start + header - ICMP_HEADER;
  error.start = start;
  error.end = start + length;
  error.bytes.set(packet.frame.bytes.subarray(packet.network, packet.network + quoted), start + header);
  if (v4) {
    ipv4.write(error, start, {
      totalLength: length,
      tos: INTERNET_CONTROL | (packet.tos & TOS_BITS),
      id: context.nextId(),
      ttl: ERROR_TTL,
      protocol: ICMP,
      src: source,
      dst: packet.src,
    });
    if (options > 0) ipv4.setHeaderLength(error, start, IPV4_HEADER + options);
    icmp.write(error, message, type, code, rest);
    icmp.recompute(error, message, error.end);
  } else {
    ipv6.write(error, start, {
      payloadLength: ICMP6_HEADER + quoted,
      nextHeader: ICMP6,
      hopLimit: ERROR_TTL,
      src: source,
      dst: packet.src,
    });
    icmp6.write(error, message, type, code, rest);
    icmp6.recompute(error, message, error.end, source, packet.src);
  }
  context.host.transmit(error, packet.src);
}

/** Writes what the error says about the packet's IPv4 options; returns the octets, -1: they forbid an answer. */
function echoOptionsOf(
  { frame, network, transport }: Packet,
  here: Station,
  to: number,
  wrong: number,
): number {
  if (transport - network <= IPV4_HEADER) return 0;
  return echoOptions(frame, network, here, error, to, wrong);
}

/**
 * Reports whether an ICMP error about the packet may be sent: not about another error, a later fragment, or a packet whose
 * sender or receiver is not one host (RFC 1122 section 3.2.2, RFC 4443 section 2.4 e).
 */
export function mayAnswer(packet: Packet): boolean {
  if (packet.fragmentOffset !== 0) return false;
  // The ICMP of the other IP version is an unknown protocol.
  const isV4 = packet.version === 4;
  if (packet.protocol === ICMP && isV4 && isIcmpError(packet.icmpType)) return false;
  if (packet.protocol === ICMP6 && !isV4 && isIcmp6Error(packet.icmpType)) return false;
  return isOneHost(packet.src) && !isMulticast(packet.dst);
}
