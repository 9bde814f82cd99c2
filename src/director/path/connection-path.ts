/** The path of a packet with endpoints: finds or admits its connection, tracks the state, forwards. */

import { sendPortUnreachable } from '../../forwarding/icmp.ts';
import { forwardingMethods } from '../../forwarding/index.ts';
import type { ForwardingContext } from '../../forwarding/method.ts';
import { type Connection, NONE, type Row } from '../../model/connection.ts';
import type { Verdict } from '../../model/verdict.ts';

import { isIpsec } from '../../wire/ipsec.ts';
import { ipv4 } from '../../wire/ipv4.ts';
import { ipv6 } from '../../wire/ipv6.ts';
import type { Packet } from '../../wire/packet.ts';
import { SCTP, SCTP_ABORT, SCTP_INIT } from '../../wire/sctp.ts';
import { RST, SYN, TCP } from '../../wire/tcp.ts';
import { UDP } from '../../wire/udp.ts';
import { type BoundConnection, METHODS } from '../bound-connection.ts';
import { MASQ, TUNNEL } from '../connection-flags.ts';
import { type Core, destinationOf } from '../core.ts';
import type { RealDestination } from '../service.ts';
import { countErrorIn, countErrorOut, countIn, countOut } from '../traffic.ts';
import type { Admission } from './admission.ts';
import { Arrival } from './arrival.ts';
import { end, withClientPort } from './connection-lifecycle.ts';
import { FtpHelper } from './ftp-helper.ts';
import { enterOptions, hasOptions } from './header-options.ts';
import { SCTP_CLOSED } from './sctp-state.ts';
import { FROM_CLIENT, FROM_SERVER, TCP_CLOSE, TCP_FIN_WAIT, TCP_TIME_WAIT } from './tcp-state.ts';
import { track } from './tracking.ts';

/** Bit of conn_reuse_mode: a half-closed connection of dr or tunnel is replaced, too. */
const REUSE_FIN_WAIT = 2;

/** Timeout of a connection that was taken over, until its second packet, ms: others may send single packets in masses. */
const UNCONFIRMED_MS = 30_000;

/** Forwarding methods, indexed by their number in a connection's flags. */
const methods = METHODS.map((name) => forwardingMethods[name]);

/**
 * Returns the verdict on a packet with a truncated transport header: it is not a request; if it is for another host, it
 * is routed by its address.
 */
export const refuseTruncated = ({ dst }: Packet, { host }: ForwardingContext): Verdict =>
  host.isLocal(dst) ? 'malformed' : 'pass';

/** One per director. Keeps nothing of a packet after it was handled. */
export class ConnectionPath {
  readonly #core: Core;
  readonly #admission: Admission;
  readonly #connection: BoundConnection;
  readonly #arrival = new Arrival();
  readonly #ftp: FtpHelper;

  /** `connection`: a window on the table that others use between packets, too. */
  constructor(core: Core, admission: Admission, connection: BoundConnection) {
    this.#core = core;
    this.#admission = admission;
    this.#connection = connection;
    this.#ftp = new FtpHelper(core);
  }

  /**
   * Handles a packet whose connection has `protocol` and these ports. In this order, the first match decides:
   *   1. known connection, client to server: #request
   *   2. known connection, server to client (NAT): #reply
   *   3. known connection, reply that passes by the director (dr, tunnel): #observeReply
   *   4. packet for a virtual service: schedule, create a connection: #admit
   *   5. everything else is left to the host: pass
   * State, counters, timers and the kernel path are updated after the packet was sent.
   */
  handle(packet: Packet, protocol: number, srcPort: number, dstPort: number, now: number): Verdict {
    const { table, destinations, services, marks } = this.#core;
    const { host } = this.#core.forwarding;
    const { src, dst } = packet;
    const refusal =
      hasOptions(packet) && host.isLocal(dst) ? enterOptions(packet, dst, this.#core.forwarding) : undefined;
    if (refusal !== undefined) return refusal;
    const request = table.findFromClient(protocol, src, srcPort, dst, dstPort);
    if (request !== NONE) return this.#request(request, packet, now);
    // Excluding the sender as a destination is cheaper than a lookup in a large table.
    const isServer = destinations.addresses.mayHave(src);
    if (isServer) {
      const reply = table.findFromDestination(protocol, src, srcPort, dst, dstPort);
      if (reply !== NONE) return this.#reply(reply, packet, now);
    }
    // A connection of another director may have no service here.
    if (isServer || services.addresses.mayHave(src) || marks.rules.length > 0) {
      const passing = table.findFromClient(protocol, dst, dstPort, src, srcPort);
      if (passing !== NONE && table.method(passing) !== MASQ) return this.#observeReply(passing, packet, now);
    }
    return this.#admit(packet, now);
  }

  /** Handles a packet from the client of a known connection. */
  #request(row: Row, packet: Packet, now: number): Verdict {
    const { settings } = this.#core;
    const destination = destinationOf(this.#core, row);
    if (isFirst(packet) && this.#isReplaceable(row, destination)) {
      this.#core.counts.reused++;
      return this.#replace(row, packet, now);
    }
    if (destination.available || destination.hidden) return this.#forward(row, destination, packet, now);
    if (settings.expire_nodest_conn === 0) return 'destination-gone';
    end(this.#core, row);
    return this.#admit(packet, now);
  }

  /**
   * Replaces a connection: the old one still counts while the new one is scheduled, and is kept when that
   * fails.
   */
  #replace(row: Row, packet: Packet, now: number): Verdict {
    const { table } = this.#core;
    const { protocol, src, srcPort, dst, dstPort } = packet;
    table.setTimeout(row, 0);
    table.expireNow(row);
    const verdict = this.#admit(packet, now);
    if (table.findFromClient(protocol, src, srcPort, dst, dstPort) !== row) end(this.#core, row);
    return verdict;
  }

  /**
   * Reports whether a first packet with the same endpoints replaces the connection: it ended, or its
   * destination is to be left.
   */
  #isReplaceable(row: Row, destination: RealDestination): boolean {
    const { settings, table } = this.#core;
    if (settings.expire_nodest_conn !== 0 && destination.weight === 0 && !destination.hidden) return true;
    const mode = settings.conn_reuse_mode;
    if (mode === 0 || table.template(row) !== NONE) return false;
    const state = table.state(row);
    if (table.protocol(row) === SCTP) return state === SCTP_CLOSED;
    if (state === TCP_TIME_WAIT || state === TCP_CLOSE) return true;
    const isHalfSeen = table.isHalfSeen(row);
    return (mode & REUSE_FIN_WAIT) !== 0 && state === TCP_FIN_WAIT && isHalfSeen;
  }

  #admit(packet: Packet, now: number): Verdict {
    const { marks, settings, takeover } = this.#core;
    if (isIpsec(packet.protocol, packet.version)) return 'pass';
    const started = this.#startedByServer(packet, now);
    if (started !== undefined) return started;
    if (settings.nat_icmp_send !== 0 && this.#isStray(packet)) return this.#refuseStray(packet);
    // The beginning of a connection requires a complete header, and in SCTP a chunk.
    if (!packet.hasHeader || (packet.protocol === SCTP && packet.sctpChunk < 0))
      return refuseTruncated(packet, this.#core.forwarding);
    const arrival = this.#arrival.set(packet, marks.of(packet), now);
    const admitted = this.#admission.admit(arrival);
    if (typeof admitted !== 'number') return admitted;
    const limit = takeover.share > 0 && arrival.continues ? UNCONFIRMED_MS : undefined;
    return this.#forward(admitted, destinationOf(this.#core, admitted), packet, now, limit);
  }

  /** Forwards a datagram with which a NAT destination starts a connection; undefined: it starts none. */
  #startedByServer(packet: Packet, now: number): Verdict | undefined {
    const { destinations, forwarding, table } = this.#core;
    if (packet.protocol !== UDP || !destinations.addresses.mayHave(packet.src)) return undefined;
    if (packet.ttl <= 1 || forwarding.host.isLocal(packet.dst)) return undefined;
    const destination = destinations.translated(UDP, packet.src, packet.srcPort);
    if (destination === undefined) return undefined;
    const arrival = this.#arrival.setStarted(packet, destination.service, now);
    const row = this.#admission.admitStarted(destination, arrival);
    if (row === NONE) return undefined;
    const verdict = this.#reply(row, packet, now);
    if (table.isOnePacket(row)) end(this.#core, row);
    return verdict;
  }

  /** Reports whether a translated destination sent the packet outside any connection. */
  #isStray(packet: Packet): boolean {
    if (packet.ttl <= 1) return false;
    if (packet.protocol === TCP && packet.hasHeader && (packet.tcpFlags & RST) !== 0) return false;
    if (packet.protocol === SCTP && packet.sctpChunk === SCTP_ABORT) return false;
    const { destinations } = this.#core;
    return (
      destinations.addresses.mayHave(packet.src) &&
      destinations.translated(packet.protocol, packet.src, packet.srcPort) !== undefined
    );
  }

  /** Sends a port unreachable error to the server, about the packet as a router would have forwarded it. */
  #refuseStray(packet: Packet): Verdict {
    const { forwarding } = this.#core;
    const { frame, network, ttl } = packet;
    if (packet.version === 4) ipv4.setTtl(frame, network, ttl - 1);
    else ipv6.setHopLimit(frame, network, ttl - 1);
    sendPortUnreachable(packet, forwarding.host.route(packet.src)?.source ?? packet.dst, forwarding);
    return 'no-connection';
  }

  /** Sends a client's packet to its connection's destination. `limit`: of the timeout until the next packet, ms. */
  #forward(
    known: Row,
    destination: RealDestination,
    packet: Packet,
    now: number,
    limit = Number.POSITIVE_INFINITY,
  ): Verdict {
    const { kernelPath, table, total, forwarding } = this.#core;
    const isOpen = table.isOpen(known) && table.method(known) === MASQ && packet.hasPorts;
    const row = isOpen ? withClientPort(this.#core, known, packet.srcPort) : known;
    if (row === NONE) return 'table-full';
    const isAssisted = this.#ftp.assists(row);
    if (hasSyn(packet) || isAssisted) kernelPath.hold(row);
    const refusal = isAssisted ? this.#ftp.request(row, packet, now) : undefined;
    if (refusal !== undefined) return refusal;
    countIn(packet, destination, total);
    track(this.#core, row, packet, FROM_CLIENT);
    if (table.timeout(row) > limit) table.setTimeout(row, limit);
    table.addPackets(row, 1);
    const method = table.method(row);
    const connection = this.#connection.select(row, destination);
    // The kind of a tunnel is unknown without a configured destination: Linux 6.1 sends nothing then.
    const verdict =
      method === TUNNEL && destination.hidden
        ? 'destination-gone'
        : methods[method]!.request(packet, connection, forwarding);
    this.#core.sync.forwarded(row, now);
    if (table.isOnePacket(row)) {
      // Programs need the client's next hop for its next packets.
      if (verdict === 'forwarded') kernelPath.learn(row);
      end(this.#core, row);
      return verdict;
    }
    if (verdict !== 'forwarded' && method !== MASQ && isAnswered(verdict))
      countErrorOut(packet, destination, total);
    table.touch(row, now);
    if (verdict === 'forwarded' && !isAssisted) kernelPath.learn(row);
    return verdict;
  }

  /** Sends a destination's packet to its connection's client. */
  #reply(row: Row, packet: Packet, now: number): Verdict {
    const { kernelPath, table, total, forwarding } = this.#core;
    const destination = destinationOf(this.#core, row);
    const connection = this.#connection.select(row, destination);
    if (hasOptions(packet)) {
      const inside = forwarding.host.route(packet.src)?.source;
      const refusal = enterOptions(packet, connection.vaddr, forwarding, inside);
      if (refusal !== undefined) return refusal;
    }
    const isAssisted = this.#ftp.assists(row);
    if (hasSyn(packet) || isAssisted) kernelPath.hold(row);
    const rest = isAssisted ? this.#ftp.reply(row, packet, now) : undefined;
    if (typeof rest === 'string') return rest;
    const verdict = methods[MASQ]!.reply!(packet, connection, forwarding);
    const isRefusedLate = verdict === 'too-big' && packet.frame.keepsDontFragment;
    // Linux routes a reply before it balances it: a reply that the router rejects is not counted.
    if (isAnswered(verdict) && !isRefusedLate) return verdict;
    table.touch(row, now);
    if (verdict === 'malformed') return verdict;
    if (isRefusedLate) countErrorIn(packet, destination, total);
    countOut(packet, destination, total);
    track(this.#core, row, packet, FROM_SERVER);
    table.touch(row, now);
    if (verdict === 'forwarded' && !isAssisted) kernelPath.learn(row);
    return rest && verdict === 'forwarded' ? this.#follow(rest, destination, connection) : verdict;
  }

  /** Sends a destination's packet that belongs to the one before it. */
  #follow(packet: Packet, destination: RealDestination, connection: Connection): Verdict {
    const { total, forwarding } = this.#core;
    countOut(packet, destination, total);
    return methods[MASQ]!.reply!(packet, connection, forwarding);
  }

  /**
   * Tracks a reply that bypasses address translation, because the server's gateway is here; leaves it to the
   * host.
   */
  #observeReply(row: Row, packet: Packet, now: number): Verdict {
    if (packet.ttl <= 1) return 'pass';
    const destination = destinationOf(this.#core, row);
    countOut(packet, destination, this.#core.total);
    track(this.#core, row, packet, FROM_SERVER);
    this.#core.table.touch(row, now);
    return 'pass';
  }
}

/** Reports whether the forwarding method answers this verdict with an ICMP error. */
const isAnswered = (verdict: Verdict): boolean =>
  verdict === 'ttl-exceeded' || verdict === 'too-big' || verdict === 'no-route';

/**
 * Reports whether it is a SYN or SYN+ACK: a program must not track the answer to it first, since the state would be that of
 * a new connection afterwards. The order of other packets leaves the same state.
 */
const hasSyn = ({ protocol, hasHeader, tcpFlags }: Packet): boolean =>
  protocol === TCP && hasHeader && (tcpFlags & SYN) !== 0;

/** Reports whether the packet opens a connection. */
const isFirst = (packet: Packet): boolean =>
  hasSyn(packet) || (packet.protocol === SCTP && packet.sctpChunk === SCTP_INIT);
