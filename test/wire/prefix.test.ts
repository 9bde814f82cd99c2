import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  type Address,
  formatAddress,
  isV4,
  maskAddress,
  parseAddress,
  sameAddress,
} from '../../src/wire/address.ts';
import { formatPrefix, maskOf, type Prefix, parsePrefix } from '../../src/wire/prefix.ts';
import { PrefixSet } from '../../src/wire/prefix-set.ts';

describe('a prefix', () => {
  test.each([
    ['198.51.100.7', '198.51.100.7', 128],
    ['198.51.100.7/32', '198.51.100.7', 128],
    ['198.51.100.0/24', '198.51.100.0/24', 120],
    ['0.0.0.0/0', '0.0.0.0/0', 96],
    ['::/0', '::/0', 0],
    ['2001:DB8:0::/32', '2001:db8::/32', 32],
    ['2001:db8::1/128', '2001:db8::1', 128],
    // IPv4 in IPv6.
    ['::ffff:198.51.100.7', '198.51.100.7', 128],
    ['::ffff:198.51.100.0/120', '198.51.100.0/24', 120],
    ['::ffff:0:0/96', '0.0.0.0/0', 96],
  ])('%s is %s', (text, written, bits) => {
    const prefix = parsePrefix(text) as Prefix;
    expect([formatPrefix(prefix), prefix.bits]).toEqual([written, bits]);
  });

  test.each([
    ['', 'expected an address'],
    ['nothing', 'expected an address'],
    ['198.51.100.0/', 'expected an address'],
    ['198.51.100.0/-1', 'expected an address'],
    ['198.51.100.0/24/24', 'expected an address'],
    ['198.51.100.256', 'expected an address'],
    ['198.51.100', 'expected an address'],
    ['fe80::1%eth0', 'expected an address'],
    ['198.51.100.0/33', 'expected at most 32 bits'],
    ['2001:db8::/129', 'expected at most 128 bits'],
    ['198.51.100.7/24', 'bits are set behind the prefix: expected 198.51.100.0/24, or 198.51.100.7 alone'],
    ['2001:db8::1/32', 'bits are set behind the prefix: expected 2001:db8::/32, or 2001:db8::1 alone'],
    ['::ffff:0:0/95', 'bits are set behind the prefix'],
  ])('is not %s: %s', (text, problem) => expect(parsePrefix(text)).toMatch(problem));
});

/** Reports whether an address is in a prefix of its family. */
const isInPrefix = (address: Address, prefix: Prefix): boolean =>
  isV4(address) === isV4(prefix.address) &&
  sameAddress(maskAddress(address, maskOf(prefix.bits), new Uint32Array(4)), prefix.address);

/** Addresses and prefixes that often have bits in common. */
const word = fc.constantFrom(0, 1, 0x80000000, 0xcb007101, 0xffffffff);
const anyAddress = fc
  .oneof(
    fc.tuple(fc.constant(0), fc.constant(0), fc.constant(0xffff), word),
    fc.tuple(word, word, word, word),
  )
  .map((words) => Uint32Array.from(words) as Address);
const anyPrefix = fc
  .tuple(anyAddress, fc.integer({ min: 0, max: 128 }))
  .map(([address, bits]) => parsePrefix(prefixText(address, bits)) as Prefix);

function prefixText(address: Address, bits: number): string {
  const length = address[2] === 0xffff && address[1] === 0 && address[0] === 0 ? Math.max(bits, 96) : bits;
  const masked = address.map((each, i) => each & maskOf(length)[i]!) as Address;
  const text = formatAddress(masked);
  return `${text}/${text.includes(':') ? length : length - 96}`;
}

test('a set of prefixes finds the longest one that an address is in, as a list of them does', () => {
  const steps = fc.array(fc.tuple(anyPrefix, fc.boolean()), { maxLength: 20 });
  fc.assert(
    fc.property(steps, fc.array(anyAddress, { minLength: 1 }), (changes, addresses) => {
      const set = new PrefixSet();
      const list = new Map<string, Prefix>();
      for (const [prefix, isAdded] of changes) {
        if (isAdded) set.add(prefix);
        else set.delete(prefix);
        if (isAdded) list.set(formatPrefix(prefix), prefix);
        else list.delete(formatPrefix(prefix));
        expect(set.size).toBe(list.size);
        for (const address of [...addresses, prefix.address]) {
          const matching = [...list.values()].filter((each) => isInPrefix(address, each));
          expect(set.match(address)).toBe(Math.max(-1, ...matching.map(({ bits }) => bits)));
        }
      }
    }),
  );
});

test('a set finds the prefix that another one lies in', () => {
  const set = new PrefixSet();
  for (const text of ['10.0.0.0/8', '10.1.0.0/16', '::/0']) set.add(parsePrefix(text) as Prefix);
  const covering = (text: string) => {
    const found = set.covering(parsePrefix(text) as Prefix);
    return found && formatPrefix(found);
  };
  expect(covering('10.1.2.3')).toBe('10.1.0.0/16');
  expect(covering('10.1.0.0/16')).toBe('10.1.0.0/16');
  expect(covering('10.0.0.0/9')).toBe('10.0.0.0/8');
  expect(covering('0.0.0.0/0')).toBeUndefined();
  expect(covering('2001:db8::/32')).toBe('::/0');
  expect(formatPrefix(set.find(parseAddress('10.1.9.9')!)!)).toBe('10.1.0.0/16');
  expect(set.find(parseAddress('11.0.0.1')!)).toBeUndefined();
});
