import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { formatAddress, parseAddress } from '../../src/wire/address.ts';
import { ARP_REPLY, arp, isArp } from '../../src/wire/arp.ts';
import { ethernet, formatMac, parseMac, sameMac } from '../../src/wire/ethernet.ts';
import { isIcmpError } from '../../src/wire/icmp.ts';
import { icmp6 } from '../../src/wire/icmp6.ts';
import { DONT_FRAGMENT, ipv4, isIpv4 } from '../../src/wire/ipv4.ts';
import { ipv6, isIpv6, nextHeaderOctet } from '../../src/wire/ipv6.ts';
import { Packet } from '../../src/wire/packet.ts';
import { SYN, tcp } from '../../src/wire/tcp.ts';
import { checksumHolds } from '../../src/wire/transport-checksum.ts';
import { decoded, framed, frameOf, hex, lineOf } from '../support/packets.ts';

describe('IPv4 fields', () => {
  // The worked example of the header checksum that textbooks share: 192.168.0.1 > 192.168.0.199, UDP.
  const header = hex('4500 0073 0000 4000 4011 b861 c0a8 0001 c0a8 00c7');

  test('are read from a reference header', () => {
    const frame = framed(header);
    const at = frame.start;
    expect(isIpv4(frame, at)).toBe(false); // its payload is missing
    expect(ipv4.checksumHolds(frame, at)).toBe(true);
    expect([ipv4.totalLength(frame, at), ipv4.ttl(frame, at), ipv4.protocol(frame, at)]).toEqual([
      115, 64, 17,
    ]);
    expect(ipv4.fragment(frame, at)).toBe(DONT_FRAGMENT);
  });

  test('are written to equal the reference header', () => {
    const frame = framed(new Uint8Array(20).fill(0xee));
    ipv4.write(frame, frame.start, {
      totalLength: 115,
      fragment: DONT_FRAGMENT,
      ttl: 64,
      protocol: 17,
      src: parseAddress('192.168.0.1')!,
      dst: parseAddress('192.168.0.199')!,
    });
    expect(frame.copy()).toEqual(header);
  });

  test('keep the header checksum valid when any of them is set', () =>
    fc.assert(
      fc.property(
        fc.nat(0xffff),
        fc.nat(255),
        fc.nat(255),
        fc.nat(255),
        fc.nat(0xffff),
        fc.ipV4(),
        (word, ttl, tos, protocol, id, ip) => {
          const frame = framed(header);
          const at = frame.start;
          ipv4.setTotalLength(frame, at, word);
          ipv4.setTtl(frame, at, ttl);
          ipv4.setTos(frame, at, tos);
          ipv4.setProtocol(frame, at, protocol);
          ipv4.setId(frame, at, id);
          ipv4.setFragment(frame, at, word);
          ipv4.setSrc(frame, at, parseAddress(ip)!);
          ipv4.setDst(frame, at, parseAddress(ip)!);
          expect([
            ipv4.totalLength(frame, at),
            ipv4.ttl(frame, at),
            ipv4.tos(frame, at),
            ipv4.protocol(frame, at),
            ipv4.id(frame, at),
            ipv4.fragment(frame, at),
            ipv4.src(frame, at) >>> 0,
            ipv4.dst(frame, at) >>> 0,
            ipv4.headerLength(frame, at),
          ]).toEqual([word, ttl, tos, protocol, id, word, parseAddress(ip)![3], parseAddress(ip)![3], 20]);
          expect(ipv4.checksumHolds(frame, at)).toBe(true);
        },
      ),
    ));
});

describe('IPv6 fields', () => {
  test('do not overwrite each other', () => {
    const frame = frameOf('[fd00::1]:1 > [fd00::2]:2 UDP len=4 tos=3 ttl=7');
    const at = frame.start;
    expect([ipv6.trafficClass(frame, at), ipv6.flowLabel(frame, at), ipv6.hopLimit(frame, at)]).toEqual([
      3, 0, 7,
    ]);
    frame.view.setUint32(at, frame.view.getUint32(at) | 0xabcde);
    ipv6.setTrafficClass(frame, at, 0xb9);
    ipv6.setHopLimit(frame, at, 6);
    ipv6.setNextHeader(frame, at, 59);
    ipv6.setPayloadLength(frame, at, 8);
    expect([ipv6.version(frame, at), ipv6.trafficClass(frame, at), ipv6.flowLabel(frame, at)]).toEqual([
      6, 0xb9, 0xabcde,
    ]);
    expect([ipv6.hopLimit(frame, at), ipv6.nextHeader(frame, at), ipv6.payloadLength(frame, at)]).toEqual([
      6, 59, 8,
    ]);
    expect(isIpv6(frame, at)).toBe(true);
    expect(isIpv6(frame, at, at + 47)).toBe(false);
    const address = new Uint32Array(4);
    ipv6.readDst(frame, at, address);
    expect(formatAddress(address)).toBe('fd00::2');
  });

  test('include the byte that names the next header', () => {
    const packet = decoded('[fd00::1]:1 > [fd00::2]:2 UDP len=16 frag=0+ ipid=4294967295');
    const { frame, network, fragmentHeader, transport } = packet;
    expect(nextHeaderOctet(frame, network, fragmentHeader)).toBe(network + 6);
    expect(nextHeaderOctet(frame, network, transport)).toBe(fragmentHeader);
    expect(nextHeaderOctet(frame, network, transport + 8)).toBe(-1);
    expect(nextHeaderOctet(frame, network, fragmentHeader + 1)).toBe(-1);
    expect(ipv6.fragmentId(frame, fragmentHeader)).toBe(-1);
  });
});

describe('TCP', () => {
  /** A SYN with these options, checksum right. */
  const withOptions = (options: string): Packet => {
    const octets = hex(options);
    const line = `10.0.0.1:1 > 10.0.0.2:2 TCP SYN hex=${options.replaceAll(' ', '') || '00'}`;
    const packet = decoded(line);
    packet.frame.view.setUint8(packet.transport + 12, (5 + octets.length / 4) << 4);
    packet.decode(packet.frame);
    const { frame, transport } = packet;
    tcp.setChecksum(frame, transport, 0);
    const again = new Packet();
    again.decode(frame);
    // The header length is part of the checksum: recompute it.
    const total = decoded(line);
    frame.view.setUint16(transport + 16, fixed(total, again));
    return again;
  };
  /** The checksum of `now`, from that of `before`, whose only difference is the data offset word. */
  const fixed = (before: Packet, now: Packet): number => {
    const was = before.frame.view.getUint16(before.transport + 16);
    const from = before.frame.view.getUint16(before.transport + 12);
    const to = now.frame.view.getUint16(now.transport + 12);
    return (~(((~was & 0xffff) + (~from & 0xffff) + to) % 0xffff) & 0xffff) % 0xffff;
  };

  test.each([
    ['0204 05b4', 1460, true],
    ['0101 0402 0204 05b4', 1460, true],
    ['0103 0307 0204 05b4', 1460, true],
    ['0102 0405 b400 0000', 1460, true], // at an odd offset
    ['0101 0101', -1, false],
    ['0000 0204 05b4 0000', -1, false], // after the end of options
    ['0300 0204 05b4 0000', -1, false], // an option of no length
    ['0205 05b4 0000 0000', -1, false], // of a wrong length
    ['01fd 0402', -1, false], // beyond the header
    ['0101 0102', -1, false], // only a kind
  ])('parses the options %s: MSS %i', (options, mss, clamped) => {
    const packet = withOptions(options);
    const { frame, transport } = packet;
    expect(checksumHolds(packet)).toBe(true);
    expect(tcp.flags(frame, transport)).toBe(SYN);
    expect(tcp.mss(frame, transport)).toBe(mss);
    expect(tcp.clampMss(frame, transport, 1460)).toBe(false);
    expect(tcp.clampMss(frame, transport, 1440)).toBe(clamped);
    expect(tcp.mss(frame, transport)).toBe(clamped ? 1440 : mss);
    expect(checksumHolds(packet)).toBe(true);
  });
});

describe('ICMP', () => {
  test('counts the types that quote a packet as errors', () =>
    expect([0, 3, 4, 5, 8, 11, 12, 13, 17].filter(isIcmpError)).toEqual([3, 4, 5, 11, 12]));

  test('reads the MTU of "packet too big" as 32 bits', () => {
    const packet = decoded('fd00::1 > fd00::2 ICMP6 too-big mtu=70000 [fd00::2 > fd00::1 GRE]');
    expect(icmp6.mtu(packet.frame, packet.transport)).toBe(70000);
    icmp6.recompute(packet.frame, packet.transport, packet.end, packet.src, packet.dst);
    expect(checksumHolds(packet)).toBe(true);
  });
});

describe('Ethernet', () => {
  test('parses and prints MAC addresses', () => {
    const mac = parseMac('02:00:5E:10:00:ff')!;
    expect(formatMac(mac)).toBe('02:00:5e:10:00:ff');
    expect(sameMac(mac, 0, Uint8Array.of(9, ...mac), 1)).toBe(true);
    for (const text of ['', '02:00:5e:10:00', '02:00:5e:10:00:f', '02-00-5e-10-00-ff', '02:00:5e:10:00:fg'])
      expect(parseMac(text)).toBeUndefined();
  });

  test('finds a header only within the frame', () =>
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 40 }), fc.boolean(), (octets, tagged) => {
        if (tagged && octets.length > 13) octets.set([0x81, 0], 12);
        const frame = framed(octets);
        const length = ethernet.headerLength(frame, frame.start, frame.end);
        if (length >= 0) expect(length).toBeLessThanOrEqual(octets.length);
        else expect(octets.length < 14 || octets[12] === 0x81 || octets[12] === 0x88).toBe(true);
      }),
    ));
});

test('an ARP reply is the one of RFC 826 over Ethernet', () => {
  const frame = framed(hex('0001 0800 0604 0002 02000000 0a01 0a000002 020000000001 0a000001'));
  expect(isArp(frame, frame.start, frame.end)).toBe(true);
  expect(isArp(frame, frame.start, frame.end - 1)).toBe(false);
  expect(arp.operation(frame, frame.start)).toBe(ARP_REPLY);
  expect([arp.senderIp(frame, frame.start), arp.targetIp(frame, frame.start)]).toEqual([
    0x0a000002, 0x0a000001,
  ]);
  expect(formatMac(frame.bytes, arp.senderMac(frame.start))).toBe('02:00:00:00:0a:01');
  frame.bytes[frame.start + 1] = 6; // another kind of hardware
  expect(isArp(frame, frame.start, frame.end)).toBe(false);
});

test('text lines and packets convert to each other', () =>
  expect(lineOf(frameOf('10.0.0.1:1 > 10.0.0.2:2 SYN').copy())).toBe('10.0.0.1:1 > 10.0.0.2:2 TCP SYN'));
