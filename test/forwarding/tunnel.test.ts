import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Reassembler } from '../../src/director/path/fragments.ts';
import { flowPort } from '../../src/forwarding/gue.ts';
import type { ForwardingContext } from '../../src/forwarding/method.ts';
import { outerTos, tunnel, tunnelOverhead } from '../../src/forwarding/tunnel.ts';
import { decodeTunnelled } from '../../src/forwarding/tunnel-error.ts';
import type { Connection } from '../../src/model/connection.ts';
import type { TunnelOptions } from '../../src/model/destination.ts';
import { DEFAULT_SETTINGS } from '../../src/model/settings.ts';
import { sum } from '../../src/wire/checksum.ts';
import { Frame } from '../../src/wire/frame.ts';
import { ipv4 } from '../../src/wire/ipv4.ts';
import { ipv6 } from '../../src/wire/ipv6.ts';
import { Packet } from '../../src/wire/packet.ts';
import { checksumHolds } from '../../src/wire/transport-checksum.ts';
import { framed } from '../support/packets.ts';
import { type Datagram, datagram, packetOf } from './datagrams.ts';
import { destinationAt, RecordedHost } from './recorded-host.ts';

const TUNNELS: readonly TunnelOptions[] = [
  { type: 'ipip', port: 0, checksum: 'none' },
  { type: 'gue', port: 6080, checksum: 'none' },
  { type: 'gue', port: 6080, checksum: 'csum' },
  { type: 'gue', port: 6080, checksum: 'remcsum' },
  { type: 'gre', port: 0, checksum: 'none' },
  { type: 'gre', port: 0, checksum: 'csum' },
];
const ENDS = ['10.1.0.11', 'fd01::11'] as const;
const MTU = 1500;

const connectionOf = (one: Datagram, end: string, options: TunnelOptions): Connection => ({
  row: 0,
  protocol: one.protocol,
  caddr: one.src,
  cport: one.srcPort,
  vaddr: one.dst,
  vport: one.dstPort,
  dport: one.dstPort,
  destination: destinationAt(end, one.dstPort, 'tunnel', options),
  method: 'tunnel',
});

function play(packet: Packet, connection: Connection, pmtuDisc = 1) {
  const host = new RecordedHost(MTU);
  let id = 1;
  const settings = { ...DEFAULT_SETTINGS, pmtu_disc: pmtuDisc };
  const context: ForwardingContext = { host, settings, nextId: () => id++ };
  const verdict = tunnel.request(packet, connection, context);
  return { verdict, sent: host.sent.map(({ octets }) => octets) };
}

/** The packet that these came from, put together where they are fragments. */
function wholeOf(sent: readonly Uint8Array[]): Packet {
  const reassembler = new Reassembler();
  const packet = new Packet();
  for (const octets of sent) {
    expect(octets.length).toBeLessThanOrEqual(MTU);
    expect(packet.decode(framed(octets))).toBe(true);
    if (!packet.moreFragments && packet.fragmentOffset === 0) continue;
    const whole = reassembler.add(packet, 0);
    if (whole instanceof Frame) expect(packet.decode(whole)).toBe(true);
  }
  return packet;
}

describe.each(TUNNELS)('a tunnel of $type, checksum $checksum', (options) => {
  test('carries the packet unchanged except for one hop, over either IP version', () => {
    fc.assert(
      fc.property(datagram(3000), fc.constantFrom(...ENDS), fc.constantFrom(0, 1), (one, end, pmtuDisc) => {
        const packet = packetOf(one);
        const fits = MTU - tunnelOverhead(options, end.includes(':') ? 6 : 4);
        const mustFit = one.version === 6 || (one.dontFragment && pmtuDisc === 1);
        const length = packet.end - packet.network;
        const { verdict, sent } = play(packetOf(one), connectionOf(one, end, options), pmtuDisc);
        if (mustFit && length > fits) {
          expect(verdict).toBe('too-big');
          return;
        }
        expect(verdict).toBe('forwarded');
        const outer = wholeOf(sent);
        expect(outer.ttl).toBe(one.ttl - 1);
        expect(outer.tos).toBe(outerTos(one.tos));
        if (outer.version === 4) expect(ipv4.checksumHolds(outer.frame, outer.network)).toBe(true);
        expectChecksum(outer, options);
        const inner = new Packet();
        expect(decodeTunnelled(outer, inner)).toBe(true);
        expect(inner.frame.bytes.slice(inner.network, inner.end)).toEqual(older(packet));
      }),
    );
  });
});

function expectChecksum(outer: Packet, options: TunnelOptions): void {
  const { view } = outer.frame;
  if (options.type === 'gue') {
    expect(checksumHolds(outer) || options.checksum === 'none').toBe(true);
    expect(view.getUint16(outer.transport + 6) === 0).toBe(options.checksum === 'none');
  }
  if (options.type === 'gre' && options.checksum === 'csum')
    expect(sum(view, outer.transport, outer.end)).toBe(0xffff);
}

/** The packet's octets after one hop. */
function older(packet: Packet): Uint8Array {
  if (packet.version === 4) ipv4.setTtl(packet.frame, packet.network, packet.ttl - 1);
  else ipv6.setHopLimit(packet.frame, packet.network, packet.ttl - 1);
  return packet.frame.bytes.slice(packet.network, packet.end);
}

test('link-layer padding after a packet does not enter the tunnel', () => {
  const [one] = fc.sample(datagram(), { numRuns: 1, seed: 1 }) as [Datagram];
  const packet = packetOf({ ...one, data: new Uint8Array(3) });
  packet.frame.end += 7;
  const { sent } = play(packet, connectionOf(one, '10.1.0.11', TUNNELS[0]!));
  expect(sent[0]!.length).toBe(20 + packet.end - packet.network);
});

test('a frame without headroom is dropped', () => {
  const [one] = fc.sample(datagram(), { numRuns: 1, seed: 1 }) as [Datagram];
  const packet = packetOf(one);
  const { frame } = packet;
  const length = frame.length;
  frame.bytes.copyWithin(8, frame.start, frame.end);
  frame.start = 8;
  frame.end = 8 + length;
  packet.decode(frame);
  expect(play(packet, connectionOf(one, '10.1.0.11', TUNNELS[0]!)).verdict).toBe('no-headroom');
});

test('GUE source ports are in the dynamic range, constant per connection and well distributed', () => {
  const [one] = fc.sample(datagram(), { numRuns: 1, seed: 2 }) as [Datagram];
  const ports = Array.from({ length: 4096 }, (_, i) =>
    flowPort(connectionOf({ ...one, srcPort: 1024 + i }, '10.1.0.11', TUNNELS[1]!)),
  );
  expect(Math.min(...ports)).toBeGreaterThanOrEqual(0xc000);
  expect(Math.max(...ports)).toBeLessThanOrEqual(0xffff);
  expect(new Set(ports).size).toBeGreaterThan(3000);
  expect(flowPort(connectionOf(one, '10.1.0.11', TUNNELS[1]!))).toBe(
    flowPort(connectionOf(one, 'fd01::11', TUNNELS[2]!)),
  );
});

test('a congestion mark is not copied to the outer header, ECN capability is', () => {
  expect([0xb8, 0xb9, 0xba, 0xbb].map(outerTos)).toEqual([0xb8, 0xb9, 0xba, 0xba]);
});
