import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Reassembler } from '../../src/director/path/fragments.ts';
import { Splitter } from '../../src/wire/fragment.ts';
import { Frame } from '../../src/wire/frame.ts';
import { ipv4 } from '../../src/wire/ipv4.ts';
import { ipv6 } from '../../src/wire/ipv6.ts';
import { Packet } from '../../src/wire/packet.ts';
import { type Datagram, datagram, packetOf } from '../forwarding/datagrams.ts';
import { framed, hex } from '../support/packets.ts';

function split(frame: Frame, limit: number, id = 1): Uint8Array<ArrayBuffer>[] {
  const splitter = new Splitter();
  const piece = new Frame();
  const pieces: Uint8Array<ArrayBuffer>[] = [];
  if (!splitter.begin(frame, limit, id)) return [];
  while (splitter.next(piece)) pieces.push(piece.copy());
  return pieces;
}

const decoded = (octets: Uint8Array): Packet => {
  const packet = new Packet();
  expect(packet.decode(framed(octets))).toBe(true);
  return packet;
};

describe('a packet split into fragments', () => {
  const fragmented = fc.tuple(
    datagram(3000),
    fc.integer({ min: 120, max: 1500 }),
    fc.infiniteStream(fc.nat()),
  );

  test('is whole again when they are reassembled, in any order', () => {
    fc.assert(
      fc.property(fragmented, ([one, limit, dice]) => {
        const { frame } = packetOf({ ...one, dontFragment: false });
        const whole = frame.copy();
        const pieces = split(frame, limit);
        expect(pieces.every((piece) => piece.length <= limit)).toBe(true);
        if (pieces.length < 2) return;
        const reassembler = new Reassembler();
        const results = shuffled(pieces, dice).map((piece) => {
          const result = reassembler.add(decoded(piece), 0);
          return typeof result === 'string' ? result : [result.copy(), result.fragmentSize];
        });
        const longest = Math.max(...pieces.map((piece) => piece.length));
        expect(results.slice(0, -1)).toEqual(results.slice(0, -1).map(() => 'waiting'));
        expect(results.at(-1)).toEqual([whole, longest]);
        expect(reassembler).toMatchObject({ size: 0, octets: 0 });
      }),
    );
  });

  test('yields valid fragments: right checksum, same identification, offsets without gaps', () => {
    fc.assert(
      fc.property(fragmented, ([one, limit]) => {
        const pieces = split(packetOf(one).frame, limit, 0x12345678).map(decoded);
        let offset = 0;
        for (const [i, piece] of pieces.entries()) {
          expect(piece.fragmentOffset).toBe(offset);
          expect(piece.moreFragments).toBe(i < pieces.length - 1);
          const header = piece.version === 4 ? piece.transport : piece.fragmentHeader + 8;
          offset += piece.end - header;
          if (piece.version === 4) {
            expect(ipv4.checksumHolds(piece.frame, piece.network)).toBe(true);
            expect(ipv4.id(piece.frame, piece.network)).toBe(one.id);
            expect(piece.dontFragment).toBe(false);
          } else expect(ipv6.fragmentId(piece.frame, piece.fragmentHeader)).toBe(0x12345678);
        }
      }),
    );
  });

  test('is refused when eight bytes of data do not fit', () => {
    const [one] = fc.sample(datagram(100), { numRuns: 1, seed: 3 }) as [Datagram];
    const { frame } = packetOf({ ...one, version: 4, options: 0 });
    expect(split(frame, 27)).toEqual([]);
    expect(split(frame, 28).length).toBeGreaterThan(1);
  });
});

test('a fragment can be fragmented again', () => {
  const whole = hex(`4500 0044 1234 2005 40 11 0000 0a000001 0a000002 ${'55'.repeat(48)}`);
  const first = decoded(whole);
  ipv4.recompute(first.frame, first.network);
  const pieces = split(first.frame, 44).map(decoded);
  expect(
    pieces.map((piece) => [piece.fragmentOffset, piece.moreFragments, piece.end - piece.transport]),
  ).toEqual([
    [40, true, 24],
    [64, true, 24],
  ]);
});

test('options without the copy flag are blanked in later fragments, the others stay (RFC 791)', () => {
  // Record route (07), router alert (94), end.
  const options = '07070400000000 94040000 00';
  const packet = decoded(
    hex(`4800 0040 0001 0000 40 11 0000 0a000001 0a000002 ${options} ${'66'.repeat(32)}`),
  );
  const [first, second] = split(packet.frame, 48).map((piece) =>
    Buffer.from(piece.slice(20, 32)).toString('hex'),
  );
  expect(first).toBe('070704000000009404000000');
  expect(second).toBe('010101010101019404000000');
});

test('hop-by-hop options of IPv6, and destination options after them, are in every fragment', () => {
  const [one] = fc.sample(datagram(), { numRuns: 1, seed: 5 }) as [Datagram];
  const v6 = {
    ...one,
    version: 6 as const,
    src: Uint32Array.of(1, 2, 3, 4),
    dst: Uint32Array.of(5, 6, 7, 8),
  };
  const packet = packetOf({ ...v6, options: 8, data: new Uint8Array(100) });
  const pieces = split(packet.frame, 104);
  expect(pieces.length).toBeGreaterThan(2);
  for (const piece of pieces) {
    expect(piece[6]).toBe(0);
    expect(piece[40]).toBe(60);
    expect(piece[48]).toBe(44);
  }
});

function shuffled<T>(items: readonly T[], dice: { next(): IteratorResult<number> }): T[] {
  const left = [...items];
  const result: T[] = [];
  while (left.length > 0) result.push(...left.splice(dice.next().value % left.length, 1));
  return result;
}
