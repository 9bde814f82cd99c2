/** What a kernel path forwarded, taken into account as if the director had handled the packets. */
import type { Row } from '../model/connection.ts';
import { IN_OCTETS, IN_PACKETS, OUT_OCTETS, OUT_PACKETS } from '../model/counters.ts';
import { UDP } from '../wire/udp.ts';
import { type Core, destinationOf } from './core.ts';
import { assureTemplate } from './path/tracking.ts';

/** True while the connection's known packets are forwarded whatever they are, which a kernel path may do as well. */
export function mayForward(core: Core, row: Row): boolean {
  if (core.isBackup && core.settings.backup_only !== 0) return false;
  return destinationOf(core, row).available;
}

/** `lastSeen`: ms of the director's clock. `isReply`: they came from the destination. See FlowReport. */
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
  // A destination that is removed by now was there when they were forwarded: there are no flows to others.
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
  // A packet seen before the timer was set last does not set it back.
  if (lastSeen >= touched) table.touch(row, lastSeen);
}
