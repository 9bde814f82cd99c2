import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Frame } from '../../src/wire/frame.ts';
import { Packet } from '../../src/wire/packet.ts';
import { PacketLineError, packetOfLine } from '../../src/wire/packet-line.ts';
import { printFrame } from '../../src/wire/print.ts';

const framed = (octets: Uint8Array): Frame => {
  const frame = new Frame();
  frame.load(octets);
  return frame;
};

/** Reads a line and prints the packet. */
const throughOctets = (line: string, detail = false): string =>
  printFrame(framed(packetOfLine(line)), { detail });

test.each([
  '203.0.113.7:4000 > 192.0.2.80:80 TCP SYN',
  '192.0.2.80:80 > 203.0.113.7:4000 TCP SYN+ACK',
  '203.0.113.7:4000 > 192.0.2.80:80 TCP PSH+ACK len=18',
  '203.0.113.7:4000 > 192.0.2.80:80 TCP FIN+ACK',
  '203.0.113.7:4000 > 192.0.2.80:80 TCP -',
  '203.0.113.7:4000 > 192.0.2.80:80 TCP SYN bad-checksum',
  '203.0.113.7:4000 > 192.0.2.80:80 TCP SYN partial-checksum',
  '203.0.113.7:4000 > 192.0.2.80:80 TCP SYN bad-header-checksum',
  '[2001:db8::7]:4000 > [2001:db8::80]:80 TCP SYN',
  '10.0.0.1:53 > 10.0.0.2:5353 UDP len=100',
  '10.0.0.1:53 > 10.0.0.2:5353 UDP len=101',
  '10.0.0.1:53 > 10.0.0.2:5353 UDP len=1472 frag=0+',
  '10.0.0.1 > 10.0.0.2 UDP len=8 frag=1480',
  '2001:db8::1 > 2001:db8::2 UDP len=16 frag=1448+',
  '10.0.0.1:5000 > 10.0.0.2:5001 SCTP INIT',
  '10.0.0.1:5000 > 10.0.0.2:5001 SCTP DATA len=16',
  '10.0.0.1:5000 > 10.0.0.2:5001 SCTP chunk=192 bad-checksum',
  '10.0.0.1 > 10.0.0.2 ICMP echo-request len=56',
  '10.0.0.1 > 10.0.0.2 ICMP 3/9 [10.0.0.2 > 10.0.0.1 GRE]',
  '10.0.0.9 > 10.0.0.1 ICMP frag-needed mtu=1480 [10.0.0.1:80 > 10.0.0.2:4000 TCP ACK len=40]',
  '2001:db8::9 > 2001:db8::1 ICMP6 too-big mtu=1280 [[2001:db8::1]:80 > [2001:db8::2]:4000 TCP ACK]',
  '2001:db8::1 > 2001:db8::2 ICMP6 echo-reply len=8',
  '10.0.0.1 > 10.1.0.11 IPIP [203.0.113.7:4000 > 192.0.2.80:80 TCP SYN]',
  '10.0.0.1 > 10.1.0.11 proto=89 len=20',
])('%s is parsed and printed again', (line) => expect(throughOctets(line)).toBe(line));

test.each([
  '1.2.3.4:5 > 6.7.8.9:10 TCP SYN seq=4294967295 ack=1 win=1024 mss=1460 ttl=63 tos=16 ipid=77 DF',
  '1.2.3.4 > 6.7.8.9 ICMP echo-request id=7 seq=3 len=4 ttl=64 ipid=0',
  '[::1]:5 > [::2]:10 UDP len=4 frag=0+ ttl=9 tos=184 ipid=4294967295',
])('%s is printed in detail', (line) => expect(throughOctets(line, true)).toBe(line));

test('the protocol may be omitted before TCP flags', () =>
  expect(throughOctets('203.0.113.7:4000 > 192.0.2.80:80 SYN')).toBe(
    '203.0.113.7:4000 > 192.0.2.80:80 TCP SYN',
  ));

test('data= and hex= give the payload', () => {
  const payload = (line: string) => {
    const packet = new Packet();
    packet.decode(framed(packetOfLine(line)));
    return packet.frame.bytes.slice(packet.payload, packet.end);
  };
  expect(payload('1.1.1.1:1 > 2.2.2.2:2 UDP data="a \\"b\\"\\r\\n"')).toEqual(
    new TextEncoder().encode('a "b"\r\n'),
  );
  expect(payload('1.1.1.1:1 > 2.2.2.2:2 UDP hex=00ff10')).toEqual(Uint8Array.of(0, 255, 16));
});

test.each([
  ['', 'expected SRC > DST'],
  ['203.0.113.7:4000 192.0.2.80:80 SYN', 'expected SRC > DST'],
  ['203.0.113.7:4000 > 192.0.2.80 SYN', 'missing port'],
  ['203.0.113.777:4000 > 192.0.2.80:80 SYN', 'invalid address'],
  ['203.0.113.7:65536 > 192.0.2.80:80 SYN', 'invalid address'],
  ['203.0.113.7:4000 > [::1]:80 SYN', 'addresses of different families'],
  ['203.0.113.7:4000 > 192.0.2.80:80 SIN', 'missing protocol'],
  ['203.0.113.7:4000 > 192.0.2.80:80 SYN ttl=256', 'invalid ttl: expected a number'],
  ['203.0.113.7 > 192.0.2.80 ICMP port-unreachabel', 'missing or unknown message name'],
  ['1.1.1.1 > 2.2.2.2 UDP frag=3', 'multiple of 8'],
  ['1.1.1.1:1 > 2.2.2.2:2 UDP len=65535', 'too long'],
])('%s is refused: %s', (line, reason) => {
  expect(() => packetOfLine(line)).toThrow(PacketLineError);
  expect(() => packetOfLine(line)).toThrow(reason);
});

test('any packet can be printed in one line', () =>
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), fc.boolean(), (octets, detail) => {
      if (octets.length > 0) octets[0] = (octets[0]! & 0x2f) | 0x40; // mostly IPv4 or IPv6
      expect(printFrame(framed(octets), { detail })).not.toMatch(/\n|undefined|NaN/);
    }),
  ));
