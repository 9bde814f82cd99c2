import fc from 'fast-check';
import { expect, test } from 'vitest';
import { type Address, addressFromV4, formatAddress } from '../../src/wire/address.ts';
import { AddressMap } from '../../src/wire/address-map.ts';

/** Few addresses, so that they meet: those of IPv6 differ in any of their words. */
const word = fc.constantFrom(0, 1, 0x7fffffff, 0x80000000, 0xffffffff);
const address: fc.Arbitrary<Address> = fc.oneof(
  word.map(addressFromV4),
  fc.tuple(word, word, word, word).map((words) => Uint32Array.from(words)),
);
const step = fc.tuple(fc.constantFrom('set', 'set', 'delete', 'clear'), address, fc.option(fc.nat(9)));

test('a map by address has what a map by text has', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const map = new AddressMap<number | null>();
      const expected = new Map<string, number | null>();
      for (const [what, at, value] of steps) {
        if (what === 'set') {
          map.set(at, value);
          expected.set(formatAddress(at), value);
        } else if (what === 'delete') {
          map.delete(at);
          expected.delete(formatAddress(at));
        } else if (value === 0) {
          map.clear();
          expected.clear();
        }
        expect(map.size).toBe(expected.size);
        for (const [, each] of steps) {
          expect(map.get(each)).toBe(expected.get(formatAddress(each)));
          expect(map.has(each)).toBe(expected.has(formatAddress(each)));
        }
      }
    }),
  );
});
