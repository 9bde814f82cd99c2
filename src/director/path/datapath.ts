/** The path of a packet: decodes and reassembles it, then passes it to the path of its connection, or of ICMP errors. */

import { refuseHopBack, settleHeader } from '../../forwarding/hop.ts';
import { sendReassemblyTimeout } from '../../forwarding/icmp.ts';
import type { Verdict } from '../../model/verdict.ts';
import { Frame } from '../../wire/frame.ts';
import { ICMP } from '../../wire/icmp.ts';
import { ICMP6 } from '../../wire/icmp6.ts';
import { ESP, IKE_PORT, isIpsec } from '../../wire/ipsec.ts';
import { ipv4 } from '../../wire/ipv4.ts';
import { AUTHENTICATION } from '../../wire/ipv6.ts';
import { Packet } from '../../wire/packet.ts';
import { SCTP } from '../../wire/sctp.ts';
import { TCP } from '../../wire/tcp.ts';
import { UDP } from '../../wire/udp.ts';
import { BoundConnection } from '../bound-connection.ts';
import type { Core } from '../core.ts';
import { Admission } from './admission.ts';
import { ConnectionPath, refuseTruncated } from './connection-path.ts';
import { Reassembler } from './fragments.ts';
import { enterHopByHop, hasHopByHop, sourceOfErrors } from './header-options.ts';
import { RelatedErrors } from './related.ts';

/** One per director. Keeps nothing of a packet after it was handled, except fragments. */
export class Datapath {
  readonly #core: Core;
  readonly #connections: ConnectionPath;
  readonly #related: RelatedErrors;
  readonly #reassembler: Reassembler;
  readonly #packet = new Packet();

  constructor(core: Core, reassembler = new Reassembler()) {
    this.#core = core;
    this.#reassembler = reassembler;
    const connection = new BoundConnection(core.table);
    const admission = new Admission(core);
    this.#connections = new ConnectionPath(core, admission, connection);
    this.#related = new RelatedErrors(core, admission, connection);
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
   *   4. packets with ports, and IPsec: the path of their connection (connection-path.ts)
   *   5. everything else is left to the host: pass
   */
  handle(frame: Frame, now: number): Verdict {
    this.subject = frame;
    const packet = this.#packet;
    // The host answers an invalid extension header, which hides the protocol (Linux 6.1, ip_vs_fill_iph_skb).
    if (!packet.decode(frame)) return packet.error === 'bad-extension-header' ? 'pass' : 'malformed';
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

  /** Reports whether the packet may belong to a service, judging by its addresses. */
  #mayBeOurs(packet: Packet): boolean {
    const { services, destinations, marks } = this.#core;
    if (!services.serves(packet.family)) return false;
    if (marks.rules.length > 0) return true;
    return services.addresses.mayHave(packet.dst) || destinations.addresses.mayHave(packet.src);
  }

  #handleFragment(packet: Packet, now: number): Verdict {
    if (!this.#mayBeOurs(packet)) return 'pass';
    const isRouted = packet.version === 4 && !this.#core.forwarding.host.isLocal(packet.dst);
    if (isRouted) {
      // A router checks each IPv4 fragment, and does not reassemble ESP.
      const refusal = this.#enterRouter(packet);
      if (refusal !== undefined) return refusal;
      if (isIpsec(packet.protocol, packet.version)) return this.#handleWhole(packet, now);
    }
    // Linux 6.1 does not keep the fragment boundaries of an IPv4 datagram for a local address (ip_frag_reasm).
    const whole = this.#reassembler.add(packet, now, packet.version === 6 || isRouted);
    if (typeof whole === 'string') return whole;
    whole.ingress = packet.frame.ingress;
    this.subject = whole;
    return packet.decode(whole) ? this.#handleWhole(packet, now) : 'malformed';
  }

  /** Refuses a fragment that a router could not forward unchanged. */
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
        if (!packet.hasPorts) return refuseTruncated(packet, this.#core.forwarding);
        return this.#connections.handle(packet, packet.protocol, packet.srcPort, packet.dstPort, now);
      case ESP:
      case AUTHENTICATION:
        return this.#connections.handle(packet, UDP, IKE_PORT, IKE_PORT, now);
      case ICMP:
        return packet.version === 4 ? this.#related.handle(packet, now) : 'pass';
      case ICMP6:
        return packet.version === 6 ? this.#related.handle(packet, now) : 'pass';
      default:
        return 'pass';
    }
  }
}
