/** Replies of the host's stack without a listener, and cases without a reply. */
import { expect, test } from 'vitest';
import type { ForwardingContext } from '../../src/forwarding/method.ts';
import { DEFAULT_SETTINGS } from '../../src/model/settings.ts';
import { Frame } from '../../src/wire/frame.ts';
import { Packet } from '../../src/wire/packet.ts';
import { dissect, summary } from '../conformance/dissect.ts';
import { type IpOptions, IpWriter, tcpSegment, udpDatagram, uint } from '../conformance/octets.ts';
import { answerAsHost } from './host-stack.ts';

const client = { address: '10.0.0.10', port: 1000 };
const host = { address: '10.9.0.1', port: 80 };
const nothing = Buffer.alloc(0);

/** The lines of the answers to a packet. */
function answers(octets: Buffer): string[] {
  const sent: string[] = [];
  const context: ForwardingContext = {
    host: {
      transmit: (frame) => {
        sent.push(summary(dissect(Buffer.from(frame.copy()))));
        return true;
      },
      route: () => undefined,
      isLocal: () => true,
    },
    settings: DEFAULT_SETTINGS,
    nextId: () => 7,
  };
  const frame = new Frame();
  frame.load(octets);
  const packet = new Packet();
  const answered = packet.decode(frame) && answerAsHost(packet, context);
  expect(answered).toBe(sent.length > 0);
  expect(Buffer.from(frame.copy()).equals(octets)).toBe(true);
  return sent;
}

const ip = (protocol: number, body: Buffer, options?: IpOptions, from = client.address, to = host.address) =>
  new IpWriter().packet(from, to, protocol, body, options);
const tcp = (flags: number, payload = nothing, options?: IpOptions) =>
  ip(6, tcpSegment(client, host, flags, 1000, 5000, payload, nothing), options);

test('a reset of a segment with ACK has the expected sequence number', () => {
  expect(answers(tcp(0x10))).toEqual([
    'tcp 10.9.0.1:80>10.0.0.10:1000 R seq=5000 ack=0 ttl=64 len=40 id=0x0 df=1',
  ]);
});

test('a reset of any other segment acknowledges all of it, and copies its type of service without ECN', () => {
  expect(answers(tcp(0x03, Buffer.from('seven..'), { tos: 0x2b }))).toEqual([
    'tcp 10.9.0.1:80>10.0.0.10:1000 RA seq=0 ack=1009 ttl=64 len=40 id=0x0 df=1 tos=0x28',
  ]);
});

test('a datagram is answered with port unreachable, another protocol with protocol unreachable', () => {
  expect(answers(ip(17, udpDatagram(client, host, nothing)))[0]).toMatch(/^icmp .* type=3 code=3 /);
  expect(answers(ip(50, Buffer.from('deadbeef')))[0]).toMatch(/^icmp .* type=3 code=2 /);
});

const echo = uint(1, 8, 1, 0, 2, 0xf7fd, 2, 1, 2, 1);

test.each([
  ['a reset', tcp(0x04)],
  ['a segment with a wrong checksum', Buffer.from(tcp(0x02)).fill(0xff, 36, 38)],
  ['a first fragment', tcp(0x02, nothing, { df: 0, moreFragments: 1 })],
  ['a later fragment', tcp(0x02, nothing, { df: 0, fragmentOffset: 8 })],
  ['a truncated header', ip(6, Buffer.alloc(12))],
  ['an ICMP error', ip(1, Buffer.concat([uint(1, 3, 1, 3, 2, 0, 4, 0), tcp(0x10).subarray(0, 28)]))],
  ['an echo reply', ip(1, Buffer.concat([uint(1, 0, 1, 0, 2, 0xfffd, 2, 1, 2, 1)]))],
  ['an echo request with a wrong checksum', ip(1, Buffer.from(echo).fill(0, 2, 4))],
  [
    'a broadcaster',
    ip(17, udpDatagram({ ...client, address: '255.255.255.255' }, host, nothing), {}, '255.255.255.255'),
  ],
  [
    'what went to many',
    ip(17, udpDatagram(client, { ...host, address: '224.0.0.1' }, nothing), {}, client.address, '224.0.0.1'),
  ],
])('the host stack does not answer %s', (_what, octets) => {
  expect(answers(octets)).toEqual([]);
});

test('an echo request with a right checksum is answered with its identifier', () => {
  expect(answers(ip(1, echo))).toEqual([
    'icmp 10.9.0.1>10.0.0.10 type=0 code=0 rest=0x10001 ttl=64 len=28 id=0x7 df=0',
  ]);
});
