/** Updates a connection after a packet: state, timeout, and whether it counts as active. */

import { NONE, type Row } from '../../model/connection.ts';
import type { Packet } from '../../wire/packet.ts';
import { SCTP, sctp } from '../../wire/sctp.ts';
import { TCP } from '../../wire/tcp.ts';
import { UDP } from '../../wire/udp.ts';
import { countActivated, countDeactivated } from '../connection-counts.ts';
import { hasEndedIn, isInactiveIn, stateIn } from '../connection-flags.ts';
import { type Core, destinationOf } from '../core.ts';
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
export function track(core: Core, row: Row, packet: Packet, sender: number): void {
  const { table, timeouts } = core;
  const { protocol } = packet;
  if (protocol === TCP) {
    // A truncated header changes nothing (Linux 6.1, tcp_state_transition).
    if (!packet.hasHeader) return;
    const from = seen(core, row, sender);
    // A program of the kernel may change the state meanwhile.
    for (let track = table.track(row); !hasEndedIn(track); track = table.track(row)) {
      const before = stateIn(track);
      const after = nextTcpState(before, packet.tcpFlags, from, core.secureTcp);
      table.setTimeout(row, timeouts.tcp[after]!);
      if (after === before) return;
      const isActive = ((TCP_ACTIVE >>> after) & 1) !== 0;
      if (!enter(core, row, track, after, isActive)) continue;
      if (after === TCP_ESTABLISHED) assureTemplate(core, row);
      return;
    }
  } else if (protocol === SCTP) {
    if (packet.sctpChunk < 0) return;
    const chunk = sctp.decisiveChunk(packet.frame, packet.transport, packet.end);
    const before = table.state(row);
    const after = nextSctpState(before, chunk, seen(core, row, sender));
    table.setTimeout(row, timeouts.sctp[after]!);
    if (after === before) return;
    // The director alone handles SCTP: nothing changes the row meanwhile.
    enter(core, row, table.track(row), after, ((SCTP_ACTIVE >>> after) & 1) !== 0);
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

/** Changes the state, and counts the connection as active or not. Reports false if `track` is not the row's any more. */
function enter(core: Core, row: Row, track: number, state: number, isActive: boolean): boolean {
  const { table } = core;
  const wasActive = !isInactiveIn(track);
  // Read after `track`: a program may have given the row another destination since the packet was handled.
  const destination = destinationOf(core, row);
  // Linux 6.1 counts no activity of a connection without a configured destination, and leaves its flag.
  const becomesActive = destination.hidden ? wasActive : isActive;
  if (!table.enterState(row, track, state, !becomesActive)) return false;
  if (becomesActive && !wasActive) countActivated(destination);
  if (!becomesActive && wasActive) countDeactivated(destination);
  return true;
}

/** Marks the template of the connection as assured. Programs of the kernel forward all of its packets from now on. */
export function assureTemplate(core: Core, row: Row): void {
  const template = core.table.template(row);
  if (template === NONE || !core.table.isTemplate(template)) return;
  core.table.setState(template, ASSURED);
  core.table.setAssured(row);
}
