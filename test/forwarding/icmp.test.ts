import { describe, expect, test } from 'vitest';
import {
  mayAnswer,
  sendError,
  sendPortUnreachable,
  sendReassemblyTimeout,
  sendTooBig,
} from '../../src/forwarding/icmp.ts';
import type { ForwardingContext } from '../../src/forwarding/method.ts';
import { DEFAULT_SETTINGS } from '../../src/model/settings.ts';
import { formatAddress } from '../../src/wire/address.ts';
import { icmp } from '../../src/wire/icmp.ts';
import { ipv4 } from '../../src/wire/ipv4.ts';
import { Packet } from '../../src/wire/packet.ts';
import { checksumHolds } from '../../src/wire/transport-checksum.ts';
import { framed } from '../support/packets.ts';
import { type Datagram, packetOf } from './datagrams.ts';
import { address, RecordedHost } from './recorded-host.ts';

const udp = (partial: Partial<Datagram>): Packet =>
  packetOf({
    version: 4,
    protocol: 17,
    src: address('10.0.0.10'),
    dst: address('10.9.0.1'),
    srcPort: 1000,
    dstPort: 53,
    ttl: 64,
    tos: 0,
    id: 1,
    dontFragment: false,
    options: 0,
    data: new Uint8Array(2000),
    ...partial,
  });
const v6 = { version: 6, src: address('fd00::10'), dst: address('fd09::1') } as const;

function answers(act: (context: ForwardingContext) => void): Packet[] {
  const host = new RecordedHost();
  act({ host, settings: DEFAULT_SETTINGS, nextId: () => 7 });
  return host.sent.map(({ octets }) => {
    const packet = new Packet();
    expect(packet.decode(framed(octets))).toBe(true);
    return packet;
  });
}

describe('an error', () => {
  test.each([
    ['IPv4: 576 octets (RFC 1812)', {}, 576, [3, 3]],
    ['IPv6: 1280 octets (RFC 4443)', v6, 1280, [1, 4]],
  ])('quotes as much as fits, %s', (_what, partial, length, kind) => {
    const [answer] = answers((context) => {
      const packet = udp(partial);
      sendPortUnreachable(packet, packet.dst, context);
    });
    expect(answer!.end - answer!.network).toBe(length);
    expect([answer!.icmpType, answer!.icmpCode]).toEqual(kind);
    expect(checksumHolds(answer!)).toBe(true);
    expect(formatAddress(answer!.dst)).toBe(formatAddress(udp(partial).src));
  });

  test('reports the size that would have fit', () => {
    const [answer] = answers((context) => {
      const packet = udp({});
      sendTooBig(packet, 1480, packet.dst, context);
    });
    expect(icmp.nextHopMtu(answer!.frame, answer!.transport)).toBe(1480);
  });

  test.each([
    [{}, [11, 1]],
    [v6, [3, 1]],
  ])('names the missing fragments %#', (partial, kind) => {
    const [answer] = answers((context) => {
      const packet = udp(partial);
      sendReassemblyTimeout(packet, packet.dst, context);
    });
    expect([answer!.icmpType, answer!.icmpCode]).toEqual(kind);
  });

  test('has internetwork control precedence, and the type of service of the quoted packet', () => {
    const [answer] = answers((context) =>
      sendError(udp({ tos: 0xff }), 3, 1, 0, address('10.9.0.1'), context),
    );
    expect(answer!.tos).toBe(0xde);
    expect(ipv4.id(answer!.frame, answer!.network)).toBe(7);
  });
});

test.each([
  ['an ordinary packet', udp({}), true],
  ['an ordinary IPv6 packet', udp(v6), true],
  ['a packet from everywhere', udp({ src: address('255.255.255.255') }), false],
  ['a packet from a group', udp({ src: address('224.0.0.1') }), false],
  ['a packet from nowhere', udp({ src: address('0.0.0.0') }), false],
  ['a packet from the loopback', udp({ src: address('127.0.0.1') }), false],
  ['a packet to a group', udp({ dst: address('239.1.1.1') }), false],
  ['an IPv6 packet from nowhere', udp({ ...v6, src: address('::') }), false],
  ['an IPv6 packet to a group', udp({ ...v6, dst: address('ff02::1') }), false],
])('mayAnswer decides: %s', (_what, packet, expected) => expect(mayAnswer(packet)).toBe(expected));

test('errors get no error in reply, echo requests do', () => {
  const typed = (type: number) => {
    const packet = udp({ protocol: 17 });
    packet.frame.bytes[packet.network + 9] = 1;
    packet.frame.bytes[packet.transport] = type;
    packet.decode(packet.frame);
    return packet;
  };
  expect([3, 4, 5, 11, 12, 8, 0].map((type) => mayAnswer(typed(type)))).toEqual([
    false,
    false,
    false,
    false,
    false,
    true,
    true,
  ]);
});

test('a later fragment gets no error in reply', () => {
  const packet = udp({});
  ipv4.setFragment(packet.frame, packet.network, 5);
  packet.decode(packet.frame);
  expect(mayAnswer(packet)).toBe(false);
});
