/** Updates a connection after a packet: state, timeout, and whether it counts as active. */

import { NONE, type Row } from '../../model/connection.ts';
import type { Packet } from '../../wire/packet.ts';
import { SCTP, sctp } from '../../wire/sctp.ts';
import { TCP } from '../../wire/tcp.ts';
import { UDP } from '../../wire/udp.ts';
import { countActivated, countDeactivated } from '../connection-counts.ts';
import type { Core } from '../core.ts';
import type { RealDestination } from '../service.ts';
import { nextSctpState, SCTP_ACTIVE, SCTP_ESTABLISHED } from './sctp-state.ts';
import {
  CLIENT_ONLY,
  FROM_CLIENT,
  FROM_SERVER,
  nextTcpState,
  TCP_ACTIVE,
  TCP_ESTABLISHED,
} from './tcp-state.ts';

/**
 * State of a template that a client has used in earnest, so that it survives a flood (IP_VS_CTPL_S_ASSURED,
 * ip_vs.h 6.1).
 */
export const ASSURED = 1;

/** Changes the row's state according to the packet. `sender`: FROM_CLIENT or FROM_SERVER. */
export function track(
  core: Core,
  row: Row,
  packet: Packet,
  sender: number,
  destination: RealDestination,
): void {
  const { table, timeouts } = core;
  const { protocol } = packet;
  if (protocol === TCP) {
    // A truncated header changes nothing (Linux 6.1, tcp_state_transition).
    if (!packet.hasHeader) return;
    const before = table.state(row);
    const after = nextTcpState(before, packet.tcpFlags, seen(core, row, sender), core.secureTcp);
    // The following packets may change the state again, so the director must receive them. What the kernel
    // path has yet to report, and the timeout that it sets, belong to the previous state.
    if (after !== before) core.offload.remove(row);
    table.setTimeout(row, timeouts.tcp[after]!);
    if (after === before) return;
    table.setState(row, after);
    count(core, row, ((TCP_ACTIVE >>> after) & 1) !== 0, destination);
    if (after === TCP_ESTABLISHED) assureTemplate(core, row);
  } else if (protocol === SCTP) {
    if (packet.sctpChunk < 0) return;
    const chunk = sctp.decisiveChunk(packet.frame, packet.transport, packet.end);
    const before = table.state(row);
    const after = nextSctpState(before, chunk, seen(core, row, sender));
    table.setTimeout(row, timeouts.sctp[after]!);
    if (after === before) return;
    table.setState(row, after);
    count(core, row, ((SCTP_ACTIVE >>> after) & 1) !== 0, destination);
    if (after === SCTP_ESTABLISHED) assureTemplate(core, row);
  } else if (protocol === UDP) {
    table.setTimeout(row, timeouts.udp[0]!);
    if (sender === FROM_SERVER) assureTemplate(core, row);
  }
}

/** Returns CLIENT_ONLY until a packet of the server was received. */
function seen(core: Core, row: Row, sender: number): number {
  const { table } = core;
  if (!table.isHalfSeen(row)) return sender;
  if (sender === FROM_CLIENT) return CLIENT_ONLY;
  table.setFullySeen(row);
  return FROM_SERVER;
}

function count(core: Core, row: Row, isActive: boolean, destination: RealDestination): void {
  const { table } = core;
  if (isActive !== table.isInactive(row)) return;
  if (isActive) countActivated(destination);
  else countDeactivated(destination);
  table.setInactive(row, !isActive);
}

/** Returns the marks the template of the connection as assured. */
export function assureTemplate(core: Core, row: Row): void {
  const template = core.table.template(row);
  if (template === NONE || !core.table.isTemplate(template)) return;
  core.table.setState(template, ASSURED);
}
