/** Forwards ICMP errors about packets of a connection, and rewrites the quoted packet. */
import type { Connection } from '../model/connection.ts';
import type { Verdict } from '../model/verdict.ts';
import { type Address, isLoopback, sameAddress } from '../wire/address.ts';
import { icmp } from '../wire/icmp.ts';
import { icmp6 } from '../wire/icmp6.ts';
import { ipv4 } from '../wire/ipv4.ts';
import { ipv6 } from '../wire/ipv6.ts';
import type { Packet } from '../wire/packet.ts';
import { DST_PORT, SRC_PORT } from '../wire/ports.ts';
import { checksumHolds } from '../wire/transport-checksum.ts';
import { enterHop, enterHopBack, refuseUnreachable, sendOn } from './hop.ts';
import { forwardingMethods } from './index.ts';
import type { ForwardingContext } from './method.ts';

/**
 * Forwards an error from the client's side about a packet to the client: `quoted` comes from the virtual
 * service (its connection has quoted.dst as the client). It is sent where the connection's requests go; for
 * NAT, its quoted packet becomes the one that the real server sent. The quoted transport checksum is
 * unchanged, as in Linux 6.1.
 */
export function forwardRelated(
  packet: Packet,
  quoted: Packet,
  connection: Connection,
  context: ForwardingContext,
): Verdict {
  if (!checksumHolds(packet)) return 'malformed';
  if (connection.method !== 'nat')
    return forwardingMethods[connection.method].request(packet, connection, context);
  const { address } = connection.destination;
  const route = context.host.route(address);
  if (route === undefined) return refuseUnreachable(packet, packet.dst, context);
  const isHere = sameAddress(route.source, address);
  if (isHere && isLoopback(address)) return 'loopback';
  const refusal = isHere ? undefined : enterHop(packet, route.mtu, false, packet.dst, context);
  if (refusal !== undefined) return refusal;
  setDst(packet, address);
  setSrc(quoted, address);
  setPort(quoted, SRC_PORT, connection.dport);
  recompute(packet, packet.src, address);
  return sendOn(packet.frame, address, route.mtu, context);
}

/**
 * Forwards an error from the real servers' side about a request with NAT: `quoted` is addressed to the
 * destination (its connection has quoted.dst as the destination). The client receives it from the virtual
 * service, whatever its source, with the packet that the client sent.
 */
export function replyRelated(
  packet: Packet,
  quoted: Packet,
  connection: Connection,
  context: ForwardingContext,
): Verdict {
  if (!checksumHolds(packet)) return 'malformed';
  const { vaddr } = connection;
  const route = context.host.route(packet.dst);
  const back = context.host.route(packet.src)?.source ?? vaddr;
  if (route === undefined) return refuseUnreachable(packet, back, context);
  const refusal = enterHopBack(packet, route.mtu, back, context);
  if (refusal !== undefined) return refusal;
  setSrc(packet, vaddr);
  setDst(quoted, vaddr);
  setPort(quoted, DST_PORT, connection.vport);
  recompute(packet, vaddr, packet.dst);
  return sendOn(packet.frame, packet.dst, route.mtu, context);
}

function setSrc(packet: Packet, address: Address): void {
  if (packet.version === 4) ipv4.setSrc(packet.frame, packet.network, address);
  else ipv6.setSrc(packet.frame, packet.network, address);
}

function setDst(packet: Packet, address: Address): void {
  if (packet.version === 4) ipv4.setDst(packet.frame, packet.network, address);
  else ipv6.setDst(packet.frame, packet.network, address);
}

function setPort(quoted: Packet, field: number, port: number): void {
  if (quoted.hasPorts) quoted.frame.view.setUint16(quoted.transport + field, port);
}

function recompute(packet: Packet, src: Address, dst: Address): void {
  const { frame, transport, end } = packet;
  if (packet.version === 4) icmp.recompute(frame, transport, end);
  else icmp6.recompute(frame, transport, end, src, dst);
}
