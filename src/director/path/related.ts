/** ICMP errors: finds the connection of the quoted packet, from either side, and forwards the error. */

import { enterHopBack } from '../../forwarding/hop.ts';
import { forwardRelated, replyRelated } from '../../forwarding/related.ts';
import { answerTunnelError, decodeTunnelled, isSentTo } from '../../forwarding/tunnel-error.ts';
import { NONE, type Row } from '../../model/connection.ts';
import type { Verdict } from '../../model/verdict.ts';
import { FRAGMENTATION_NEEDED, SOURCE_QUENCH, TIME_EXCEEDED, UNREACHABLE } from '../../wire/icmp.ts';
import { isIcmp6Error } from '../../wire/icmp6.ts';
import { IKE_PORT, isIpsec } from '../../wire/ipsec.ts';
import { Packet } from '../../wire/packet.ts';
import { SCTP } from '../../wire/sctp.ts';
import { TCP } from '../../wire/tcp.ts';
import { UDP } from '../../wire/udp.ts';
import type { BoundConnection } from '../bound-connection.ts';
import { MASQ, TUNNEL } from '../connection-flags.ts';
import { type Core, destinationOf } from '../core.ts';
import { countErrorOut, countIn, countOut } from '../traffic.ts';
import type { Admission } from './admission.ts';
import { Arrival } from './arrival.ts';
import { end } from './connection-lifecycle.ts';

/** Reports whether the message is of a kind that is forwarded; all others are left to the host. */
const isCarried = (packet: Packet): boolean => {
  const type = packet.icmpType;
  return packet.version === 4
    ? type === UNREACHABLE || type === SOURCE_QUENCH || type === TIME_EXCEEDED
    : isIcmp6Error(type);
};

/**
 * Reports whether a connection can be created for the protocol. A later IPv6 fragment does not contain it.
 */
const mayBeScheduled = ({ version, protocol, fragmentOffset }: Packet): boolean =>
  (protocol === TCP || protocol === UDP || protocol === SCTP) && (version === 4 || fragmentOffset === 0);

/** Handles ICMP messages. They restart no timers and change no states. */
export class RelatedErrors {
  readonly #core: Core;
  readonly #admission: Admission;
  readonly #connection: BoundConnection;
  readonly #quoted = new Packet();
  readonly #inner = new Packet();
  readonly #arrival = new Arrival();
  /** Protocol of the quoted packet's connection. */
  #protocol = 0;
  #srcPort = 0;
  #dstPort = 0;

  constructor(core: Core, admission: Admission, connection: BoundConnection) {
    this.#core = core;
    this.#admission = admission;
    this.#connection = connection;
  }

  handle(packet: Packet, now: number): Verdict {
    const quoted = this.#quoted;
    if (packet.malformed || !isCarried(packet)) return 'pass';
    // A quoted packet of the other IP version was not sent by this path.
    if (!quoted.decodeQuoted(packet.frame, packet.payload, packet.end)) return 'pass';
    if (quoted.version !== packet.version) return 'pass';
    const isLocal = this.#core.forwarding.host.isLocal(packet.dst);
    // Linux 6.1 looks for a tunnel in quoted UDP, whose header is in the first fragment (ip_vs_in_icmp).
    if (isLocal && quoted.protocol === UDP && quoted.fragmentOffset !== 0) return 'pass';
    if (this.#hasFlow(quoted)) {
      const fromServer = this.#requestTo(quoted);
      if (fromServer !== NONE) return this.#toClient(fromServer, packet, quoted);
      const fromClient = this.#replyTo(quoted);
      if (fromClient !== NONE) return this.#toServer(fromClient, packet, quoted);
      const passing = this.#requestPastUs(quoted);
      if (passing !== NONE) return this.#watch(passing, packet);
    }
    if (isLocal && decodeTunnelled(quoted, this.#inner)) {
      const tunnelled = this.#requestIn(this.#inner, quoted);
      if (tunnelled !== NONE) return this.#answerTunnel(tunnelled, packet, quoted);
    }
    if (this.#core.settings.schedule_icmp === 0 || !mayBeScheduled(quoted)) return 'pass';
    return quoted.hasPorts ? this.#admit(packet, quoted, now) : 'malformed';
  }

  /** Reports whether the quoted packet identifies its connection, by `#protocol` and its ports. */
  #hasFlow({ version, protocol, hasPorts, srcPort, dstPort, fragmentOffset }: Packet): boolean {
    const ipsec = isIpsec(protocol, version);
    this.#protocol = ipsec ? UDP : protocol;
    this.#srcPort = ipsec ? IKE_PORT : srcPort;
    this.#dstPort = ipsec ? IKE_PORT : dstPort;
    return ipsec ? fragmentOffset === 0 : hasPorts;
  }

  /** Returns the translated connection whose request, as the real server received it, is quoted. */
  #requestTo({ src, dst }: Packet): Row {
    return this.#core.table.findFromDestination(this.#protocol, dst, this.#dstPort, src, this.#srcPort);
  }

  /** Returns the connection whose reply, as the client received it, is quoted. */
  #replyTo({ src, dst }: Packet): Row {
    return this.#core.table.findFromClient(this.#protocol, dst, this.#dstPort, src, this.#srcPort);
  }

  /**
   * Returns the connection whose request, as a real server with the virtual address received it, is quoted.
   */
  #requestPastUs({ src, dst }: Packet): Row {
    const row = this.#core.table.findFromClient(this.#protocol, src, this.#srcPort, dst, this.#dstPort);
    return row !== NONE && this.#methodOf(row) !== MASQ ? row : NONE;
  }

  /** Returns the connection of a client's packet that was sent in the tunnel packet `quoted`. */
  #requestIn(inner: Packet, quoted: Packet): Row {
    if (!this.#hasFlow(inner)) return NONE;
    const row = this.#requestPastUs(inner);
    if (row === NONE || this.#methodOf(row) !== TUNNEL) return NONE;
    return isSentTo(destinationOf(this.#core, row), quoted) ? row : NONE;
  }

  #toClient(row: Row, packet: Packet, quoted: Packet): Verdict {
    const destination = destinationOf(this.#core, row);
    const connection = this.#connection.select(row, destination);
    const verdict = replyRelated(packet, quoted, connection, this.#core.forwarding);
    if (verdict === 'forwarded') countOut(packet, destination, this.#core.total);
    return verdict;
  }

  #toServer(row: Row, packet: Packet, quoted: Packet): Verdict {
    const destination = destinationOf(this.#core, row);
    const refusal = this.#enterRouter(packet);
    if (refusal !== undefined) return refusal;
    const connection = this.#connection.select(row, destination);
    const verdict = forwardRelated(packet, quoted, connection, this.#core.forwarding);
    if (verdict !== 'malformed') countIn(packet, destination, this.#core.total);
    return verdict;
  }

  /** Takes an error that is addressed to another host one hop further, as the router does before IPVS translates it. */
  #enterRouter(packet: Packet): Verdict | undefined {
    const { forwarding } = this.#core;
    const { host } = forwarding;
    if (host.isLocal(packet.dst)) return undefined;
    const mtu = host.route(packet.dst)?.mtu ?? Number.POSITIVE_INFINITY;
    const refusal = enterHopBack(packet, mtu, host.route(packet.src)?.source ?? packet.dst, forwarding);
    packet.ttl--;
    return refusal;
  }

  /** Leaves an error of a server that replies directly unchanged. */
  #watch(row: Row, packet: Packet): Verdict {
    countOut(packet, destinationOf(this.#core, row), this.#core.total);
    return 'pass';
  }

  #answerTunnel(row: Row, packet: Packet, quoted: Packet): Verdict {
    const { forwarding, total } = this.#core;
    const destination = destinationOf(this.#core, row);
    const connection = this.#connection.select(row, destination);
    const verdict = answerTunnelError(packet, quoted, this.#inner, connection, forwarding);
    // Linux 6.1 answers, and counts, only those of IPv4: the answer, and the quoted packet, too. It does not count an
    // answer about the path MTU of a tunnel packet that routers may fragment.
    if (verdict !== 'answered' || packet.version !== 4) return verdict;
    const isNoted = packet.icmpCode !== FRAGMENTATION_NEEDED || packet.icmpType !== UNREACHABLE;
    if (isNoted || quoted.dontFragment) countErrorOut(this.#inner, destination, total);
    countOut(this.#inner, destination, total);
    return verdict;
  }

  /** Creates a connection for an error, with schedule_icmp. */
  #admit(packet: Packet, quoted: Packet, now: number): Verdict {
    const { table, marks } = this.#core;
    const admitted = this.#admission.admit(this.#arrival.setQuoted(packet, quoted, marks.of(packet), now));
    if (typeof admitted !== 'number') return admitted;
    table.touch(admitted, now);
    const verdict = this.#toServer(admitted, packet, quoted);
    if (table.isOnePacket(admitted)) end(this.#core, admitted);
    return verdict;
  }

  #methodOf(row: Row): number {
    return this.#core.table.method(row);
  }
}
