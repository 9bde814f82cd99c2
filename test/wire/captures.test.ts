import { describe, expect, test } from 'vitest';
import { ipv4 } from '../../src/wire/ipv4.ts';
import { Packet } from '../../src/wire/packet.ts';
import { checksumHolds } from '../../src/wire/transport-checksum.ts';
import { capturedPackets, captures } from '../support/captures.ts';
import { framed, lineOf } from '../support/packets.ts';

test('captures exist', () => expect(captures.length).toBeGreaterThan(4));

describe.each(captures)('%s', (name) => {
  test('has only packets that decode completely with valid checksums', () => {
    const packet = new Packet();
    for (const octets of capturedPackets(name)) {
      expect(packet.decode(framed(octets))).toBe(true);
      expect(packet.malformed).toBe(false);
      expect(packet.version === 6 || ipv4.checksumHolds(packet.frame, packet.network)).toBe(true);
      expect(checksumHolds(packet)).toBe(true);
    }
  });

  test('shows that any flipped bit in a transport header is detected', () => {
    const packet = new Packet();
    for (const octets of capturedPackets(name)) {
      const frame = framed(octets);
      if (!packet.decode(frame) || packet.fragmentOffset !== 0 || packet.moreFragments) continue;
      frame.bytes[packet.transport]! ^= 0x40;
      expect(checksumHolds(packet)).toBe(false);
    }
  });
});

test('a client connection through the director under NAT is printed as by tcpdump', () => {
  const lines = capturedPackets('nat-http-telnet.pcap').map((octets) =>
    lineOf(octets).replace(/(192\.168\.0\.200):\d+/, '$1:*'),
  );
  expect(lines.slice(0, 6)).toEqual([
    '192.168.0.200:* > 192.168.0.101:80 TCP SYN',
    '192.168.1.3:80 > 192.168.0.200:* TCP SYN+ACK',
    '192.168.0.200:* > 192.168.0.101:80 TCP ACK',
    '192.168.0.200:* > 192.168.0.101:80 TCP PSH+ACK len=77',
    '192.168.1.3:80 > 192.168.0.200:* TCP ACK',
    '192.168.1.3:80 > 192.168.0.200:* TCP PSH+ACK len=143',
  ]);
  expect(lines.slice(-2)).toEqual([
    '192.168.0.200:* > 192.168.0.101:81 TCP SYN',
    '192.168.1.3:81 > 192.168.0.200:* TCP RST+ACK',
  ]);
});

test('fragments and quoted packets are decoded', () => {
  const lines = (name: string) =>
    capturedPackets(name).map((octets) => lineOf(octets).replaceAll(/(192\.168\.0\.200):\d+/g, '$1:*'));
  expect(lines('nat-udp.pcap')).toEqual([
    '192.168.0.200:* > 192.168.0.101:7 UDP len=64',
    '192.168.1.3:7 > 192.168.0.200:* UDP len=64',
    '192.168.0.200:* > 192.168.0.101:7 UDP len=1472 frag=0+',
    '192.168.0.200 > 192.168.0.101 UDP len=1480 frag=1480+',
    '192.168.0.200 > 192.168.0.101 UDP len=1048 frag=2960',
    '192.168.1.3:7 > 192.168.0.200:* UDP len=1472 frag=0+',
    '192.168.1.3 > 192.168.0.200 UDP len=1480 frag=1480+',
    '192.168.1.3 > 192.168.0.200 UDP len=1048 frag=2960',
  ]);
  expect(lines('nat-icmp.pcap')).toEqual([
    '192.168.0.200 > 192.168.0.101 ICMP echo-request len=56',
    '192.168.0.200 > 192.168.0.101 ICMP echo-request len=56',
    '192.168.0.200:* > 192.168.0.101:9 UDP len=64',
    '192.168.1.3 > 192.168.0.200 ICMP port-unreachable [192.168.0.200:* > 192.168.1.3:9 UDP len=64]',
  ]);
});
