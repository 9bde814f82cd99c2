/** Accounts for packets that a kernel path forwarded, as if the director had handled them. */
import type { Row } from '../model/connection.ts';
import { IN_OCTETS, IN_PACKETS, OUT_OCTETS, OUT_PACKETS } from '../model/counters.ts';
import { UDP } from '../wire/udp.ts';
import { type Core, destinationOf } from './core.ts';
import { assureTemplate } from './path/tracking.ts';

/**
 * Reports whether a kernel path may forward the connection's packets: the director would forward all of them.
 */
export function mayForward(core: Core, row: Row): boolean {
  if (core.isBackup && core.settings.backup_only !== 0) return false;
  return destinationOf(core, row).available;
}

/**
 * Accounts for the packets of a FlowReport. `lastSeen`: ms of the director's clock. `isReply`: sent by the
 * destination.
 */
export function takeIntoAccount(
  core: Core,
  row: Row,
  packets: number,
  octets: number,
  lastSeen: number,
  isReply: boolean,
): void {
  const { table, timeouts, total } = core;
  const destination = destinationOf(core, row);
  if (!isReply) table.addPackets(row, packets);
  // A destination that is now removed was available when they were forwarded: others have no flows.
  const [ofPackets, ofOctets] = isReply ? [OUT_PACKETS, OUT_OCTETS] : [IN_PACKETS, IN_OCTETS];
  for (const counters of [destination.counters, destination.service.counters, total.counters]) {
    counters[ofPackets]! += packets;
    counters[ofOctets]! += octets;
  }
  const touched = table.expires(row) - table.timeout(row);
  if (table.protocol(row) === UDP) {
    table.setTimeout(row, timeouts.udp[0]!);
    if (isReply) assureTemplate(core, row);
  } else table.setTimeout(row, timeouts.tcp[table.state(row)]!);
  // A packet from before the last restart of the timer must not shorten it.
  if (lastSeen >= touched) table.touch(row, lastSeen);
}
