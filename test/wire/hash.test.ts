import fc from 'fast-check';
import { expect, test } from 'vitest';
import { parseAddress } from '../../src/wire/address.ts';
import { foldAddress, hsiphash, multiplicative } from '../../src/wire/hash.ts';

const MASK = (1n << 64n) - 1n;
const rotate = (x: bigint, bits: bigint): bigint => ((x << bits) | (x >> (64n - bits))) & MASK;

/** SipHash-c-d as its paper defines it, in big integers. */
function sipHash(c: number, d: number, key0: bigint, key1: bigint, octets: Uint8Array): bigint {
  const v = [
    key0 ^ 0x736f6d6570736575n,
    key1 ^ 0x646f72616e646f6dn,
    key0 ^ 0x6c7967656e657261n,
    key1 ^ 0x7465646279746573n,
  ] as [bigint, bigint, bigint, bigint];
  const half = (a: 0 | 2, b: 1 | 3, bits: bigint, turn: bigint): void => {
    v[a] = (v[a] + v[b]) & MASK;
    v[b] = rotate(v[b], bits) ^ v[a];
    v[a] = rotate(v[a], turn);
  };
  const round = (): void => {
    half(0, 1, 13n, 32n);
    half(2, 3, 16n, 0n);
    half(0, 3, 21n, 0n);
    half(2, 1, 17n, 32n);
  };
  const padded = new Uint8Array((Math.floor(octets.length / 8) + 1) * 8);
  padded.set(octets);
  padded[padded.length - 1] = octets.length & 0xff;
  const view = new DataView(padded.buffer);
  for (let at = 0; at < padded.length; at += 8) {
    const block = view.getBigUint64(at, true);
    v[3] ^= block;
    for (let i = 0; i < c; i++) round();
    v[0] ^= block;
  }
  v[2] ^= 0xffn;
  for (let i = 0; i < d; i++) round();
  return v[0] ^ v[1] ^ v[2] ^ v[3];
}

test('the reference implementation gives the test vector of the SipHash paper, appendix A', () =>
  expect(
    sipHash(
      2,
      4,
      0x0706050403020100n,
      0x0f0e0d0c0b0a0908n,
      Uint8Array.from({ length: 15 }, (_v, i) => i),
    ),
  ).toBe(0xa129ca6149be45e5n));

const word = fc.integer({ min: 0, max: 2 ** 32 - 1 });

test('hsiphash is SipHash-1-3 of four bytes, truncated to 32 bits', () =>
  fc.assert(
    fc.property(word, word, word, word, word, (value, low0, high0, low1, high1) => {
      const octets = new Uint8Array(4);
      new DataView(octets.buffer).setUint32(0, value, true);
      const key0 = (BigInt(high0) << 32n) | BigInt(low0);
      const key1 = (BigInt(high1) << 32n) | BigInt(low1);
      expect(hsiphash(value, low0, low1, high0, high1)).toBe(
        Number(sipHash(1, 3, key0, key1, octets) & 0xffffffffn),
      );
    }),
    {
      examples: [
        [0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff],
        [0, 0, 0, 0, 0],
      ],
    },
  ));

/** Which of four servers, 10.1.0.11 (weight 1, added first) to .14 (weights 1, 1, 2, 3), a Linux 6.1 director gives. */
const OBSERVED_SH = '3334144423344444224443342244433322444331124443311144333111443334';

test('the buckets and the multiplicative hash of sh match those of a Linux 6.1 director', () => {
  const turn = [4, 4, 4, 3, 3, 2, 1]; // newest first, each as often as its weight
  const picks = Array.from({ length: 64 }, (_v, i) => {
    const client = foldAddress(parseAddress(`10.0.0.${i + 1}`)!);
    return turn[multiplicative(client, 8) % turn.length];
  });
  expect(picks.join('')).toBe(OBSERVED_SH);
});

test('an IPv6 address folds to the XOR of its words', () => {
  expect(foldAddress(parseAddress('fd00::8000:1:2')!)).toBe((0xfd000000 ^ 0x8000 ^ 0x00010002) >>> 0);
  expect(foldAddress(parseAddress('255.0.0.1')!)).toBe(0xff000001);
});

test('the multiplicative hash is a permutation of 32 bits: no two values collide', () =>
  fc.assert(
    fc.property(word, word, (a, b) => {
      fc.pre(a !== b);
      expect(multiplicative(a, 32)).not.toBe(multiplicative(b, 32));
      expect(multiplicative(a, 8)).toBe(multiplicative(a, 32) >>> 24);
    }),
  ));
