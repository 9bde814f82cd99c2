import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { FrameRing } from '../../src/io/frame-ring.ts';
import { mayBeMergedDatagram } from '../../src/io/merged-filter.ts';
import { cutMerged } from '../../src/io/segmentation.ts';
import { Frame } from '../../src/wire/frame.ts';
import { ipv4 } from '../../src/wire/ipv4.ts';
import { Packet } from '../../src/wire/packet.ts';
import { ACK, CWR, FIN, PSH, SYN, tcp } from '../../src/wire/tcp.ts';
import { checksumHolds, isPartial } from '../../src/wire/transport-checksum.ts';
import { decoded, framed, frameOf } from '../support/packets.ts';

const LINE = {
  4: '10.0.0.1:1000 > 192.168.0.101:80 TCP',
  6: '[fd00::1]:1000 > [fd00::101]:80 TCP',
} as const;

interface Piece {
  readonly length: number;
  readonly id: number;
  readonly sequence: number;
  readonly flags: number;
  readonly payload: readonly number[];
  readonly right: boolean;
}

/** The pieces of the merged packet of that line, decoded. */
function cut(line: string, longest: number, flags = ACK, frames = 64): { pieces: Piece[]; count: number } {
  const whole = frameOf(line);
  const packet = decoded(line);
  whole.view.setUint8(packet.transport + 13, flags);
  for (let at = packet.payload; at < packet.end; at++) whole.bytes[at] = at & 0xff;
  const ring = new FrameRing(frames, 2048);
  const count = cutMerged(whole, longest, ring);
  const pieces: Piece[] = [];
  ring.drain((frame) => {
    const piece = new Packet();
    expect(piece.decode(frame)).toBe(true);
    pieces.push({
      length: frame.length,
      id: piece.version === 4 ? ipv4.id(frame, piece.network) : 0,
      sequence: tcp.sequence(frame, piece.transport),
      flags: piece.tcpFlags,
      payload: [...frame.bytes.subarray(piece.payload, piece.end)],
      right:
        piece.end === frame.end &&
        checksumHolds(piece) &&
        (piece.version === 6 || ipv4.checksumHolds(frame, piece.network)),
    });
  }, 1000);
  return { pieces, count };
}

describe.each([4, 6] as const)('segmentation of IPv%d', (version) => {
  test('produces no segment longer than the MTU, loses none, and computes every checksum', () =>
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 60_000 }),
        fc.integer({ min: 200, max: 1500 }),
        (octets, longest) => {
          const { pieces, count } = cut(`${LINE[version]} ACK len=${octets}`, longest, ACK, 512);
          expect(count).toBe(pieces.length);
          let sequence = pieces[0]!.sequence;
          for (const piece of pieces) {
            expect(piece.length).toBeLessThanOrEqual(longest);
            expect(piece.sequence).toBe(sequence);
            expect(piece.right).toBe(true);
            sequence = (sequence + piece.payload.length) >>> 0;
          }
          const payload = pieces.flatMap((piece) => piece.payload);
          const first = payload[0]!;
          expect(payload.length).toBe(octets);
          expect(payload.every((octet, i) => octet === ((first + i) & 0xff))).toBe(true);
        },
      ),
      { numRuns: 30 },
    ));

  test('sets FIN and PSH on the last segment only, and CWR on the first one only', () => {
    const { pieces } = cut(`${LINE[version]} ACK len=3000`, 1500, ACK | PSH | FIN | CWR);
    expect(pieces.map(({ flags }) => flags)).toEqual([ACK | CWR, ACK, ACK | PSH | FIN]);
  });
});

test('increments identifications', () => {
  const { pieces } = cut(`${LINE[4]} ACK len=4000`, 1500);
  const [first] = pieces;
  expect(pieces.map(({ id }) => (id - first!.id) & 0xffff)).toEqual([0, 1, 2]);
});

test('drops a segment without a free frame, and all that follow', () => {
  const { pieces, count } = cut(`${LINE[4]} ACK len=8000`, 1500, ACK, 2);
  expect([pieces.length, count]).toEqual([2, 6]);
});

test.each([
  ['UDP', frameOf('10.0.0.1:1000 > 192.168.0.101:53 UDP len=3000')],
  ['a header that is not whole', framed(new Uint8Array(19).fill(0x45))],
  ['nothing', framed(new Uint8Array(0))],
])('passes %s unsegmented', (_name, frame) => {
  expect(cutMerged(frame, 1500, new FrameRing(16, 2048))).toBe(0);
});

test('segments nothing when the limit leaves no room for payload', () => {
  expect(cut(`${LINE[4]} ACK len=100`, 40).count).toBe(0);
});

test('a TCP packet without payload has no segments', () => {
  expect(cut(`${LINE[4]} SYN`, 1500, SYN).count).toBe(0);
});

test('arbitrary bytes cause no exception', () =>
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), fc.integer({ min: 1, max: 1500 }), (octets, longest) => {
      cutMerged(framed(octets), longest, new FrameRing(256, 2048));
    }),
  ));

describe('merged datagrams', () => {
  const merged = (octets: number) => {
    const whole = frameOf(`10.0.0.1:1000 > 192.168.0.101:443 UDP len=${octets}`);
    for (let at = whole.end - octets, i = 0; at < whole.end; at++, i++) whole.bytes[at] = i & 0xff;
    return whole;
  };
  const pieces = (whole: Frame, segmentSize: number): Packet[] => {
    const ring = new FrameRing(64, 2048);
    cutMerged(whole, 1500, ring, segmentSize);
    const all: Packet[] = [];
    ring.drain((frame) => {
      const packet = new Packet();
      const copy = frame.copy();
      const kept = new Frame();
      kept.load(copy);
      expect(packet.decode(kept)).toBe(true);
      all.push(packet);
    }, 64);
    return all;
  };

  test('are split at the segment size, with a shorter last one', () => {
    const all = pieces(merged(5000), 1200);
    expect(all.map(({ payload, end }) => end - payload)).toEqual([1200, 1200, 1200, 1200, 200]);
    expect(all.every((each) => checksumHolds(each))).toBe(true);
    expect(new Set(all.map((each) => ipv4.id(each.frame, each.network))).size).toBe(5);
  });

  test('without a segment size stay whole', () => {
    expect(pieces(merged(900), 0).map(({ payload, end }) => end - payload)).toEqual([900]);
  });

  test('that are longer than a frame and cannot be split are refused', () => {
    expect(cutMerged(merged(5000), 1500, new FrameRing(64, 2048))).toBe(0);
  });
});

test('a socket filter and the driver agree on which datagrams may be merged', () => {
  fc.assert(
    fc.property(
      fc.constantFrom(...Object.values(LINE)),
      fc.boolean(),
      fc.nat(1400),
      (line, partial, octets) => {
        const text = `${line.replace('TCP', 'UDP')} len=${octets}${partial ? ' partial-checksum' : ''}`;
        const frame = frameOf(text);
        const ip = frame.bytes.subarray(frame.start, frame.end);
        expect(mayBeMergedDatagram(ip, 0, ip.length)).toBe(isPartial(decoded(text)));
      },
    ),
  );
});
