/** Packets of any shape for properties: both IP versions, TCP, UDP and SCTP, options and extension headers. */
import fc from 'fast-check';
import type { Address } from '../../src/wire/address.ts';
import { addressFromV4 } from '../../src/wire/address.ts';
import { Frame, HEADROOM } from '../../src/wire/frame.ts';
import { DONT_FRAGMENT, IPV4_HEADER, ipv4 } from '../../src/wire/ipv4.ts';
import { DESTINATION_OPTIONS, HOP_BY_HOP, IPV6_HEADER, ipv6 } from '../../src/wire/ipv6.ts';
import { Packet } from '../../src/wire/packet.ts';
import { SCTP, SCTP_HEADER, sctp } from '../../src/wire/sctp.ts';
import { ACK, TCP, TCP_HEADER, tcp } from '../../src/wire/tcp.ts';
import { recompute } from '../../src/wire/transport-checksum.ts';
import { UDP, UDP_HEADER, udp } from '../../src/wire/udp.ts';

export interface Datagram {
  readonly version: 4 | 6;
  readonly protocol: number;
  readonly src: Address;
  readonly dst: Address;
  readonly srcPort: number;
  readonly dstPort: number;
  readonly ttl: number;
  readonly tos: number;
  readonly id: number;
  readonly dontFragment: boolean;
  /** Octets, a multiple of 8: IPv4 options, or IPv6 hop-by-hop and destination options of that length each. */
  readonly options: number;
  readonly data: Uint8Array;
}

const v4 = fc.integer({ min: 0x0b000001, max: 0x7effffff }).map((word) => addressFromV4(word));
const v6 = fc
  .tuple(fc.nat(0xffffff), fc.nat(), fc.nat(), fc.nat())
  .map(([a, b, c, d]) => Uint32Array.of(0x20000000 | a, b, c, d));
const port = fc.integer({ min: 1, max: 65_535 });

/** Datagrams of at most `most` octets of payload. */
export const datagram = (most = 64): fc.Arbitrary<Datagram> =>
  fc.constantFrom<4 | 6>(4, 6).chain((version) => {
    const address = version === 4 ? v4 : v6;
    return fc.record({
      version: fc.constant(version),
      protocol: fc.constantFrom(TCP, UDP, SCTP),
      src: address,
      dst: address,
      srcPort: port,
      dstPort: port,
      ttl: fc.integer({ min: 2, max: 255 }),
      tos: fc.nat(255),
      id: fc.nat(0xffff),
      dontFragment: fc.boolean(),
      options: fc.constantFrom(0, 0, 8, 16),
      data: fc.uint8Array({ maxLength: most }),
    });
  });

/** Another address of the same family as the datagram's. */
export const addressLike = (version: 4 | 6): fc.Arbitrary<Address> => (version === 4 ? v4 : v6);

const HEADERS: Readonly<Record<number, number>> = {
  [TCP]: TCP_HEADER,
  [UDP]: UDP_HEADER,
  [SCTP]: SCTP_HEADER,
};

/** The datagram as a packet in a frame, decoded, all checksums right. */
export function packetOf(datagram: Datagram): Packet {
  const { version, protocol, srcPort, dstPort, data, options } = datagram;
  const frame = new Frame();
  const header = version === 4 ? IPV4_HEADER + options : IPV6_HEADER + 2 * options;
  const transport = HEADROOM + header;
  const length = HEADERS[protocol]! + data.length;
  frame.end = transport + length;
  frame.bytes.set(data, transport + HEADERS[protocol]!);
  if (protocol === TCP) {
    const position = { sequence: 1, acknowledgement: 2, window: 1000 };
    tcp.write(frame, transport, { srcPort, dstPort, flags: ACK, ...position });
  } else if (protocol === UDP) udp.write(frame, transport, srcPort, dstPort, length);
  else sctp.write(frame, transport, srcPort, dstPort, 7);
  if (version === 4) writeIpv4(frame, datagram, header + length);
  else writeIpv6(frame, datagram, transport, length);
  const packet = new Packet();
  if (!packet.decode(frame)) throw new Error('a datagram that does not decode');
  recompute(packet);
  return packet;
}

function writeIpv4(frame: Frame, datagram: Datagram, totalLength: number): void {
  const { tos, id, dontFragment, ttl, protocol, src, dst, options } = datagram;
  const fragment = dontFragment ? DONT_FRAGMENT : 0;
  ipv4.write(frame, HEADROOM, { totalLength, tos, id, fragment, ttl, protocol, src, dst });
  // Record route, which only the first fragment carries, filled up with the end of the options.
  if (options > 0) frame.bytes.set([7, 7, 4], HEADROOM + IPV4_HEADER);
  frame.bytes[HEADROOM] = 0x40 | ((IPV4_HEADER + options) / 4);
  ipv4.recompute(frame, HEADROOM);
}

function writeIpv6(frame: Frame, datagram: Datagram, transport: number, length: number): void {
  const { tos, ttl, src, dst, protocol, options } = datagram;
  ipv6.write(frame, HEADROOM, {
    payloadLength: 2 * options + length,
    trafficClass: tos,
    nextHeader: options > 0 ? HOP_BY_HOP : protocol,
    hopLimit: ttl,
    src,
    dst,
  });
  if (options === 0) return;
  // PadN fills each (RFC 8200 section 4.2).
  const pad = [options / 8 - 1, 1, options - 4];
  frame.bytes.set([DESTINATION_OPTIONS, ...pad], transport - 2 * options);
  frame.bytes.set([protocol, ...pad], transport - options);
}
