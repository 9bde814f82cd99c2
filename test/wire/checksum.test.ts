import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { Address } from '../../src/wire/address.ts';
import { parseAddress } from '../../src/wire/address.ts';
import {
  change16,
  change32,
  complement,
  fold,
  neverZero,
  pseudoSum,
  sum,
  update,
  updated,
  updateUdp,
} from '../../src/wire/checksum.ts';

const viewOf = (octets: Uint8Array): DataView =>
  new DataView(octets.buffer, octets.byteOffset, octets.byteLength);
const address = (text: string): Address => parseAddress(text)!;

/** The plain one: word after word in a number that never overflows. */
function plainSum(octets: Uint8Array): number {
  let total = 0;
  for (let i = 0; i < octets.length; i += 2) total += octets[i]! * 256 + (octets[i + 1] ?? 0);
  return total === 0 ? 0 : ((total - 1) % 0xffff) + 1;
}

const octets = fc.uint8Array({ maxLength: 120 });
const port = fc.nat(0xffff);
const word = fc.integer({ min: -(2 ** 31), max: 2 ** 32 - 1 });

test('the checksum matches the example of RFC 1071 section 3', () =>
  expect(sum(viewOf(Uint8Array.of(0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7)), 0, 8)).toBe(0xddf2));

test('a range of any alignment sums as its bytes do', () =>
  fc.assert(
    fc.property(octets, fc.nat(9), fc.nat(9), (all, skip, cut) => {
      const from = Math.min(skip, all.length);
      const to = Math.max(from, all.length - cut);
      expect(sum(viewOf(all), from, to)).toBe(plainSum(all.subarray(from, to)));
    }),
  ));

test('the longest packet of 0xff bytes does not overflow', () => {
  const all = new Uint8Array(65_535).fill(0xff);
  expect(sum(viewOf(all), 0, all.length)).toBe(plainSum(all));
});

test('a sum can be continued with the next range', () =>
  fc.assert(
    fc.property(octets, fc.nat(60), (all, half) => {
      const middle = Math.min(half * 2, all.length & ~1);
      const view = viewOf(all);
      expect(sum(view, middle, all.length, sum(view, 0, middle))).toBe(sum(view, 0, all.length));
    }),
  ));

test('fold keeps the value modulo 2^16 - 1, and only 0 is 0', () =>
  fc.assert(
    fc.property(fc.nat(2 ** 31 - 1), (total) => {
      const folded = fold(total);
      expect(folded % 0xffff).toBe(total % 0xffff);
      expect(folded === 0).toBe(total === 0);
      expect(folded).toBeLessThanOrEqual(0xffff);
    }),
  ));

test('an update matches the example of RFC 1624 section 4, where RFC 1141 is wrong', () =>
  expect(updated(0xdd2f, change16(0x5555, 0x3285))).toBe(0x0000));

test('an incremental update of 16 bits equals a full recomputation', () =>
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 20, maxLength: 20 }), port, fc.nat(8), (all, to, index) => {
      const view = viewOf(all);
      all[19] = 1; // never all zeros: then both forms of zero are right
      const before = complement(sum(view, 0, 20));
      const change = change16(view.getUint16(index * 2), to);
      view.setUint16(index * 2, to);
      expect(updated(before, change)).toBe(complement(sum(view, 0, 20)));
    }),
  ));

test('an incremental update of 32 bits, of either sign, equals a full recomputation', () =>
  fc.assert(
    fc.property(
      fc.uint8Array({ minLength: 20, maxLength: 20 }),
      word,
      fc.nat(3),
      fc.boolean(),
      (all, to, index, signed) => {
        const view = viewOf(all);
        all[19] = 1;
        const before = complement(sum(view, 0, 20));
        const from = signed ? view.getInt32(index * 4) : view.getUint32(index * 4);
        view.setUint32(index * 4, to);
        expect(updated(before, change32(from, to))).toBe(complement(sum(view, 0, 20)));
      },
    ),
  ));

test('a change and its reverse restore the checksum', () =>
  fc.assert(
    fc.property(fc.nat(0xfffe), word, word, (checksum, a, b) => {
      const there = updated(checksum, change32(a, b));
      expect(updated(there, change32(b, a)) % 0xffff).toBe(checksum % 0xffff);
    }),
  ));

test('a missing UDP checksum stays missing, and a present one never becomes 0', () => {
  const view = new DataView(new ArrayBuffer(2));
  updateUdp(view, 0, change16(1, 2));
  expect(view.getUint16(0)).toBe(0);
  view.setUint16(0, 5);
  updateUdp(view, 0, change16(0, 5));
  expect(view.getUint16(0)).toBe(0xffff);
  view.setUint16(0, 5);
  update(view, 0, change16(0, 5));
  expect(view.getUint16(0)).toBe(0);
  expect([neverZero(0), neverZero(7)]).toEqual([0xffff, 7]);
});

test('the pseudo header of IPv6 has the bytes of RFC 8200 section 8.1', () => {
  const src = address('2001:db8::1:2');
  const dst = address('2001:db8::dead');
  const drawn = new DataView(new ArrayBuffer(40));
  for (let i = 0; i < 4; i++) {
    drawn.setUint32(4 * i, src[i]!);
    drawn.setUint32(16 + 4 * i, dst[i]!);
  }
  drawn.setUint32(32, 70_000);
  drawn.setUint32(36, 58);
  expect(pseudoSum(src, dst, 58, 70_000)).toBe(sum(drawn, 0, 40));
});
