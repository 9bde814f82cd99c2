/** Which packets that no flow is known for go up to the director, and which the host's own stack has. */
import { describe, expect, test } from 'vitest';
import type { HookName } from '../../src/offload/hooks.ts';
import { packetOfLine } from '../../src/wire/packet-line.ts';
import { address } from '../forwarding/recorded-host.ts';
import { serviceKeys } from '../support/service-keys.ts';
import { Datapath } from './datapath.ts';
import { arriving } from './datapaths.ts';

const services = serviceKeys({
  services: [
    {
      service: { protocol: 'tcp', address: '192.0.2.80', port: 80 },
      destinations: [
        { method: 'nat', address: '10.1.0.11', port: 8080 },
        { method: 'dr', address: '10.1.0.12', port: 80 },
      ],
    },
    { service: { protocol: 'udp', address: '192.0.2.81', port: 0 }, destinations: [] },
    {
      service: { protocol: 'tcp', address: '2001:db8::80', port: 80 },
      destinations: [{ method: 'nat', address: 'fd01::11', port: 8080 }],
    },
    { service: { protocol: 'sctp', address: '192.0.2.82', port: 9 }, destinations: [] },
    { service: { mark: 7, family: 4 }, destinations: [{ method: 'nat', address: '10.1.0.13', port: 80 }] },
  ],
  own: ['192.0.2.80', '192.0.2.81', '192.0.2.82', '2001:db8::80', '10.1.0.254', 'fd01::fe'].map(address),
});

const OPTIONS = Uint8Array.of(
  ...[0x46, 0, 0, 44, 0, 0, 0, 0, 64, 6, 0, 0, 203, 0, 113, 7, 192, 0, 2, 80, 7, 7, 4, 0],
  ...new Array(20).fill(0),
);

describe.each<HookName>(['xdp', 'tc'])('%s', (hook) => {
  const datapath = Datapath.interpreted(hook, services);
  const fateOf = (line: string) => datapath.run(arriving(packetOfLine(line))).fate;

  test.each([
    ['a service', '203.0.113.7:4000 > 192.0.2.80:80 SYN'],
    ['a service of all ports', '203.0.113.7:4000 > 192.0.2.81:1234 UDP len=4'],
    ['a service, IPv6', '[2001:db8:1::7]:4000 > [2001:db8::80]:80 SYN'],
    ['an SCTP service', '203.0.113.7:4000 > 192.0.2.82:9 SCTP INIT'],
    ['what a real server behind NAT answers', '10.1.0.11:8080 > 203.0.113.7:4000 SYN+ACK'],
    ['what a real server behind NAT answers, IPv6', '[fd01::11]:8080 > [2001:db8:1::7]:4000 SYN+ACK'],
    ['a later fragment', '203.0.113.7 > 192.0.2.81 UDP frag=64 len=64'],
    ['a first fragment', '203.0.113.7:4000 > 192.0.2.81:53 UDP frag=0+ len=64'],
    ['a later fragment, IPv6', '2001:db8:1::7 > 2001:db8::80 TCP frag=64 len=64'],
    ['a later fragment of a real server', '10.1.0.11 > 203.0.113.7 TCP frag=64 len=64'],
    [
      'an error about a connection',
      '198.51.100.1 > 192.0.2.80 ICMP 3/1 [192.0.2.80:80 > 203.0.113.7:4000 ACK]',
    ],
    [
      'an error that a real server sends',
      '10.1.0.11 > 203.0.113.7 ICMP 3/3 [203.0.113.7:4000 > 10.1.0.11:8080 ACK]',
    ],
    [
      'an error about a connection, IPv6',
      '2001:db8:5::1 > 2001:db8::80 ICMP6 1/0 [[2001:db8::80]:80 > [2001:db8:1::7]:4000 ACK]',
    ],
  ])('sends to the director: %s', (_what, line) => expect(fateOf(line)).toBe('up'));

  test('sends to the director: a packet with options', () =>
    expect(datapath.run(arriving(OPTIONS)).fate).toBe('up'));

  test.each([
    ['another port of the VIP', '203.0.113.7:4000 > 192.0.2.80:22 SYN'],
    ['another protocol', '203.0.113.7:4000 > 192.0.2.80:80 UDP len=4'],
    ['another address', '203.0.113.7:4000 > 192.0.2.90:80 SYN'],
    ['another port of a real server', '10.1.0.11:22 > 203.0.113.7:4000 ACK'],
    ['what a real server says to the director itself', '10.1.0.11:8080 > 10.1.0.254:4000 SYN+ACK'],
    ['a real server under direct routing', '10.1.0.12:80 > 203.0.113.7:4000 ACK'],
    ['ping', '203.0.113.7 > 192.0.2.80 ICMP echo-request id=1 seq=1'],
    ['ping, IPv6', '2001:db8:1::7 > 2001:db8::80 ICMP6 echo-request id=1 seq=1'],
    [
      'an error that a real server sends to the director itself',
      '10.1.0.11 > 10.1.0.254 ICMP 3/3 [10.1.0.254:4000 > 10.1.0.11:8080 ACK]',
    ],
    ['a protocol without ports', '203.0.113.7 > 192.0.2.80 proto=47 len=40'],
    ['a fragment to nobody', '203.0.113.7 > 192.0.2.90 UDP frag=64 len=64'],
    ['a fragment of a protocol without a service', '203.0.113.7 > 192.0.2.80 UDP frag=64 len=64'],
  ])('passes to the host: %s', (_what, line) => expect(fateOf(line)).toBe('pass'));

  test('passes to the host: frames without an IP packet', () => {
    const arp = arriving(packetOfLine('203.0.113.7:4000 > 192.0.2.80:80 SYN'));
    arp.set([0x08, 0x06], 12);
    expect(datapath.run(arp).fate).toBe('pass');
    expect(datapath.run(arp.subarray(0, 30)).fate).toBe('pass');
  });

  test('leaves any bytes unchanged, whatever the verdict', () => {
    // Behind an Ethernet header, so that they are looked at.
    let seed = 1;
    const random = () => {
      seed = (Math.imul(seed, 1_103_515_245) + 12_345) >>> 0;
      return seed >>> 16;
    };
    for (let i = 0; i < 300; i++) {
      const frame = Uint8Array.from({ length: 14 + (random() % 90) }, () => random() & 0xff);
      const six = (random() & 1) === 1;
      frame.set(six ? [0x86, 0xdd] : [0x08, 0x00], 12);
      if (frame.length > 14) frame[14] = six ? 0x60 : 0x45;
      const { fate, frame: after } = datapath.run(frame.slice());
      expect(['up', 'pass']).toContain(fate);
      expect(after).toEqual(frame);
    }
  });
});
