/** Finds the connection and the service of a packet, without changing either. */

import { NONE, type Row } from '../../model/connection.ts';
import type { Packet } from '../../wire/packet.ts';
import { Packet as QuotedPacket } from '../../wire/packet.ts';
import type { DirectorCore } from '../core.ts';
import type { Service } from '../service.ts';

const quoted = new QuotedPacket();

/**
 * Returns the connection of the packet, in either direction, or of the packet that it quotes; NONE without
 * one.
 */
export function connectionOf(core: DirectorCore, packet: Packet): Row {
  const { protocol, src, srcPort, dst, dstPort, hasPorts } = packet;
  if (hasPorts) return between(core, protocol, src, srcPort, dst, dstPort);
  if (!quoted.decodeQuoted(packet.frame, packet.payload, packet.end) || !quoted.hasPorts) return NONE;
  return between(core, quoted.protocol, quoted.src, quoted.srcPort, quoted.dst, quoted.dstPort);
}

function between(
  { table }: DirectorCore,
  protocol: number,
  src: Packet['src'],
  srcPort: number,
  dst: Packet['dst'],
  dstPort: number,
): Row {
  const request = table.findFromClient(protocol, src, srcPort, dst, dstPort);
  if (request !== NONE) return request;
  const reply = table.findFromDestination(protocol, src, srcPort, dst, dstPort);
  if (reply !== NONE) return reply;
  const translated = table.findFromDestination(protocol, dst, dstPort, src, srcPort);
  return translated !== NONE ? translated : table.findFromClient(protocol, dst, dstPort, src, srcPort);
}

/** Returns the service of the packet's connection, or the service that the packet would be scheduled for. */
export function serviceOf(core: DirectorCore, packet: Packet, row: Row): Service | undefined {
  if (row !== NONE) return core.destinations.all[core.table.destination(row)]?.service;
  const family = packet.version === 6 ? 6 : 4;
  return core.services.lookup(family, core.marks.of(packet), packet.protocol, packet.dst, packet.dstPort);
}
