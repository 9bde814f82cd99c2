/** Router functions of every forwarding method: time to live, path MTU, fragmentation. */
import type { Verdict } from '../model/verdict.ts';
import type { Address } from '../wire/address.ts';
import { Splitter } from '../wire/fragment.ts';
import { Frame } from '../wire/frame.ts';
import { ICMP } from '../wire/icmp.ts';
import { IPV4_HEADER, ipv4 } from '../wire/ipv4.ts';
import { ipv6, MIN_MTU6 } from '../wire/ipv6.ts';
import type { Packet } from '../wire/packet.ts';
import { sendHostUnreachable, sendTimeExceeded, sendTooBig } from './icmp.ts';
import type { ForwardingContext } from './method.ts';

const splitter = new Splitter();
const piece = new Frame();

/**
 * Sends an error about an unreachable next hop to the packet's sender (as Linux 6.1 does before it checks the
 * TTL). `source`: the error's source address.
 */
export function refuseUnreachable(packet: Packet, source: Address, context: ForwardingContext): Verdict {
  sendHostUnreachable(packet, source, context);
  return 'no-route';
}

/**
 * Forwards a request by one hop: decrements its time to live, and checks that it fits `mtu` (bytes) or may be
 * fragmented. `ignoreDf`: it may be, whatever its DF flag. Sends errors from `source`. Returns undefined, or
 * the verdict of a rejected packet.
 */
export function enterHop(
  packet: Packet,
  mtu: number,
  ignoreDf: boolean,
  source: Address,
  context: ForwardingContext,
): Verdict | undefined {
  if (expires(packet, source, context)) return 'ttl-exceeded';
  age(packet);
  if (exceeds(packet, mtu, ignoreDf, source, context)) return 'too-big';
  settleHeader(packet);
  return undefined;
}

/** Corrects the checksum of an IPv4 header whose options a router may have changed. */
export function settleHeader({ version, frame, network, transport }: Packet): void {
  if (version === 4 && transport - network > IPV4_HEADER) ipv4.recompute(frame, network);
}

/**
 * Forwards a reply by one hop: an error quotes it as received, with its time to live (Linux 6.1, plain
 * forwarding).
 */
export function enterHopBack(
  packet: Packet,
  mtu: number,
  source: Address,
  context: ForwardingContext,
): Verdict | undefined {
  const refusal = refuseHopBack(packet, mtu, source, context);
  if (refusal !== undefined) return refusal;
  age(packet);
  settleHeader(packet);
  return undefined;
}

/** Refuses what `enterHopBack` refuses, and changes nothing of other packets. */
export function refuseHopBack(
  packet: Packet,
  mtu: number,
  source: Address,
  context: ForwardingContext,
): Verdict | undefined {
  if (expires(packet, source, context)) return 'ttl-exceeded';
  // Each fragment of an IPv4 datagram was checked when it arrived.
  const isReassembled = packet.version === 4 && packet.frame.fragmentSize > 0;
  return !isReassembled && exceeds(packet, mtu, false, source, context) ? 'too-big' : undefined;
}

function expires(packet: Packet, source: Address, context: ForwardingContext): boolean {
  if (packet.ttl > 1) return false;
  sendTimeExceeded(packet, source, context);
  return true;
}

function age(packet: Packet): void {
  const { frame, network } = packet;
  if (packet.version === 4) ipv4.setTtl(frame, network, packet.ttl - 1);
  else ipv6.setHopLimit(frame, network, packet.ttl - 1);
  // Bytes after the packet in the frame are padding of the incoming link.
  frame.end = packet.end;
}

function exceeds(
  packet: Packet,
  mtu: number,
  ignoreDf: boolean,
  source: Address,
  context: ForwardingContext,
): boolean {
  const mayFragment = packet.version === 4 && (!packet.dontFragment || ignoreDf || packet.protocol === ICMP);
  // An IPv6 datagram that arrived in fragments may leave in the same ones.
  const fragmentSize = packet.version === 6 ? packet.frame.fragmentSize : 0;
  if (mayFragment || (fragmentSize || packet.end - packet.network) <= mtu) return false;
  sendTooBig(packet, mtu, source, context);
  return true;
}

/**
 * Sends the frame towards `nextHop`, in fragments if it is longer than `mtu` or than the fragments in which it arrived.
 * An IPv6 datagram is not cut into fragments smaller than the minimum MTU, even if that leaves a single one (Linux 6.1,
 * ip6_fragment).
 */
export function sendOn(frame: Frame, nextHop: Address, mtu: number, context: ForwardingContext): Verdict {
  const { fragmentSize } = frame;
  const limit = fragmentSize > 0 && fragmentSize < mtu ? fragmentSize : mtu;
  if (frame.length <= limit) return context.host.transmit(frame, nextHop) ? 'forwarded' : 'queue-full';
  const least = fragmentSize > 0 && ipv4.version(frame, frame.start) === 6 ? MIN_MTU6 : 0;
  if (!splitter.begin(frame, Math.max(limit, least), frame.fragmentId || context.nextId())) return 'too-big';
  while (splitter.next(piece)) if (!context.host.transmit(piece, nextHop)) return 'queue-full';
  return 'forwarded';
}
