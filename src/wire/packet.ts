/** The one decoding of a packet that scheduling needs: five-tuple, offsets, flags, fragment. */
import type { Address } from './address.ts';
import type { Frame } from './frame.ts';

/**
 * A decoded packet; reused, never kept. `decode` fills it from a frame, `decodeQuoted` from the packet that an
 * ICMP error quotes (where the end may be missing). All offsets are offsets into `frame.bytes`.
 */
export class Packet {
  frame!: Frame;
  /** 0: not a well-formed IP packet, and nothing else here is valid. */
  version: 0 | 4 | 6 = 0;
  /** The first protocol that is no IPv6 extension header (RFC 8200 section 4). */
  protocol = 0;
  readonly src: Address = new Uint32Array(4);
  readonly dst: Address = new Uint32Array(4);
  /** Valid iff protocol is TCP, UDP or SCTP and this is no later fragment; otherwise 0. */
  srcPort = 0;
  dstPort = 0;
  /** Offset of the IP header. */
  network = 0;
  /** Offset of the transport header (in a later fragment: of its first octet of payload). */
  transport = 0;
  /** Offset just past the IP packet's last octet by its own length fields; what follows in the frame is padding. */
  end = 0;
  /** Hop limit in IPv6. */
  ttl = 0;
  /** TOS octet, or traffic class. */
  tos = 0;
  /** IPv4: DF is set. Always true for IPv6: routers do not fragment it. */
  dontFragment = false;
  /** Octets before this fragment in its datagram. */
  fragmentOffset = 0;
  moreFragments = false;
  /** Offset of the IPv6 fragment header, 0 where there is none. */
  fragmentHeader = 0;
  /** TCP flags octet; valid iff protocol is TCP and no later fragment. */
  tcpFlags = 0;
  /** ICMP or ICMPv6 type and code; valid iff protocol is that and no later fragment. */
  icmpType = 0;
  icmpCode = 0;
  /** Type of the first chunk; valid iff protocol is SCTP and no later fragment; -1 where there is none. */
  sctpChunk = -1;
}
