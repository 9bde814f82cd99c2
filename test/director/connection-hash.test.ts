import fc from 'fast-check';
import { expect, test } from 'vitest';
import { tupleHash } from '../../src/director/connection-hash.ts';
import { type Address, parseAddress } from '../../src/wire/address.ts';

const rotl = (x: number, n: number) => (x << n) | (x >>> (32 - n));

/** HalfSipHash-c-d, 32 bits, as its authors describe it: the plain twin. `words` include the last one, with the length. */
function halfSipHash(c: number, d: number, key: readonly [number, number], words: readonly number[]): number {
  const v = [key[0], key[1], key[0] ^ 0x6c796765, key[1] ^ 0x74656462] as [number, number, number, number];
  const rounds = (count: number) => {
    for (let i = 0; i < count; i++) {
      v[0] = (v[0] + v[1]) | 0;
      v[1] = rotl(v[1], 5) ^ v[0];
      v[0] = rotl(v[0], 16);
      v[2] = (v[2] + v[3]) | 0;
      v[3] = rotl(v[3], 8) ^ v[2];
      v[0] = (v[0] + v[3]) | 0;
      v[3] = rotl(v[3], 7) ^ v[0];
      v[2] = (v[2] + v[1]) | 0;
      v[1] = rotl(v[1], 13) ^ v[2];
      v[2] = rotl(v[2], 16);
    }
  };
  for (const word of words) {
    v[3] ^= word;
    rounds(c);
    v[0] ^= word;
  }
  v[2] ^= 0xff;
  rounds(d);
  return v[1] ^ v[3];
}

test.each([
  ['no octets', [0], 0x5b9f35a9],
  ['00', [0x0100_0000], 0xb85a4727],
  ['00 01', [0x0200_0100], 0x03a662fa],
])(
  'the reference implementation gives the published HalfSipHash-2-4 result for %s',
  (_what, words, answer) => {
    expect(halfSipHash(2, 4, [0x03020100, 0x07060504], words) >>> 0).toBe(answer);
  },
);

const word = fc.integer({ min: 0, max: 0xffffffff });
const v4 = word.map((last): Address => Uint32Array.of(0, 0, 0xffff, last));
const v6 = fc.tuple(word, word, word, word).map((words): Address => Uint32Array.from(words));
const anAddress = fc.oneof(v4, v6);

test('the hash is HalfSipHash-1-3 of the words, of which IPv4 has only the last', () => {
  fc.assert(
    fc.property(word, word, anAddress, anAddress, word, word, (key0, key1, a, b, ports, last) => {
      const isV4 = (address: Address) => address[0] === 0 && address[1] === 0 && address[2] === 0xffff;
      const addresses = isV4(a) && isV4(b) ? [a[3]!, b[3]!] : [...a, ...b];
      expect(tupleHash(key0 | 0, key1 | 0, a, b, ports | 0, last | 0)).toBe(
        halfSipHash(1, 3, [key0, key1], [...addresses, ports, last]),
      );
    }),
  );
});

test('the hash spreads neighboring clients and ports evenly', () => {
  const buckets = new Uint32Array(256);
  const caddr = parseAddress('10.0.0.0')!;
  const vip = parseAddress('192.0.2.80')!;
  const base = caddr[3]!;
  for (let i = 0; i < 65_536; i++) {
    caddr[3] = base + (i >> 4);
    buckets[tupleHash(1, 2, caddr, vip, ((1024 + (i & 15)) << 16) | 80, 6) & 255]!++;
  }
  // 256 a bucket, give or take six times the deviation of a random spread, 16.
  for (const count of buckets) expect(Math.abs(count - 256)).toBeLessThan(96);
});
