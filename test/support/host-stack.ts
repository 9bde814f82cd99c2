/** Replies of a host's stack to a packet for a local address without a listener: reset, unreachable, echo reply. */

import { mayAnswer, sendError, sendPortUnreachable } from '../../src/forwarding/icmp.ts';
import type { ForwardingContext } from '../../src/forwarding/method.ts';
import { sameAddress } from '../../src/wire/address.ts';
import { complement, pseudoSum, sum } from '../../src/wire/checksum.ts';
import { Frame, HEADROOM } from '../../src/wire/frame.ts';
import { ECHO_REPLY, ECHO_REQUEST, ICMP, icmp, UNREACHABLE } from '../../src/wire/icmp.ts';
import { ECHO_REPLY6, ECHO_REQUEST6, ICMP6, icmp6, PARAMETER_PROBLEM6 } from '../../src/wire/icmp6.ts';
import { DONT_FRAGMENT, IPV4_HEADER, ipv4 } from '../../src/wire/ipv4.ts';
import { echoOptions, type Station } from '../../src/wire/ipv4-options.ts';
import { IPV6_HEADER, ipv6, nextHeaderOctet } from '../../src/wire/ipv6.ts';
import type { Packet } from '../../src/wire/packet.ts';
import { ACK, FIN, RST, SYN, TCP, TCP_HEADER, tcp } from '../../src/wire/tcp.ts';
import { checksumHolds } from '../../src/wire/transport-checksum.ts';
import { UDP } from '../../src/wire/udp.ts';

/** Time to live of packets that a host makes itself. */
const OWN_TTL = 64;
/** The two bits of explicit congestion notification (RFC 3168), which an answer does not echo. */
const ECN = 0x03;
/** Codes: of UNREACHABLE, the protocol; of PARAMETER_PROBLEM6, an unknown next header (RFC 792, RFC 4443). */
const PROTOCOL_UNREACHABLE = 2;
const UNKNOWN_NEXT_HEADER = 1;

/** Group membership (RFC 3376): a host knows it, and has nothing to answer. */
const IGMP = 2;
/* A timestamp request and its answer, and the octets of their three times (RFC 792). */
const TIMESTAMP = 13;
const TIMESTAMP_REPLY = 14;
const TIMESTAMPS = 12;
/** Octets of the sender's time, which is all that Linux 6.1 looks for. */
const SENDERS_TIME = 4;
/** Multicast routing (RFC 7761), which Linux knows in IPv4. */
const PIM = 103;
/** UDP-Lite (RFC 3828), which Linux has; its checksum is wrong wherever it occurs here. */
const UDP_LITE = 136;
/** Nothing follows (RFC 8200 section 4.7). */
const NO_NEXT_HEADER = 59;

const answer = new Frame();

/**
 * Sends the answer and returns true, or returns false where a host keeps silent: to resets, errors, packets with a wrong
 * checksum, fragments, and what came from or went to more than one host. The packet's frame stays as it is.
 */
export function answerAsHost(packet: Packet, context: ForwardingContext): boolean {
  if (packet.moreFragments || !mayAnswer(packet)) return false;
  switch (packet.protocol) {
    case TCP:
      return isIntact(packet) && (packet.tcpFlags & RST) === 0 && sendReset(packet, context);
    case UDP:
      if (!isIntact(packet)) return false;
      sendPortUnreachable(packet, packet.dst, context);
      return true;
    case ICMP:
      if (packet.version === 6) return refuseProtocol(packet, context);
      return isIntact(packet) && answerIcmp(packet, context);
    case ICMP6:
      if (packet.version === 4) return refuseProtocol(packet, context);
      return isIntact(packet) && isEchoRequest(packet) && sendEchoReply(packet, context);
    case UDP_LITE:
      return false;
    case PIM:
      return packet.version === 6 && refuseProtocol(packet, context);
    case IGMP:
      return packet.version === 6 && refuseProtocol(packet, context);
    case NO_NEXT_HEADER:
      return packet.version === 4 && refuseProtocol(packet, context);
    default:
      return refuseProtocol(packet, context);
  }
}

function answerIcmp(packet: Packet, context: ForwardingContext): boolean {
  if (isEchoRequest(packet)) return sendEchoReply(packet, context);
  const isTimestamp = packet.icmpType === TIMESTAMP && packet.end - packet.payload >= SENDERS_TIME;
  return isTimestamp && sendTimestampReply(packet, context);
}

/** RFC 792: the sender's time, then the times of receipt and answer, which are 0 here. */
function sendTimestampReply(packet: Packet, context: ForwardingContext): boolean {
  const { frame, transport, payload } = packet;
  const at = begin(packet, ICMP, payload - transport + TIMESTAMPS, packet.tos, 0, context.nextId());
  answer.bytes.fill(0, at, answer.end);
  icmp.write(answer, at, TIMESTAMP_REPLY, 0, frame.view.getInt32(transport + 4));
  answer.view.setInt32(answer.end - TIMESTAMPS, frame.view.getInt32(payload));
  icmp.recompute(answer, at, answer.end);
  return context.host.transmit(answer, packet.src);
}

const isIntact = (packet: Packet): boolean => !packet.malformed && checksumHolds(packet);

/** RFC 9293 section 3.10.7.1: a reset in the sequence that the segment acknowledges, or acknowledging all of it. */
function sendReset(packet: Packet, context: ForwardingContext): boolean {
  const { frame, transport, tcpFlags } = packet;
  const at = begin(packet, TCP, TCP_HEADER, packet.tos & ~ECN, DONT_FRAGMENT, 0);
  const ports = { srcPort: packet.dstPort, dstPort: packet.srcPort };
  if ((tcpFlags & ACK) !== 0) {
    const sequence = tcp.acknowledgement(frame, transport);
    tcp.write(answer, at, { ...ports, sequence, acknowledgement: 0, flags: RST, window: 0 });
  } else {
    const length = packet.end - packet.payload + (tcpFlags & SYN ? 1 : 0) + (tcpFlags & FIN ? 1 : 0);
    const acknowledgement = tcp.sequence(frame, transport) + length;
    tcp.write(answer, at, { ...ports, sequence: 0, acknowledgement, flags: RST | ACK, window: 0 });
  }
  const total = sum(answer.view, at, answer.end, pseudoSum(packet.dst, packet.src, TCP, TCP_HEADER));
  tcp.setChecksum(answer, at, complement(total));
  return context.host.transmit(answer, packet.src);
}

const isEchoRequest = (packet: Packet): boolean =>
  packet.icmpType === (packet.version === 4 ? ECHO_REQUEST : ECHO_REQUEST6);

/** RFC 792, RFC 4443 section 4.2: the same code, identifier, sequence number and data. */
function sendEchoReply(packet: Packet, context: ForwardingContext): boolean {
  const { frame, transport, end, protocol } = packet;
  const length = end - transport;
  const at = begin(packet, protocol, length, packet.tos, 0, context.nextId());
  answer.bytes.set(frame.bytes.subarray(transport, end), at);
  const rest = answer.view.getInt32(at + 4);
  if (packet.version === 4) {
    icmp.write(answer, at, ECHO_REPLY, packet.icmpCode, rest);
    icmp.recompute(answer, at, answer.end);
  } else {
    icmp6.write(answer, at, ECHO_REPLY6, packet.icmpCode, rest);
    icmp6.recompute(answer, at, answer.end, packet.dst, packet.src);
  }
  return context.host.transmit(answer, packet.src);
}

function refuseProtocol(packet: Packet, context: ForwardingContext): boolean {
  if (packet.version === 4) {
    sendError(packet, UNREACHABLE, PROTOCOL_UNREACHABLE, 0, packet.dst, context);
    return true;
  }
  const pointer = nextHeaderOctet(packet.frame, packet.network, packet.transport) - packet.network;
  sendError(packet, PARAMETER_PROBLEM6, UNKNOWN_NEXT_HEADER, pointer, packet.dst, context);
  return true;
}

/** The host enters the address that was addressed; it has no clock. */
const hereOf = ({ dst }: Packet): Station => ({
  address: dst,
  inside: dst,
  time: 0,
  isLocal: (address) => sameAddress(address, dst),
});

/** Begins the answer with an IP header back to the sender; returns where the `length` octets behind it start. */
function begin(
  packet: Packet,
  protocol: number,
  length: number,
  tos: number,
  fragment: number,
  id: number,
): number {
  const isOptional = packet.version === 4 && packet.transport - packet.network > IPV4_HEADER;
  const options = isOptional
    ? echoOptions(packet.frame, packet.network, hereOf(packet), answer, HEADROOM + IPV4_HEADER)
    : 0;
  const header = packet.version === 4 ? IPV4_HEADER + Math.max(0, options) : IPV6_HEADER;
  answer.start = HEADROOM;
  answer.end = HEADROOM + header + length;
  const ends = { src: packet.dst, dst: packet.src };
  if (packet.version === 6)
    ipv6.write(answer, answer.start, {
      payloadLength: length,
      trafficClass: tos,
      nextHeader: protocol,
      hopLimit: OWN_TTL,
      ...ends,
    });
  else
    ipv4.write(answer, answer.start, {
      totalLength: header + length,
      ...{ tos, id, fragment, protocol },
      ttl: OWN_TTL,
      ...ends,
    });
  if (options > 0) ipv4.setHeaderLength(answer, answer.start, header);
  return answer.start + header;
}
