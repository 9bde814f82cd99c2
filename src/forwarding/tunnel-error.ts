/**
 * ICMP errors about a tunnel's outer packets, from the path to a real server: translates them for the client.
 */
import type { Connection } from '../model/connection.ts';
import type { Destination } from '../model/destination.ts';
import type { Verdict } from '../model/verdict.ts';
import { isV4, sameAddress } from '../wire/address.ts';
import { FRAGMENTATION_NEEDED, icmp, SOURCE_QUENCH, TIME_EXCEEDED, UNREACHABLE } from '../wire/icmp.ts';
import { icmp6, PACKET_TOO_BIG, TIME_EXCEEDED6, UNREACHABLE6 } from '../wire/icmp6.ts';
import { IPV4_HEADER, ipv4 } from '../wire/ipv4.ts';
import { IPV6_HEADER, ipv6, MIN_MTU6 } from '../wire/ipv6.ts';
import type { Packet } from '../wire/packet.ts';
import { checksumHolds } from '../wire/transport-checksum.ts';
import { UDP } from '../wire/udp.ts';
import { GRE, greHeaderLength, greVersion } from './gre.ts';
import { gueInnerOffset, gueProtocol } from './gue.ts';
import { sendError } from './icmp.ts';
import type { ForwardingContext } from './method.ts';
import { IPV4_IN_IP, IPV6_IN_IP, tunnelOverhead } from './tunnel.ts';

/**
 * Decodes into `inner` the client's packet inside the tunnel packet that an error quotes; returns false when
 * `quoted` is not a tunnel packet, or too short. Its connection has inner.src as the client.
 */
export function decodeTunnelled(quoted: Packet, inner: Packet): boolean {
  if (quoted.fragmentOffset !== 0) return false;
  const at = innerOffset(quoted);
  return (
    at >= 0 && inner.decodeQuoted(quoted.frame, at, quoted.end) && inner.version === versionInside(quoted)
  );
}

/** Returns the IP version that the tunnel's headers announce for the packet inside. */
function versionInside({ frame, protocol, transport }: Packet): 4 | 6 | 0 {
  const announced = protocol === UDP ? gueProtocol(frame, transport) : protocol;
  if (announced === GRE) return greVersion(frame, transport);
  if (announced === IPV4_IN_IP) return 4;
  return announced === IPV6_IN_IP ? 6 : 0;
}

/** Reports whether `quoted` is a packet of the destination's tunnel. */
export function isSentTo({ address, tunnel }: Destination, { protocol, dst, dstPort }: Packet): boolean {
  if (!sameAddress(dst, address)) return false;
  switch (tunnel.type) {
    case 'ipip':
      return protocol === IPV4_IN_IP || protocol === IPV6_IN_IP;
    case 'gue':
      return protocol === UDP && dstPort === tunnel.port;
    case 'gre':
      return protocol === GRE;
    default:
      return tunnel.type satisfies never;
  }
}

function innerOffset(quoted: Packet): number {
  const { frame, transport, end } = quoted;
  switch (quoted.protocol) {
    case IPV4_IN_IP:
    case IPV6_IN_IP:
      return transport;
    case GRE: {
      const length = greHeaderLength(frame, transport, end);
      return length < 0 ? -1 : transport + length;
    }
    case UDP:
      return gueInnerOffset(frame, transport, end);
    default:
      return -1;
  }
}

/**
 * Answers the client for an error about the tunnel packet `quoted`, which carried its packet `inner`. The host
 * learns a narrower path; the error to the client names the MTU that its packets have used (see Host.learnMtu), as by Linux 6.1.
 */
export function answerTunnelError(
  packet: Packet,
  quoted: Packet,
  inner: Packet,
  connection: Connection,
  context: ForwardingContext,
): Verdict {
  const { address, tunnel } = connection.destination;
  if (!checksumHolds(packet)) return 'malformed';
  const { frame, transport, icmpType: type, icmpCode: code } = packet;
  const tooBig =
    packet.version === 4 ? type === UNREACHABLE && code === FRAGMENTATION_NEEDED : type === PACKET_TOO_BIG;
  let rest = 0;
  if (tooBig) {
    const mtu = packet.version === 4 ? icmp.nextHopMtu(frame, transport) : icmp6.mtu(frame, transport);
    const { host } = context;
    const learnt = couldHaveBeenSent(packet, quoted, mtu)
      ? host.learnMtu?.(address, usableMtu(mtu, inner, connection))
      : undefined;
    const known = learnt ?? host.route(address)?.mtu ?? 0;
    // As Linux 6.1, which forgets the tunnel's own header here.
    rest = known - (isV4(address) ? IPV4_HEADER : tunnelOverhead(tunnel, 6));
    // The client cannot react: its packets may be fragmented, or the size is unknown.
    if (!inner.dontFragment || rest <= 0) return 'icmp-unrelated';
  } else if (!concernsClient(packet.version, type)) return 'icmp-kind';
  // An error of one IP version has no exact equivalent in the other.
  if (inner.version !== packet.version) return 'icmp-kind';
  sendError(inner, type, code, rest, inner.dst, context);
  return 'answered';
}

/**
 * Reports whether the director may have sent the quoted packet and the path may have refused it: the error is addressed
 * to the packet's source, and the packet is longer than what it says fits. Everything else is forged (RFC 5927).
 */
function couldHaveBeenSent(packet: Packet, quoted: Packet, mtu: number): boolean {
  const { frame, network } = quoted;
  const length =
    quoted.version === 4
      ? ipv4.totalLength(frame, network)
      : IPV6_HEADER + ipv6.payloadLength(frame, network);
  return sameAddress(quoted.src, packet.dst) && length > mtu;
}

/**
 * Returns the path MTU to use. A tunnel must carry IPv6 packets of 1280 bytes (RFC 2473 section 7.1): a smaller
 * path would stop the destination for every client, so it is ignored, whatever its source.
 */
const usableMtu = (mtu: number, inner: Packet, { destination }: Connection): number =>
  inner.version === 4
    ? mtu
    : Math.max(mtu, MIN_MTU6 + tunnelOverhead(destination.tunnel, isV4(destination.address) ? 4 : 6));

const concernsClient = (version: number, type: number): boolean =>
  version === 4
    ? type === UNREACHABLE || type === TIME_EXCEEDED || type === SOURCE_QUENCH
    : type === UNREACHABLE6 || type === TIME_EXCEEDED6;
