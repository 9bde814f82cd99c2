/** The path of a packet: decode, reassemble, find or admit a connection, track its state, forward. */

import { refuseHopBack, settleHeader } from '../../forwarding/hop.ts';
import { sendPortUnreachable, sendReassemblyTimeout } from '../../forwarding/icmp.ts';
import { forwardingMethods } from '../../forwarding/index.ts';
import { NONE, type Row } from '../../model/connection.ts';
import type { Verdict } from '../../model/verdict.ts';
import { Frame } from '../../wire/frame.ts';
import { ICMP } from '../../wire/icmp.ts';
import { ICMP6 } from '../../wire/icmp6.ts';
import { ESP, IKE_PORT, isIpsec } from '../../wire/ipsec.ts';
import { ipv4 } from '../../wire/ipv4.ts';
import { AUTHENTICATION, ipv6 } from '../../wire/ipv6.ts';
import { Packet } from '../../wire/packet.ts';
import { SCTP, SCTP_ABORT, SCTP_INIT } from '../../wire/sctp.ts';
import { RST, SYN, TCP } from '../../wire/tcp.ts';
import { UDP } from '../../wire/udp.ts';
import { BoundConnection, METHODS } from '../bound-connection.ts';
import { MASQ } from '../connections.ts';
import { type Core, destinationOf } from '../core.ts';
import type { RealDestination } from '../service.ts';
import { countErrorIn, countErrorOut, countIn, countOut } from '../traffic.ts';
import { Admission } from './admission.ts';
import { Arrival } from './arrival.ts';
import { end } from './connection-lifecycle.ts';
import { Reassembler } from './fragments.ts';
import { enterHopByHop, enterOptions, hasHopByHop, hasOptions, sourceOfErrors } from './header-options.ts';
import { RelatedErrors } from './related.ts';
import { SCTP_CLOSED } from './sctp-state.ts';
import {
  FROM_CLIENT,
  FROM_SERVER,
  TCP_CLOSE,
  TCP_ESTABLISHED,
  TCP_FIN_WAIT,
  TCP_TIME_WAIT,
} from './tcp-state.ts';
import { track } from './tracking.ts';

/** Bit of conn_reuse_mode: a half-closed connection of dr or tunnel is replaced, too. */
const REUSE_FIN_WAIT = 2;

/** Forwarding methods, indexed by their number in a connection's flags. */
const methods = METHODS.map((name) => forwardingMethods[name]);

/** One per director. Keeps nothing of a packet after it was handled, except fragments. */
export class Datapath {
  readonly #core: Core;
  readonly #admission: Admission;
  readonly #related: RelatedErrors;
  readonly #reassembler: Reassembler;
  readonly #connection: BoundConnection;
  readonly #packet = new Packet();
  readonly #arrival = new Arrival();

  constructor(core: Core, reassembler = new Reassembler()) {
    this.#core = core;
    this.#reassembler = reassembler;
    this.#connection = new BoundConnection(core.table);
    this.#admission = new Admission(core);
    this.#related = new RelatedErrors(core, this.#admission, this.#connection);
  }

  /** Returns a datapath for another state, with copies of the waiting fragments. */
  fork(core: Core): Datapath {
    return new Datapath(core, this.#reassembler.copy());
  }

  /** The subject of the last verdict: the handled frame, or the datagram that it completed. */
  subject = new Frame(0);

  /**
   * Handles one IP packet. In this order, the first match decides:
   *   1. decode; verify the IPv4 header checksum (RFC 1812 section 5.2.2): malformed
   *   2. reassemble fragments: waiting, fragment-*
   *   3. ICMP errors: translate, and forward to the connection's peer (related.ts)
   *   4. known connection, client to server: #request
   *   5. known connection, server to client (NAT): #reply
   *   6. known connection, reply that passes by the director (dr, tunnel): #watch
   *   7. packet for a virtual service: schedule, create a connection: #admit
   *   8. everything else is left to the host: pass
   * State, counters, timers and the kernel path are updated in 4 to 7, after the packet was sent.
   */
  handle(frame: Frame, now: number): Verdict {
    this.subject = frame;
    const packet = this.#packet;
    if (!packet.decode(frame)) return 'malformed';
    // RFC 1812 section 5.2.2: no field of a damaged header is reliable.
    if (packet.version === 4 && !ipv4.checksumHolds(frame, packet.network)) return 'malformed';
    if (hasHopByHop(packet) && this.#mayBeOurs(packet)) {
      const refusal = enterHopByHop(packet, this.#core.forwarding);
      if (refusal !== undefined) return refusal;
    }
    const isFragment = packet.moreFragments || packet.fragmentOffset !== 0 || packet.fragmentHeader !== 0;
    const verdict = isFragment ? this.#handleFragment(packet, now) : this.#handleWhole(packet, now);
    if (verdict === 'pass') settleHeader(packet);
    return verdict;
  }

  /** Discards old fragments. */
  expire(now: number): void {
    this.#core.drops['fragment-incomplete'] += this.#reassembler.expire(now, this.#sendTimeout);
  }

  /** Sends the sender of a datagram an error: its other fragments did not arrive (RFC 792, RFC 4443 section 3.3). */
  readonly #sendTimeout = (first: Frame): void => {
    const packet = this.#packet;
    const { forwarding } = this.#core;
    if (!packet.decode(first)) return;
    sendReassemblyTimeout(packet, sourceOfErrors(packet, packet.dst, forwarding), forwarding);
  };

  /** True for what could be of a service, as far as its addresses tell. */
  #mayBeOurs(packet: Packet): boolean {
    const { services, destinations, marks } = this.#core;
    if (!services.serves(packet.version === 6 ? 6 : 4)) return false;
    if (marks.rules.length > 0) return true;
    return services.addresses.mayHave(packet.dst) || destinations.addresses.mayHave(packet.src);
  }

  #handleFragment(packet: Packet, now: number): Verdict {
    if (!this.#mayBeOurs(packet)) return 'pass';
    const isRouted = packet.version === 4 && !this.#core.forwarding.host.isLocal(packet.dst);
    if (isRouted) {
      // A router looks at each IPv4 fragment, and knows nothing of ESP.
      const refusal = this.#enterRouter(packet);
      if (refusal !== undefined) return refusal;
      if (isIpsec(packet.protocol)) return this.#handleWhole(packet, now);
    }
    // What Linux 6.1 puts together for a local address it does not keep apart in IPv4 (ip_frag_reasm).
    const whole = this.#reassembler.add(packet, now, packet.version === 6 || isRouted);
    if (typeof whole === 'string') return whole;
    whole.ingress = packet.frame.ingress;
    this.subject = whole;
    return packet.decode(whole) ? this.#handleWhole(packet, now) : 'malformed';
  }

  /** Refuses a fragment that could not leave as it is. */
  #enterRouter(packet: Packet): Verdict | undefined {
    const { forwarding } = this.#core;
    const mtu = forwarding.host.route(packet.dst)?.mtu ?? Number.POSITIVE_INFINITY;
    const back = forwarding.host.route(packet.src)?.source ?? packet.dst;
    return refuseHopBack(packet, mtu, back, forwarding);
  }

  #handleWhole(packet: Packet, now: number): Verdict {
    const { services, settings, isBackup } = this.#core;
    if (!services.serves(packet.family)) return 'pass';
    if (isBackup && settings.backup_only !== 0) return 'pass';
    switch (packet.protocol) {
      case TCP:
      case UDP:
      case SCTP:
        if (!packet.hasPorts) return this.#handleTruncated(packet);
        return this.#handleFlow(packet, packet.protocol, packet.srcPort, packet.dstPort, now);
      case ESP:
      case AUTHENTICATION:
        return this.#handleFlow(packet, UDP, IKE_PORT, IKE_PORT, now);
      case ICMP:
        return packet.version === 4 ? this.#related.handle(packet, now) : 'pass';
      case ICMP6:
        return packet.version === 6 ? this.#related.handle(packet, now) : 'pass';
      default:
        return 'pass';
    }
  }

  /**
   * Returns the verdict on a truncated transport header: it is not a request; if it is for another host, it
   * is routed by its address.
   */
  #handleTruncated({ dst }: Packet): Verdict {
    return this.#core.forwarding.host.isLocal(dst) ? 'malformed' : 'pass';
  }

  /** Handles a packet whose connection has `protocol` and these ports. */
  #handleFlow(packet: Packet, protocol: number, srcPort: number, dstPort: number, now: number): Verdict {
    const { table, destinations, services, marks } = this.#core;
    const { host } = this.#core.forwarding;
    const { src, dst } = packet;
    const refusal =
      hasOptions(packet) && host.isLocal(dst) ? enterOptions(packet, dst, this.#core.forwarding) : undefined;
    if (refusal !== undefined) return refusal;
    const request = table.findFromClient(protocol, src, srcPort, dst, dstPort);
    if (request !== NONE) return this.#request(request, packet, now);
    // Excluding the sender as a destination is cheaper than a lookup in a large table.
    if (destinations.addresses.mayHave(src)) {
      const reply = table.findFromDestination(protocol, src, srcPort, dst, dstPort);
      if (reply !== NONE) return this.#reply(reply, packet, now);
    }
    if (services.addresses.mayHave(src) || marks.rules.length > 0) {
      const passing = table.findFromClient(protocol, dst, dstPort, src, srcPort);
      if (passing !== NONE && this.#methodOf(passing) !== MASQ) return this.#watch(passing, packet, now);
    }
    return this.#admit(packet, now);
  }

  /** Handles a packet from the client of a known connection. */
  #request(row: Row, packet: Packet, now: number): Verdict {
    const { settings } = this.#core;
    const destination = destinationOf(this.#core, row);
    if (isFirst(packet) && this.#givesWay(row, destination)) {
      this.#core.counts.reused++;
      return this.#replace(row, packet, now);
    }
    if (destination.available) return this.#forward(row, destination, packet, now);
    if (settings.expire_nodest_conn === 0) return 'destination-gone';
    end(this.#core, row);
    return this.#admit(packet, now);
  }

  /**
   * Replaces a connection: the old one still counts while the new one is scheduled, and is kept when that
   * fails.
   */
  #replace(row: Row, packet: Packet, now: number): Verdict {
    const { table, offload } = this.#core;
    const { protocol, src, srcPort, dst, dstPort } = packet;
    // Before the timer: what the kernel path has yet to report would restart it.
    offload.remove(row);
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
  #givesWay(row: Row, destination: RealDestination): boolean {
    const { settings, table } = this.#core;
    if (settings.expire_nodest_conn !== 0 && destination.weight === 0) return true;
    const mode = settings.conn_reuse_mode;
    if (mode === 0 || table.template(row) !== NONE) return false;
    const state = table.state(row);
    if (table.protocol(row) === SCTP) return state === SCTP_CLOSED;
    if (state === TCP_TIME_WAIT || state === TCP_CLOSE) return true;
    const isHalfSeen = table.isHalfSeen(row);
    return (mode & REUSE_FIN_WAIT) !== 0 && state === TCP_FIN_WAIT && isHalfSeen;
  }

  #admit(packet: Packet, now: number): Verdict {
    const { marks, settings } = this.#core;
    if (isIpsec(packet.protocol)) return 'pass';
    const started = this.#startedByServer(packet, now);
    if (started !== undefined) return started;
    if (settings.nat_icmp_send !== 0 && this.#isStray(packet)) return this.#refuseStray(packet);
    // The beginning of a connection requires a complete header, and in SCTP a chunk.
    if (!packet.hasHeader || (packet.protocol === SCTP && packet.sctpChunk < 0))
      return this.#handleTruncated(packet);
    const admitted = this.#admission.admit(this.#arrival.set(packet, marks.of(packet), now));
    if (typeof admitted !== 'number') return admitted;
    return this.#forward(admitted, destinationOf(this.#core, admitted), packet, now);
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

  /** Sends a client's packet to its connection's destination. */
  #forward(row: Row, destination: RealDestination, packet: Packet, now: number): Verdict {
    const { table, total, forwarding } = this.#core;
    countIn(packet, destination, total);
    track(this.#core, row, packet, FROM_CLIENT, destination);
    table.addPackets(row, 1);
    const method = table.method(row);
    const connection = this.#connection.select(row, destination);
    const verdict = methods[method]!.request(packet, connection, forwarding);
    if (table.isOnePacket(row)) {
      end(this.#core, row);
      return verdict;
    }
    if (verdict !== 'forwarded' && method !== MASQ && isTold(verdict))
      countErrorOut(packet, destination, total);
    table.touch(row, now);
    if (verdict === 'forwarded') this.#offer(row, packet.protocol);
    return verdict;
  }

  /** Sends a destination's packet to its connection's client. */
  #reply(row: Row, packet: Packet, now: number): Verdict {
    const { table, total, forwarding } = this.#core;
    const destination = destinationOf(this.#core, row);
    const connection = this.#connection.select(row, destination);
    const refusal = hasOptions(packet) ? enterOptions(packet, connection.vaddr, forwarding) : undefined;
    if (refusal !== undefined) return refusal;
    const verdict = methods[MASQ]!.reply!(packet, connection, forwarding);
    const isRefusedLate = verdict === 'too-big' && packet.frame.keepsDontFragment;
    // Linux routes a reply before it balances it: a reply that the router rejects is not counted.
    if (isTold(verdict) && !isRefusedLate) return verdict;
    table.touch(row, now);
    if (verdict === 'malformed') return verdict;
    if (isRefusedLate) countErrorIn(packet, destination, total);
    countOut(packet, destination, total);
    track(this.#core, row, packet, FROM_SERVER, destination);
    table.touch(row, now);
    // Replies from a removed destination are still translated, but the flow is not offloaded: requests to it
    // must keep reaching the director.
    if (verdict === 'forwarded' && destination.available) this.#offer(row, packet.protocol);
    return verdict;
  }

  /** Offers the connection to the kernel path, when its packets do not change its state. */
  #offer(row: Row, protocol: number): void {
    const { table, offload } = this.#core;
    if (protocol === UDP || (protocol === TCP && table.state(row) === TCP_ESTABLISHED)) offload.install(row);
  }

  /**
   * Tracks a reply that bypasses address translation, because the server's gateway is here; leaves it to the
   * host.
   */
  #watch(row: Row, packet: Packet, now: number): Verdict {
    if (packet.ttl <= 1) return 'pass';
    const destination = destinationOf(this.#core, row);
    countOut(packet, destination, this.#core.total);
    track(this.#core, row, packet, FROM_SERVER, destination);
    this.#core.table.touch(row, now);
    return 'pass';
  }

  /** Returns the number of the row's forwarding method. */
  #methodOf(row: Row): number {
    return this.#core.table.method(row);
  }
}

/** Reports whether the forwarding method answers this verdict with an ICMP error. */
const isTold = (verdict: Verdict): boolean =>
  verdict === 'ttl-exceeded' || verdict === 'too-big' || verdict === 'no-route';

/** True for what opens a connection where there is none. */
const isFirst = ({ protocol, hasHeader, tcpFlags, sctpChunk }: Packet): boolean =>
  protocol === TCP ? hasHeader && (tcpFlags & SYN) !== 0 : protocol === SCTP && sctpChunk === SCTP_INIT;
