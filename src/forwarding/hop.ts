/** What every forwarding method does as a router: time to live, path MTU, and fragments on the way out. */
import type { Verdict } from '../model/verdict.ts';
import type { Address } from '../wire/address.ts';
import { Splitter } from '../wire/fragment.ts';
import { Frame } from '../wire/frame.ts';
import { ICMP } from '../wire/icmp.ts';
import { ipv4 } from '../wire/ipv4.ts';
import { ipv6 } from '../wire/ipv6.ts';
import type { Packet } from '../wire/packet.ts';
import { sendHostUnreachable, sendTimeExceeded, sendTooBig } from './icmp.ts';
import type { ForwardingContext } from './method.ts';

const splitter = new Splitter();
const piece = new Frame();

/**
 * The packet's next hop is out of reach: its sender is told so (Linux 6.1 does this before it looks at the TTL).
 * `source`: who says so.
 */
export function refuseUnreachable(packet: Packet, source: Address, context: ForwardingContext): Verdict {
  sendHostUnreachable(packet, source, context);
  return 'no-route';
}

/**
 * Takes a packet one hop on: its time to live goes down by one, and it must fit `mtu` (octets) unless it may be
 * fragmented. `ignoreDf`: it may be, whatever its DF flag says. Refusals are answered as `source`.
 * undefined: go on. Otherwise the packet's verdict.
 */
export function enterHop(
  packet: Packet,
  mtu: number,
  ignoreDf: boolean,
  source: Address,
  context: ForwardingContext,
): Verdict | undefined {
  if (packet.ttl <= 1) {
    sendTimeExceeded(packet, source, context);
    return 'ttl-exceeded';
  }
  const { frame } = packet;
  // What follows the packet in the frame is padding of the link it came from.
  frame.end = packet.end;
  if (packet.version === 4) ipv4.setTtl(frame, packet.network, packet.ttl - 1);
  else ipv6.setHopLimit(frame, packet.network, packet.ttl - 1);
  const mayFragment = packet.version === 4 && (!packet.dontFragment || ignoreDf || packet.protocol === ICMP);
  if (!mayFragment && (frame.fragmentSize || packet.end - packet.network) > mtu) {
    sendTooBig(packet, mtu, source, context);
    return 'too-big';
  }
  return undefined;
}

/** Sends the frame towards `nextHop`, in fragments where it is longer than `mtu` or than the fragments it came in. */
export function sendOn(frame: Frame, nextHop: Address, mtu: number, context: ForwardingContext): Verdict {
  const { fragmentSize } = frame;
  const limit = fragmentSize > 0 && fragmentSize < mtu ? fragmentSize : mtu;
  if (frame.length <= limit) return context.host.transmit(frame, nextHop) ? 'forwarded' : 'queue-full';
  if (!splitter.begin(frame, limit, frame.fragmentId || context.nextId())) return 'too-big';
  while (splitter.next(piece)) if (!context.host.transmit(piece, nextHop)) return 'queue-full';
  return 'forwarded';
}
