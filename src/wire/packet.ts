/** Decodes the fields of a packet that scheduling needs: five-tuple, offsets, flags, fragment. */
import type { Address } from './address.ts';
import type { Frame } from './frame.ts';
import { ICMP, ICMP_HEADER, icmp, isIcmp } from './icmp.ts';
import { ICMP6 } from './icmp6.ts';
import { ESP } from './ipsec.ts';
import { DONT_FRAGMENT, FRAGMENT_OFFSET, IPV4_HEADER, ipv4, MORE_FRAGMENTS } from './ipv4.ts';
import { extensionLength, FRAGMENT, IPV6_HEADER, ipv6, isExtension, MAX_EXTENSION_HEADERS } from './ipv6.ts';
import { isSctp, SCTP, SCTP_HEADER, sctp } from './sctp.ts';
import { isTcp, TCP, TCP_FLAGS, TCP_HEADER, tcp } from './tcp.ts';
import { isUdp, UDP, UDP_HEADER, udp } from './udp.ts';

/** Bytes at the beginning of TCP, UDP and SCTP that hold both ports. */
const PORTS = 4;

const hasPortsFirst = (protocol: number): boolean =>
  protocol === TCP || protocol === UDP || protocol === SCTP;

/** Reasons why a packet is not a well-formed IP packet. */
export const DECODE_ERRORS = {
  truncated: 'the packet ends before its header does',
  'unknown-version': 'neither IPv4 nor IPv6',
  'bad-header-length': 'the header length is below 20 bytes',
  'bad-total-length': 'the length field contradicts the header length or the bytes received',
  'bad-extension-header': 'an extension header extends beyond the packet',
  'too-many-extension-headers': 'more than 12 extension headers',
} as const;
export type DecodeError = keyof typeof DECODE_ERRORS;

/**
 * A decoded packet; reused. `decode` fills it from a frame, `decodeQuoted` from the packet that an ICMP error
 * quotes, which may be truncated. All offsets are offsets into `frame.bytes`.
 */
export class Packet {
  frame!: Frame;
  /** 0: not a well-formed IP packet, and only `error` is valid. */
  version: 0 | 4 | 6 = 0;
  /** Why the packet is not well formed; undefined after it was decoded. */
  error: DecodeError | undefined;
  /** The first protocol that is not an IPv6 extension header (RFC 8200 section 4). */
  protocol = 0;
  readonly src: Address = new Uint32Array(4);
  readonly dst: Address = new Uint32Array(4);
  /**
   * Valid if protocol is TCP, UDP or SCTP and this is not a later fragment; otherwise 0. For a later fragment
   * that an ICMP error quotes: its first bytes, which Linux 6.1 reads as ports (ip_vs_in_icmp).
   */
  srcPort = 0;
  dstPort = 0;
  /** Reports whether srcPort and dstPort are from the packet. */
  hasPorts = false;
  /**
   * Reports whether the transport header is complete, whatever its lengths are; false for unknown protocols.
   */
  hasHeader = false;
  /**
   * The transport header is truncated, or its lengths contradict the packet's. Ports may be present
   * nevertheless. Never set for a later fragment, nor for protocols other than TCP, UDP, SCTP, ICMP and
   * ICMPv6. Usual in a quoted packet, which is truncated.
   */
  malformed = false;
  /** Offset of the IP header. */
  network = 0;
  /** Offset of the transport header (in a later fragment: of its payload). */
  transport = 0;
  /** Offset of the transport header's payload; equal to `transport` when it is unknown. */
  payload = 0;
  /** Offset after the IP packet's last byte by its length fields; the rest of the frame is padding. */
  end = 0;
  /** Hop limit in IPv6. */
  ttl = 0;
  /** TOS byte, or traffic class. */
  tos = 0;
  /** IPv4: DF is set. Always true for IPv6: routers do not fragment it. */
  dontFragment = false;
  /** Bytes of the datagram before this fragment. */
  fragmentOffset = 0;
  moreFragments = false;
  /** Offset of the IPv6 fragment header; 0 without one. */
  fragmentHeader = 0;
  /** TCP flags byte; valid if protocol is TCP and this is not a later fragment. */
  tcpFlags = 0;
  /** ICMP or ICMPv6 type and code; valid for these protocols if this is not a later fragment. */
  icmpType = 0;
  icmpCode = 0;
  /** Type of the first chunk; valid if protocol is SCTP and this is not a later fragment; -1 without one. */
  sctpChunk = -1;

  /**
   * Decodes the IP packet in the frame. Returns true when it is well formed as an IP packet (`malformed` is
   * about its transport header), otherwise false with the reason in `error`. Does not verify the IPv4 header
   * checksum: `ipv4.checksumHolds` does. A later fragment and an unknown protocol are well formed, with ports
   * 0.
   */
  decode(frame: Frame): boolean {
    return this.#decode(frame, frame.start, frame.end, false);
  }

  /**
   * Decodes the packet that an ICMP error quotes, frame.bytes[at, end), whose length field may exceed the
   * quotation. Sets `hasPorts` when 4 bytes of the transport header are present, and tcpFlags, icmpType and
   * sctpChunk only when they are.
   */
  decodeQuoted(frame: Frame, at: number, end: number): boolean {
    return this.#decode(frame, at, Math.min(end, frame.end), true);
  }

  /** IP version of a decoded packet. */
  get family(): 4 | 6 {
    return this.version === 6 ? 6 : 4;
  }

  #fail(error: DecodeError): false {
    this.error = error;
    return false;
  }

  #decode(frame: Frame, at: number, end: number, quoted: boolean): boolean {
    this.frame = frame;
    this.network = at;
    this.version = 0;
    this.error = undefined;
    this.fragmentOffset = 0;
    this.moreFragments = false;
    this.fragmentHeader = 0;
    if (at < 0 || end <= at) return this.#fail('truncated');
    const version = ipv4.version(frame, at);
    if (version !== 4 && version !== 6) return this.#fail('unknown-version');
    const isWellFormed =
      version === 4 ? this.#decodeIpv4(frame, at, end, quoted) : this.#decodeIpv6(frame, at, end, quoted);
    if (!isWellFormed) return false;
    this.version = version;
    this.#decodeTransport(frame, quoted);
    return true;
  }

  #decodeIpv4(frame: Frame, at: number, end: number, quoted: boolean): boolean {
    if (end - at < IPV4_HEADER) return this.#fail('truncated');
    const headerLength = ipv4.headerLength(frame, at);
    const totalLength = ipv4.totalLength(frame, at);
    if (headerLength < IPV4_HEADER) return this.#fail('bad-header-length');
    if (headerLength > end - at) return this.#fail('truncated');
    if (totalLength < headerLength) return this.#fail('bad-total-length');
    if (totalLength > end - at && !quoted) return this.#fail('bad-total-length');
    this.end = Math.min(end, at + totalLength);
    this.transport = at + headerLength;
    this.tos = ipv4.tos(frame, at);
    this.ttl = ipv4.ttl(frame, at);
    this.protocol = ipv4.protocol(frame, at);
    const fragment = ipv4.fragment(frame, at);
    this.dontFragment = (fragment & DONT_FRAGMENT) !== 0;
    this.moreFragments = (fragment & MORE_FRAGMENTS) !== 0;
    this.fragmentOffset = (fragment & FRAGMENT_OFFSET) * 8;
    const { src, dst } = this;
    src[0] = 0;
    src[1] = 0;
    src[2] = 0xffff;
    src[3] = ipv4.src(frame, at);
    dst[0] = 0;
    dst[1] = 0;
    dst[2] = 0xffff;
    dst[3] = ipv4.dst(frame, at);
    return true;
  }

  #decodeIpv6(frame: Frame, at: number, end: number, quoted: boolean): boolean {
    if (end - at < IPV6_HEADER) return this.#fail('truncated');
    const length = IPV6_HEADER + ipv6.payloadLength(frame, at);
    if (length > end - at && !quoted) return this.#fail('bad-total-length');
    this.end = Math.min(end, at + length);
    this.tos = ipv6.trafficClass(frame, at);
    this.ttl = ipv6.hopLimit(frame, at);
    this.dontFragment = true;
    ipv6.readSrc(frame, at, this.src);
    ipv6.readDst(frame, at, this.dst);
    this.protocol = ipv6.nextHeader(frame, at);
    this.transport = at + IPV6_HEADER;
    return this.#skipExtensions(frame, quoted);
  }

  /** Advances to the transport header, or in a later fragment to the data after the fragment header. */
  #skipExtensions(frame: Frame, quoted: boolean): boolean {
    for (let i = 0; i < MAX_EXTENSION_HEADERS; i++) {
      if (!isExtension(this.protocol) || this.fragmentOffset !== 0) return true;
      const at = this.transport;
      const length = extensionLength(frame, at, this.protocol, this.end);
      if (length < 0) {
        if (this.#isCutBeforeEsp(frame, at)) return true;
        return quoted || this.#fail('bad-extension-header');
      }
      if (this.protocol === FRAGMENT) {
        this.fragmentHeader = at;
        this.fragmentOffset = ipv6.fragmentOffset(frame, at);
        this.moreFragments = ipv6.moreFragments(frame, at);
      }
      this.protocol = ipv6.extensionNext(frame, at);
      this.transport = at + length;
    }
    return !isExtension(this.protocol) || this.#fail('too-many-extension-headers');
  }

  /**
   * Reports whether the truncated extension header at `at` announces ESP, and if so advances to it. Linux 6.1
   * (ipv6_find_hdr) reads no more than two bytes of such a header, and ESP is handled by its protocol alone.
   */
  #isCutBeforeEsp(frame: Frame, at: number): boolean {
    if (this.protocol === FRAGMENT || this.end - at < 2 || ipv6.extensionNext(frame, at) !== ESP)
      return false;
    this.protocol = ESP;
    this.transport = this.end;
    return true;
  }

  #decodeTransport(frame: Frame, quoted: boolean): void {
    const { transport: at, end } = this;
    this.srcPort = 0;
    this.dstPort = 0;
    this.hasPorts = false;
    this.hasHeader = false;
    this.malformed = false;
    this.payload = at;
    this.tcpFlags = 0;
    this.icmpType = 0;
    this.icmpCode = 0;
    this.sctpChunk = -1;
    if (this.fragmentOffset !== 0) {
      if (quoted && this.version === 4 && hasPortsFirst(this.protocol)) this.#decodePorts(frame);
      return;
    }
    switch (this.protocol) {
      case TCP:
        this.#decodePorts(frame);
        if (end - at > TCP_FLAGS) this.tcpFlags = tcp.flags(frame, at);
        this.hasHeader = end - at >= TCP_HEADER;
        this.malformed = !isTcp(frame, at, end);
        if (!this.malformed) this.payload = at + tcp.headerLength(frame, at);
        return;
      case UDP:
        this.#decodePorts(frame);
        this.hasHeader = end - at >= UDP_HEADER;
        this.malformed = this.moreFragments ? !this.hasHeader : !isUdp(frame, at, end);
        if (this.hasHeader) this.payload = at + UDP_HEADER;
        return;
      case SCTP:
        this.#decodePorts(frame);
        this.sctpChunk = sctp.firstChunk(frame, at, end);
        this.hasHeader = isSctp(at, end);
        this.malformed = !this.hasHeader;
        if (this.hasHeader) this.payload = at + SCTP_HEADER;
        return;
      case ICMP:
      case ICMP6:
        if (this.protocol !== (this.version === 4 ? ICMP : ICMP6)) return;
        this.#decodeIcmp(frame);
        return;
    }
  }

  #decodePorts(frame: Frame): void {
    if (this.end - this.transport < PORTS) return;
    this.hasPorts = true;
    this.srcPort = udp.srcPort(frame, this.transport);
    this.dstPort = udp.dstPort(frame, this.transport);
  }

  #decodeIcmp(frame: Frame): void {
    const { transport: at, end } = this;
    if (end - at >= 2) {
      this.icmpType = icmp.type(frame, at);
      this.icmpCode = icmp.code(frame, at);
    }
    this.hasHeader = isIcmp(at, end);
    this.malformed = !this.hasHeader;
    if (this.hasHeader) this.payload = at + ICMP_HEADER;
  }
}
