/**
 * Network address translation (-m): requests are sent to the destination's address, replies from that of the
 * virtual service. Both pass through the director.
 */
import type { Verdict } from '../model/verdict.ts';
import { type Address, isLoopback, sameAddress } from '../wire/address.ts';
import { update, updateUdp } from '../wire/checksum.ts';
import { ipv4 } from '../wire/ipv4.ts';
import { ipv6 } from '../wire/ipv6.ts';
import type { Packet } from '../wire/packet.ts';
import { SCTP, SCTP_HEADER, sctp } from '../wire/sctp.ts';
import { TCP, TCP_CHECKSUM, TCP_HEADER, tcp } from '../wire/tcp.ts';
import { isPartial, recompute } from '../wire/transport-checksum.ts';
import { UDP, UDP_CHECKSUM, UDP_HEADER, udp } from '../wire/udp.ts';
import { enterHop, enterHopBack, refuseUnreachable, sendOn, settleHeader } from './hop.ts';
import { sendTooBig } from './icmp.ts';
import type { ForwardingContext, ForwardingMethod } from './method.ts';

export const nat: ForwardingMethod = {
  request(packet, connection, context) {
    const { address } = connection.destination;
    const route = context.host.route(address);
    if (route === undefined) return refuseUnreachable(packet, packet.dst, context);
    // The local stack is not a hop, and its path needs no fragments.
    const isHere = sameAddress(route.source, address);
    if (isHere && isLoopback(address)) return 'loopback';
    const refusal = isHere ? undefined : enterHop(packet, route.mtu, false, packet.dst, context);
    if (refusal !== undefined) return refusal;
    if (isCut(packet)) return 'malformed';
    if (isHere) {
      settleHeader(packet);
      packet.frame.fragmentSize = 0;
    }
    pullHeader(packet);
    rewriteDestination(packet, address, connection.dport);
    return sendOn(packet.frame, address, route.mtu, context);
  },

  reply(packet, connection, context) {
    const { caddr } = connection;
    const route = context.host.route(caddr);
    // To a real server the director is a router: errors have its address, not the virtual one.
    const back = context.host.route(packet.src)?.source ?? connection.vaddr;
    if (route === undefined) return refuseUnreachable(packet, back, context);
    const refusal = enterHopBack(packet, route.mtu, back, context);
    if (refusal !== undefined) return refusal;
    if (isCut(packet)) return 'malformed';
    pullHeader(packet);
    rewriteSource(packet, connection.vaddr, connection.vport);
    if (packet.frame.keepsDontFragment) return refuseWhole(packet, connection.vaddr, route.mtu, context);
    return sendOn(packet.frame, caddr, route.mtu, context);
  },
};

/** One less than a host's own packets have: the error makes a hop. */
const ERROR_TTL = 63;

/**
 * Refuses a translated reply that was put together from IPv4 fragments with DF: Linux 6.1 does not split it again. Its
 * error quotes the translated packet, comes from the service, and reaches the server as errors of clients do.
 */
function refuseWhole(packet: Packet, service: Address, mtu: number, context: ForwardingContext): Verdict {
  const { frame, network, transport, src, srcPort } = packet;
  ipv4.setSrc(frame, network, src);
  if (packet.hasPorts) frame.view.setUint16(transport, srcPort);
  const { host } = context;
  sendTooBig(packet, mtu, service, {
    ...context,
    host: {
      route: (to) => host.route(to),
      isLocal: (address) => host.isLocal(address),
      transmit(error, nextHop) {
        ipv4.setTtl(error, error.start, ERROR_TTL);
        return host.transmit(error, nextHop);
      },
    },
  });
  return 'too-big';
}

/**
 * Reports whether the packet ends within its transport header, after its ports, so that its checksum cannot
 * be updated.
 */
const isCut = ({ hasPorts, hasHeader }: Packet): boolean => hasPorts && !hasHeader;

/** Bytes of the header that is rewritten, by protocol. */
const HEADERS: Readonly<Record<number, number>> = {
  [TCP]: TCP_HEADER,
  [UDP]: UDP_HEADER,
  [SCTP]: SCTP_HEADER,
};

/**
 * Gives up the sizes of the fragments that a datagram came in, where the first one ends within the transport header:
 * Linux 6.1 pulls that header together before it rewrites it (skb_ensure_writable).
 */
function pullHeader({ frame, transport, end, protocol }: Packet): void {
  const { laterFragments } = frame;
  if (laterFragments.length === 0) return;
  const first = laterFragments.reduce((rest, data) => rest - data, end - transport);
  if (first < (HEADERS[protocol] ?? 0)) frame.laterFragments = [];
}

/** Sets the packet's destination, and updates checksums. The decoded fields keep the old address. */
export function rewriteDestination(packet: Packet, address: Address, port: number): void {
  const { frame, network, transport, protocol } = packet;
  const partial = isPartial(packet);
  let change =
    packet.version === 4 ? ipv4.setDst(frame, network, address) : ipv6.setDst(frame, network, address);
  if (protocol === TCP) change += tcp.setDstPort(frame, transport, port);
  else if (protocol === UDP) change += udp.setDstPort(frame, transport, port);
  else if (protocol === SCTP) sctp.setDstPort(frame, transport, port);
  else return;
  keepChecksum(packet, change, partial, port !== packet.dstPort);
}

/** Sets the packet's source, and updates checksums. The decoded fields keep the old address. */
export function rewriteSource(packet: Packet, address: Address, port: number): void {
  const { frame, network, transport, protocol } = packet;
  const partial = isPartial(packet);
  let change =
    packet.version === 4 ? ipv4.setSrc(frame, network, address) : ipv6.setSrc(frame, network, address);
  if (protocol === TCP) change += tcp.setSrcPort(frame, transport, port);
  else if (protocol === UDP) change += udp.setSrcPort(frame, transport, port);
  else if (protocol === SCTP) sctp.setSrcPort(frame, transport, port);
  else return;
  keepChecksum(packet, change, partial, port !== packet.srcPort);
}

/**
 * Updates the transport checksum after addresses and ports changed by `change`. A wrong one stays wrong, so
 * that its receiver notices. A partial one (`partial`), and that of a UDP datagram without checksum, is
 * computed completely, as in Linux 6.1. SCTP's covers ports but not addresses (RFC 9260 section 6.8).
 */
function keepChecksum(packet: Packet, change: number, partial: boolean, portChanged: boolean): void {
  const { frame, transport, protocol } = packet;
  if (protocol === SCTP) {
    if (portChanged) sctp.setChecksum(frame, transport, packet.end);
  } else if (partial || (protocol === UDP && udp.checksum(frame, transport) === 0)) {
    packet.decode(frame);
    recompute(packet);
  } else if (protocol === UDP) updateUdp(frame.view, transport + UDP_CHECKSUM, change);
  else update(frame.view, transport + TCP_CHECKSUM, change);
}
