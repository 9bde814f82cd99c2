/**
 * The transport checksum of a decoded packet: its offset, verification, detection of partial checksums,
 * computation.
 */
import { change16, complement, neverZero, pseudoSum, sum, updated } from './checksum.ts';
import { ICMP, ICMP_CHECKSUM } from './icmp.ts';
import { ICMP6 } from './icmp6.ts';
import type { Packet } from './packet.ts';
import { SCTP, sctp } from './sctp.ts';
import { TCP, TCP_CHECKSUM } from './tcp.ts';
import { UDP, UDP_CHECKSUM } from './udp.ts';

/**
 * Returns the offset of the packet's transport checksum; -1 when its protocol has none, or its header is
 * truncated.
 */
export function checksumOffset(packet: Packet): number {
  if (!packet.hasHeader) return -1;
  switch (packet.protocol) {
    case TCP:
      return packet.transport + TCP_CHECKSUM;
    case UDP:
      return packet.transport + UDP_CHECKSUM;
    case ICMP:
    case ICMP6:
      return packet.transport + ICMP_CHECKSUM;
    default:
      return -1;
  }
}

const pseudoSumOf = (packet: Packet): number =>
  packet.protocol === ICMP
    ? 0
    : pseudoSum(packet.src, packet.dst, packet.protocol, packet.end - packet.transport);

/**
 * Reports whether the checksum field of TCP or UDP holds only the pseudo header's sum: a sender with transmit
 * offload leaves the rest to its network card. Such a packet needs `recompute`, not `update`.
 */
export function isPartial(packet: Packet): boolean {
  if (packet.protocol !== TCP && packet.protocol !== UDP) return false;
  const at = checksumOffset(packet);
  if (at < 0 || packet.moreFragments) return false;
  return packet.frame.view.getUint16(at) === pseudoSumOf(packet);
}

/** Returns the correct transport checksum of a whole datagram; `at`: its field, which counts as 0. */
function completeChecksum(packet: Packet, at: number): number {
  const view = packet.frame.view;
  const total = sum(view, packet.transport, packet.end, pseudoSumOf(packet));
  const checksum = updated(complement(total), change16(view.getUint16(at), 0));
  return packet.protocol === UDP ? neverZero(checksum) : checksum;
}

/**
 * Computes and writes the transport checksum from the packet's decoded addresses: decode again after changing
 * them. Skips fragments and protocols without a checksum.
 */
export function recompute(packet: Packet): void {
  if (packet.moreFragments) return;
  if (packet.protocol === SCTP) {
    if (packet.hasHeader) sctp.setChecksum(packet.frame, packet.transport, packet.end);
    return;
  }
  const at = checksumOffset(packet);
  if (at >= 0) packet.frame.view.setUint16(at, completeChecksum(packet, at));
}

/**
 * Reports whether the transport checksum is right, absent (UDP over IPv4) or cannot be verified (a fragment,
 * other protocols).
 */
export function checksumHolds(packet: Packet): boolean {
  if (packet.moreFragments) return true;
  if (packet.protocol === SCTP)
    return (
      !packet.hasHeader ||
      sctp.checksum(packet.frame, packet.transport) ===
        sctp.computeChecksum(packet.frame, packet.transport, packet.end)
    );
  const at = checksumOffset(packet);
  if (at < 0) return true;
  const view = packet.frame.view;
  if (packet.protocol === UDP && packet.version === 4 && view.getUint16(at) === 0) return true;
  return sum(view, packet.transport, packet.end, pseudoSumOf(packet)) === 0xffff;
}
