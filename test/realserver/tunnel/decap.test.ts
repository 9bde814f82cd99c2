import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  type DecapCounts,
  decapsulator,
  insideIpv4,
  isCongested,
} from '../../../src/realserver/tunnel/decap.ts';
import { type Address, parseAddress } from '../../../src/wire/address.ts';
import { Frame } from '../../../src/wire/frame.ts';
import { ipv4 } from '../../../src/wire/ipv4.ts';
import { ipv6 } from '../../../src/wire/ipv6.ts';
import { UDP } from '../../../src/wire/udp.ts';

const address = (text: string): Address => parseAddress(text)!;
const VIP = address('192.168.0.101');
const VIP6 = address('fd00::101');
const CLIENT = address('192.168.0.200');
const CLIENT6 = address('fd00::200');
const DIRECTOR = address('192.168.0.1');
const SERVER = address('192.168.0.3');
const IPV4_INSIDE = 4;

interface Sent {
  readonly octets: Uint8Array;
  readonly to: string;
}

function tunnelEnd(taken = true) {
  const counts: DecapCounts = { decapsulated: 0, refused: 0, lost: 0 };
  const sent: Sent[] = [];
  const sender = {
    send(bytes: Uint8Array, offset: number, length: number, to: string) {
      sent.push({ octets: bytes.slice(offset, offset + length), to });
      return taken;
    },
  };
  const take = decapsulator({ vips: [VIP, VIP6], senders: { 4: sender, 6: sender }, counts });
  const decapsulate = (frame: Frame, outer: 4 | 6) => {
    if (outer === 6) return take(frame, frame.start, false);
    const at = insideIpv4(frame);
    take(frame, at, at >= 0 && isCongested(frame));
  };
  return { decapsulate, sent, counts };
}

/** An IPv4 packet for `to` in the frame, with 12 octets of payload. */
function inner4(to: Address, tos = 0): Frame {
  const frame = new Frame(2000);
  ipv4.write(frame, frame.start, {
    totalLength: 32,
    tos,
    id: 1,
    ttl: 63,
    protocol: UDP,
    src: CLIENT,
    dst: to,
  });
  frame.end = frame.start + 32;
  return frame;
}

function inner6(to: Address, trafficClass = 0): Frame {
  const frame = new Frame(2000);
  ipv6.write(frame, frame.start, {
    payloadLength: 12,
    trafficClass,
    nextHeader: UDP,
    hopLimit: 63,
    src: CLIENT6,
    dst: to,
  });
  frame.end = frame.start + 52;
  return frame;
}

/** Puts the tunnel's header in front. */
function wrapped(frame: Frame, tos = 0): Frame {
  frame.prepend(20);
  ipv4.write(frame, frame.start, {
    totalLength: frame.length,
    tos,
    ttl: 62,
    protocol: IPV4_INSIDE,
    src: DIRECTOR,
    dst: SERVER,
  });
  return frame;
}

describe('a decapsulated packet', () => {
  test('is delivered to the VIP unchanged', () => {
    const { decapsulate, sent, counts } = tunnelEnd();
    const packet = inner4(VIP).copy();
    decapsulate(wrapped(inner4(VIP)), 4);
    expect(sent).toEqual([{ octets: packet, to: '192.168.0.101' }]);
    expect(counts).toEqual({ decapsulated: 1, refused: 0, lost: 0 });
  });

  test('may be IPv6 in IPv4, or arrive over IPv6 without the header', () => {
    const { decapsulate, sent } = tunnelEnd();
    decapsulate(wrapped(inner6(VIP6)), 4);
    decapsulate(inner6(VIP6), 6);
    decapsulate(inner4(VIP), 6);
    expect(sent.map(({ to }) => to)).toEqual(['fd00::101', 'fd00::101', '192.168.0.101']);
  });

  test('excludes trailing bytes', () => {
    const { decapsulate, sent } = tunnelEnd();
    const frame = inner4(VIP);
    frame.end += 9;
    decapsulate(wrapped(frame), 4);
    expect(sent[0]!.octets).toEqual(inner4(VIP).copy());
  });

  test.each([
    ['for another address', () => wrapped(inner4(SERVER))],
    ['for another IPv6 address', () => wrapped(inner6(CLIENT6))],
    ['cut off', () => Object.assign(wrapped(inner4(VIP)), { end: 256 + 31 })],
    ['no packet', () => Object.assign(wrapped(inner4(VIP)), { end: 256 + 3 })],
  ])('is refused when it is %s', (_name, make) => {
    const { decapsulate, sent, counts } = tunnelEnd();
    decapsulate(make(), 4);
    expect(sent).toEqual([]);
    expect(counts).toEqual({ decapsulated: 0, refused: 1, lost: 0 });
  });

  test('is counted as lost when the kernel does not accept it', () => {
    const { decapsulate, counts } = tunnelEnd(false);
    decapsulate(wrapped(inner4(VIP)), 4);
    expect(counts).toEqual({ decapsulated: 0, refused: 0, lost: 1 });
  });
});

// RFC 6040, figure 4, the rows of an outer header that was marked.
describe('a congestion mark of the tunnel', () => {
  test.each([
    ['ECT(0)', 0b10, 0b11],
    ['ECT(1)', 0b01, 0b11],
    ['CE', 0b11, 0b11],
  ])('is passed to an ECN-capable receiver: %s', (_name, before, after) => {
    const { decapsulate, sent } = tunnelEnd();
    decapsulate(wrapped(inner4(VIP, before), 0b11), 4);
    decapsulate(wrapped(inner6(VIP6, before), 0b11), 4);
    expect(sent[0]!.octets[1]! & 3).toBe(after);
    expect((sent[1]!.octets[1]! >> 4) & 3).toBe(after);
  });

  test('drops the packet of a receiver that is not ECN-capable', () => {
    const { decapsulate, sent, counts } = tunnelEnd();
    decapsulate(wrapped(inner4(VIP), 0b11), 4);
    decapsulate(wrapped(inner6(VIP6), 0b11), 4);
    expect(sent).toEqual([]);
    expect(counts.refused).toBe(2);
  });
});

test('any input yields only whole packets for a VIP', () => {
  const anything = fc.oneof(
    fc.uint8Array({ maxLength: 120 }),
    // Nearly right: a good packet with some octets changed, and cut somewhere.
    fc
      .tuple(
        fc.constantFrom(wrapped(inner4(VIP)).copy(), wrapped(inner6(VIP6)).copy(), inner6(VIP6).copy()),
        fc.array(fc.tuple(fc.nat(71), fc.nat(255)), { maxLength: 4 }),
        fc.nat(80),
      )
      .map(([good, changes, length]) => {
        const octets = good.slice();
        for (const [at, value] of changes) if (at < octets.length) octets[at] = value;
        return octets.subarray(0, length);
      }),
  );
  const check = fc.property(anything, fc.constantFrom(4 as const, 6 as const), (octets, outer) => {
    const { decapsulate, sent, counts } = tunnelEnd();
    const frame = new Frame(2000);
    frame.load(octets);
    decapsulate(frame, outer);
    expect(counts.decapsulated + counts.refused).toBe(1);
    for (const { octets: packet, to } of sent) {
      const inside = new Frame(2000);
      inside.load(packet);
      const version = ipv4.version(inside, inside.start);
      const total =
        version === 4
          ? ipv4.totalLength(inside, inside.start)
          : 40 + ipv6.payloadLength(inside, inside.start);
      expect(total).toBe(packet.length);
      expect(to).toBe(version === 4 ? '192.168.0.101' : 'fd00::101');
    }
  });
  fc.assert(check, { numRuns: 2000 });
});
