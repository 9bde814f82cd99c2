/** Counts packets for a connection's destination, its service, and the director. */

import { IN_OCTETS, IN_PACKETS, OUT_OCTETS, OUT_PACKETS } from '../model/counters.ts';
import type { Packet } from '../wire/packet.ts';
import type { Meter } from './rate-estimator.ts';
import type { RealDestination } from './service.ts';

/*
 * Bytes of an ICMP error: the headers before the quoted packet, and its maximum length (RFC 1812, RFC 4443).
 */
const ERROR4_HEADER_BYTES = 28;
const MAX_ERROR4_BYTES = 576;
const ERROR6_HEADER_BYTES = 48;
const MAX_ERROR6_BYTES = 1280;

/** Counts a packet from a client, with its length as received. */
export function countIn(packet: Packet, destination: RealDestination, total: Meter): void {
  count(packet.end - packet.network, destination, total, IN_PACKETS, IN_OCTETS);
}

/** Counts a packet to a client. */
export function countOut(packet: Packet, destination: RealDestination, total: Meter): void {
  count(packet.end - packet.network, destination, total, OUT_PACKETS, OUT_OCTETS);
}

/**
 * Counts an ICMP error of the director about a client's packet. Linux 6.1 counts it as the destination's
 * answer, unless the connection is translated.
 */
export function countErrorOut(packet: Packet, destination: RealDestination, total: Meter): void {
  count(errorOctets(packet), destination, total, OUT_PACKETS, OUT_OCTETS);
}

/** Counts the ICMP error about a translated reply, which Linux 6.1 takes for the client's. */
export function countErrorIn(packet: Packet, destination: RealDestination, total: Meter): void {
  count(errorOctets(packet), destination, total, IN_PACKETS, IN_OCTETS);
}

function errorOctets(packet: Packet): number {
  const length = packet.end - packet.network;
  return packet.version === 4
    ? Math.min(MAX_ERROR4_BYTES, ERROR4_HEADER_BYTES + length)
    : Math.min(MAX_ERROR6_BYTES, ERROR6_HEADER_BYTES + length);
}

/** Traffic of a removed destination is not counted, as in Linux 6.1. */
function count(
  length: number,
  destination: RealDestination,
  total: Meter,
  packets: number,
  octets: number,
): void {
  if (!destination.available) return;
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
