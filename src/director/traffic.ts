/** Counting packets for a connection's destination, its service, and the director. */
import { IN_OCTETS, IN_PACKETS, OUT_OCTETS, OUT_PACKETS } from '../model/counters.ts';
import type { Packet } from '../wire/packet.ts';
import type { RealDestination } from './destinations.ts';
import type { Meter } from './estimator.ts';

/** A packet from a client, as long as it was when it came. */
export function countIn(packet: Packet, destination: RealDestination, total: Meter): void {
  count(packet, destination, total, IN_PACKETS, IN_OCTETS);
}

/** A packet to a client. */
export function countOut(packet: Packet, destination: RealDestination, total: Meter): void {
  count(packet, destination, total, OUT_PACKETS, OUT_OCTETS);
}

/** Traffic of a removed destination is nobody's, as in Linux 6.1. */
function count(
  packet: Packet,
  destination: RealDestination,
  total: Meter,
  packets: number,
  octets: number,
): void {
  if (!destination.available) return;
  const length = packet.end - packet.network;
  const its = destination.counters;
  its[packets]!++;
  its[octets]! += length;
  const services = destination.service.counters;
  services[packets]!++;
  services[octets]! += length;
  const all = total.counters;
  all[packets]!++;
  all[octets]! += length;
}
