import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Homes, secretsFrom } from '../../src/table/homes.ts';

const aWord = fc.nat(0xffff_ffff).map((word) => word >>> 0);
const secretWords = fc.uint32Array({ minLength: 13, maxLength: 13 });
const MASK_64 = (1n << 64n) - 1n;

/** The same by whole numbers of 64 bits. */
function plainSum(secrets: Uint32Array, words: readonly number[]): number {
  const wide = (i: number) => (BigInt(secrets[2 * i + 1]!) << 32n) | BigInt(secrets[2 * i]!);
  let sum = wide(5);
  for (const [i, word] of words.entries()) sum = (sum + wide(i) * BigInt(word)) & MASK_64;
  return Number(sum >> 32n) | 0;
}

function plainHome(secrets: Uint32Array, words: readonly number[], places: number): number {
  const sum = plainSum(secrets, words);
  const hash = Math.imul(sum ^ (sum >>> 15), secrets[12]! | 1) >>> 0;
  return Number((BigInt(hash >>> 7) * BigInt(places)) >> 25n);
}

test('a home is what whole numbers of 64 bits make of five words', () => {
  fc.assert(
    fc.property(
      secretWords,
      fc.tuple(aWord, aWord, aWord, aWord, aWord),
      fc.integer({ min: 1, max: 2 ** 28 - 1 }),
      (secrets, words, places) => {
        const homes = new Homes(places, secrets);
        expect(homes.sum(...words)).toBe(plainSum(secrets, words));
        expect(homes.ofIpv6(...words)).toBe(plainHome(secrets, words, places));
        const [, , , address, client] = words;
        expect(homes.ofIpv4(address, client)).toBe(plainHome(secrets, [0, 0, 0, address, client], places));
      },
    ),
    { numRuns: 2000 },
  );
});

test('words may be signed, as rows have them', () => {
  const homes = new Homes(1000, secretsFrom(7));
  expect(homes.ofIpv6(-1, -2, -3, -4, -5)).toBe(
    homes.ofIpv6(0xffffffff, 0xfffffffe, 0xfffffffd, 0xfffffffc, 0xfffffffb),
  );
  expect(homes.ofIpv4(-1, -2)).toBe(homes.ofIpv4(0xffffffff, 0xfffffffe));
});

/** In hashes that mix one word after the other, differences in two words cancel whatever the secret is. */
test('addresses of one /64 that differ in the upper bits of both words spread over the homes', () => {
  for (let seed = 1; seed <= 20; seed++) {
    const homes = new Homes(1 << 20, secretsFrom(seed));
    const rows = new Map<number, number>();
    for (let address = 0; address < 4096; address++) {
      const word2 = ((address >>> 6) << 26) ^ ((address & 63) << 10);
      const word3 = ((address & 63) << 26) ^ ((address >>> 6) << 10);
      const home = homes.ofIpv6(0x20010db8, 0x77, word2, word3, 0x0606d204);
      rows.set(home, (rows.get(home) ?? 0) + 1);
    }
    expect(Math.max(...rows.values())).toBeLessThan(8);
  }
});

test('too few secrets are refused', () => {
  expect(() => new Homes(10, new Uint32Array(12))).toThrow(RangeError);
});
