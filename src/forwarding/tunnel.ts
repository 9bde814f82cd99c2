/**
 * Tunneling (-i): the packet is sent inside another one to the real server, which may be in any network. IP
 * in IP (RFC 2003, RFC 2473, RFC 4213), GUE or GRE, either IP version in either. Replies bypass the director.
 */

import type { Connection } from '../model/connection.ts';
import type { TunnelOptions } from '../model/destination.ts';
import type { Verdict } from '../model/verdict.ts';
import { type Address, isV4 } from '../wire/address.ts';
import { CE, ECN_MASK, ECT0 } from '../wire/ecn.ts';
import { DONT_FRAGMENT, IPV4_HEADER, ipv4 } from '../wire/ipv4.ts';
import { IPV6_HEADER, ipv6, MIN_MTU6 } from '../wire/ipv6.ts';
import type { Packet } from '../wire/packet.ts';
import { UDP } from '../wire/udp.ts';
import { GRE, greOverhead, writeGre } from './gre.ts';
import { checksumGue, gueOverhead, writeGue } from './gue.ts';
import { enterHop, refuseUnreachable, sendOn } from './hop.ts';
import type { ForwardingContext, ForwardingMethod, Route } from './method.ts';

/* Protocol numbers of an inner packet (RFC 2003, RFC 2473). */
export const IPV4_IN_IP = 4;
export const IPV6_IN_IP = 41;

/** Returns the bytes that a tunnel adds to a packet. `outer`: IP version of the path to the real server. */
export function tunnelOverhead(tunnel: TunnelOptions, outer: 4 | 6): number {
  return (outer === 4 ? IPV4_HEADER : IPV6_HEADER) + encapsulationOverhead(tunnel);
}

function encapsulationOverhead(tunnel: TunnelOptions): number {
  switch (tunnel.type) {
    case 'ipip':
      return 0;
    case 'gue':
      return gueOverhead;
    case 'gre':
      return greOverhead(tunnel.checksum !== 'none');
    default:
      return tunnel.type satisfies never;
  }
}

/**
 * Returns the outer TOS byte: a congestion mark stays in the inner packet, and the outer one can be marked
 * again (RFC 3168 section 9.1.1).
 */
export const outerTos = (tos: number): number => ((tos & ECN_MASK) === CE ? (tos & ~ECN_MASK) | ECT0 : tos);

export const tunnel: ForwardingMethod = {
  request(packet, connection, context) {
    const { address, tunnel: options } = connection.destination;
    const route = context.host.route(address);
    if (route === undefined) return refuseUnreachable(packet, packet.dst, context);
    const outer = isV4(address) ? 4 : 6;
    const ignoreDf = context.settings.pmtu_disc === 0;
    const fits = route.mtu - tunnelOverhead(options, outer);
    // An IPv6 link supports at least the minimum MTU (RFC 8200 section 5): Linux 6.1 rejects tunnels with a
    // smaller one.
    if (outer === 6 && fits < MIN_MTU6 && packet.ttl > 1) return 'too-narrow';
    const refusal = enterHop(packet, fits, ignoreDf, packet.dst, context);
    if (refusal !== undefined) return refusal;
    return encapsulate(packet, connection, route, outer, context);
  },
};

const ANY: Address = new Uint32Array(4);
/* The outer header that is written next. Reused: a packet of a known connection allocates nothing. */
const header4 = { totalLength: 0, tos: 0, id: 0, fragment: 0, ttl: 0, protocol: 0, src: ANY, dst: ANY };
const header6 = { payloadLength: 0, trafficClass: 0, nextHeader: 0, hopLimit: 0, src: ANY, dst: ANY };

function encapsulate(
  packet: Packet,
  connection: Connection,
  route: Route,
  outer: 4 | 6,
  context: ForwardingContext,
): Verdict {
  const { address, tunnel: options } = connection.destination;
  const { frame } = packet;
  const inner = packet.version === 4 ? IPV4_IN_IP : IPV6_IN_IP;
  if (!frame.prepend(tunnelOverhead(options, outer))) return 'no-headroom';
  const payload = frame.start + (outer === 4 ? IPV4_HEADER : IPV6_HEADER);
  let protocol = inner;
  if (options.type === 'gue') {
    protocol = UDP;
    writeGue(frame, payload, inner, connection, options.port);
    if (options.checksum !== 'none') checksumGue(frame, payload, route.source, address);
  } else if (options.type === 'gre') {
    protocol = GRE;
    writeGre(frame, payload, packet.version as 4 | 6, options.checksum !== 'none');
  }
  const tos = outerTos(packet.tos);
  const ttl = packet.ttl - 1;
  if (outer === 4) {
    // Only an IPv4 packet's DF is copied; the path of an IPv6 packet may fragment the outer packet.
    const whole = packet.version === 4 && packet.dontFragment && context.settings.pmtu_disc !== 0;
    header4.totalLength = frame.length;
    header4.tos = tos;
    // Without fragmentation the identification is not used (RFC 6864 section 4).
    header4.id = whole ? 0 : context.nextId();
    header4.fragment = whole ? DONT_FRAGMENT : 0;
    header4.ttl = ttl;
    header4.protocol = protocol;
    header4.src = route.source;
    header4.dst = address;
    ipv4.write(frame, frame.start, header4);
  } else {
    header6.payloadLength = frame.end - payload;
    header6.trafficClass = tos;
    header6.nextHeader = protocol;
    header6.hopLimit = ttl;
    header6.src = route.source;
    header6.dst = address;
    ipv6.write(frame, frame.start, header6);
  }
  frame.fragmentId = 0;
  // The other IP version does not see how long the fragments were, but they stay apart (Linux 6.1).
  if (packet.version !== outer) {
    frame.fragmentSize = 0;
    frame.keepsDontFragment = false;
  }
  return sendOn(frame, address, route.mtu, context);
}
