/** What a router does about the options of an IP header before it looks at anything else. */
import { sendError, sendParameterProblem } from '../../forwarding/icmp.ts';
import type { ForwardingContext } from '../../forwarding/method.ts';
import { stationAt } from '../../forwarding/station.ts';
import type { Verdict } from '../../model/verdict.ts';
import type { Address } from '../../wire/address.ts';
import { PARAMETER_PROBLEM6 } from '../../wire/icmp6.ts';
import { IPV4_HEADER } from '../../wire/ipv4.ts';
import { SOURCE_ROUTED, enterOptions as writeOptions } from '../../wire/ipv4-options.ts';
import { HOP_BY_HOP, ipv6 } from '../../wire/ipv6.ts';
import { hopByHopProblem } from '../../wire/ipv6-options.ts';
import type { Packet } from '../../wire/packet.ts';

/** True for few packets, and for none of IPv6. */
export const hasOptions = ({ version, network, transport }: Packet): boolean =>
  version === 4 && transport - network > IPV4_HEADER;

/**
 * Looks at IPv4 options, and enters `here` where a route is recorded, and `inside`, the address towards the sender, where
 * times are; undefined: nothing is wrong with them.
 */
export function enterOptions(
  packet: Packet,
  here: Address,
  context: ForwardingContext,
  inside = here,
): Verdict | undefined {
  const wrong = writeOptions(packet.frame, packet.network, stationAt(here, context.host, inside));
  if (wrong === 0) return undefined;
  if (wrong === SOURCE_ROUTED) return 'source-routed';
  sendParameterProblem(packet, wrong, sourceOfErrors(packet, here, context), context);
  return 'malformed';
}

/** True for few packets, and for none of IPv4. */
export const hasHopByHop = ({ version, frame, network }: Packet): boolean =>
  version === 6 && ipv6.nextHeader(frame, network) === HOP_BY_HOP;

/** Looks at hop-by-hop options of IPv6; undefined: nothing is wrong with them. */
export function enterHopByHop(packet: Packet, context: ForwardingContext): Verdict | undefined {
  const problem = hopByHopProblem(packet.frame, packet.network);
  if (problem === undefined) return undefined;
  const { code, pointer } = problem;
  const source = sourceOfErrors(packet, packet.dst, context);
  if (code >= 0) sendError(packet, PARAMETER_PROBLEM6, code, pointer, source, context);
  return 'malformed';
}

/** Returns the address that answers a packet: the one that was addressed, or the router's; `here`: no route leads back. */
export function sourceOfErrors({ src, dst }: Packet, here: Address, { host }: ForwardingContext): Address {
  return host.isLocal(dst) ? dst : (host.route(src)?.source ?? here);
}
