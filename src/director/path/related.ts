/** ICMP errors: which connection one is about, from either side, and what becomes of it. */

import { forwardRelated, replyRelated } from '../../forwarding/related.ts';
import { answerTunnelError, decodeTunnelled } from '../../forwarding/tunnel-error.ts';
import { NONE, type Row } from '../../model/connection.ts';
import type { Verdict } from '../../model/verdict.ts';
import { SOURCE_QUENCH, TIME_EXCEEDED, UNREACHABLE } from '../../wire/icmp.ts';
import { isIcmp6Error } from '../../wire/icmp6.ts';
import { Packet } from '../../wire/packet.ts';
import type { BoundConnection } from '../bound-connection.ts';
import { FORWARDING_METHOD, MASQ, TUNNEL } from '../connections.ts';
import type { Core } from '../core.ts';
import type { RealDestination } from '../service.ts';
import { countErrorOut, countIn, countOut } from '../traffic.ts';
import type { Admission } from './admission.ts';
import { Arrival } from './arrival.ts';

/** The kinds that are carried across; all else is the host's own business. */
const isCarried = (packet: Packet): boolean => {
  const type = packet.icmpType;
  return packet.version === 4
    ? type === UNREACHABLE || type === SOURCE_QUENCH || type === TIME_EXCEEDED
    : isIcmp6Error(type);
};

/** Deals with ICMP messages. They do not restart timers and move no states. */
export class RelatedErrors {
  readonly #core: Core;
  readonly #admission: Admission;
  readonly #connection: BoundConnection;
  readonly #quoted = new Packet();
  readonly #inner = new Packet();
  readonly #arrival = new Arrival();

  constructor(core: Core, admission: Admission, connection: BoundConnection) {
    this.#core = core;
    this.#admission = admission;
    this.#connection = connection;
  }

  handle(packet: Packet, now: number): Verdict {
    const quoted = this.#quoted;
    if (packet.malformed || !isCarried(packet)) return 'pass';
    // What quotes the other IP version was not caused by anything that was sent.
    if (!quoted.decodeQuoted(packet.frame, packet.payload, packet.end)) return 'pass';
    if (quoted.version !== packet.version) return 'pass';
    if (quoted.hasPorts) {
      const fromServer = this.#requestTo(quoted);
      if (fromServer !== NONE) return this.#toClient(fromServer, packet, quoted);
      const fromClient = this.#replyTo(quoted);
      if (fromClient !== NONE) return this.#toServer(fromClient, packet, quoted);
      const passing = this.#requestPastUs(quoted);
      if (passing !== NONE) return this.#watch(passing, packet);
    }
    if (decodeTunnelled(quoted, this.#inner)) {
      const tunnelled = this.#requestIn(this.#inner);
      if (tunnelled !== NONE) return this.#answerTunnel(tunnelled, packet, quoted);
    }
    if (quoted.hasPorts && this.#core.settings.schedule_icmp !== 0) return this.#admit(packet, quoted, now);
    return 'pass';
  }

  /** The translated connection whose request, as the real server had it, is quoted. */
  #requestTo({ protocol, src, srcPort, dst, dstPort }: Packet): Row {
    const { table } = this.#core;
    const row = table.findFromDestination(protocol, dst, dstPort, src, srcPort);
    return row !== NONE && this.#methodOf(row) === MASQ ? row : NONE;
  }

  /** The connection whose reply, as the client had it, is quoted. */
  #replyTo({ protocol, src, srcPort, dst, dstPort }: Packet): Row {
    return this.#core.table.findFromClient(protocol, dst, dstPort, src, srcPort);
  }

  /** The connection whose request, as a real server that sees the virtual address had it, is quoted. */
  #requestPastUs({ protocol, src, srcPort, dst, dstPort }: Packet): Row {
    const row = this.#core.table.findFromClient(protocol, src, srcPort, dst, dstPort);
    return row !== NONE && this.#methodOf(row) !== MASQ ? row : NONE;
  }

  /** The tunnelled connection of a client's own packet. */
  #requestIn({ hasPorts, protocol, src, srcPort, dst, dstPort }: Packet): Row {
    if (!hasPorts) return NONE;
    const row = this.#core.table.findFromClient(protocol, src, srcPort, dst, dstPort);
    return row !== NONE && this.#methodOf(row) === TUNNEL ? row : NONE;
  }

  #toClient(row: Row, packet: Packet, quoted: Packet): Verdict {
    const destination = this.#destinationOf(row);
    const connection = this.#connection.select(row, destination);
    const verdict = replyRelated(packet, quoted, connection, this.#core.forwarding);
    if (verdict === 'forwarded') countOut(packet, destination, this.#core.total);
    return verdict;
  }

  #toServer(row: Row, packet: Packet, quoted: Packet): Verdict {
    const destination = this.#destinationOf(row);
    const connection = this.#connection.select(row, destination);
    const verdict = forwardRelated(packet, quoted, connection, this.#core.forwarding);
    if (verdict !== 'malformed') countIn(packet, destination, this.#core.total);
    return verdict;
  }

  /** What such a server tells the client passes as it is. */
  #watch(row: Row, packet: Packet): Verdict {
    countOut(packet, this.#destinationOf(row), this.#core.total);
    return 'pass';
  }

  #answerTunnel(row: Row, packet: Packet, quoted: Packet): Verdict {
    const { forwarding, total } = this.#core;
    const destination = this.#destinationOf(row);
    const connection = this.#connection.select(row, destination);
    const verdict = answerTunnelError(packet, quoted, this.#inner, connection, forwarding);
    // Linux 6.1 answers, and counts, those of IPv4 only: the answer, and what was quoted, too.
    if (verdict !== 'answered' || packet.version !== 4) return verdict;
    countErrorOut(this.#inner, destination, total);
    countOut(this.#inner, destination, total);
    return verdict;
  }

  /** With schedule_icmp even an error makes a connection. */
  #admit(packet: Packet, quoted: Packet, now: number): Verdict {
    const { table, marks } = this.#core;
    const admitted = this.#admission.admit(this.#arrival.setQuoted(packet, quoted, marks.of(packet), now));
    if (typeof admitted !== 'number') return admitted;
    table.touch(admitted, now);
    return this.#toServer(admitted, packet, quoted);
  }

  #methodOf(row: Row): number {
    return this.#core.table.flags[row]! & FORWARDING_METHOD;
  }

  #destinationOf(row: Row): RealDestination {
    const { table, destinations } = this.#core;
    return destinations.all[table.destination[row]!]!;
  }
}
