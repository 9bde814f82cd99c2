import fc from 'fast-check';
import { expect, test } from 'vitest';
import { AddressFilter } from '../../src/director/address-filter.ts';
import { type Address, parseAddress } from '../../src/wire/address.ts';

const word = fc.nat(0xffffffff);
const address: fc.Arbitrary<Address> = fc.oneof(
  fc.nat(255).map((n) => Uint32Array.of(0, 0, 0xffff, 0x0a000000 + n)),
  fc.tuple(word, word, word, word).map((words) => Uint32Array.from(words)),
);

test('contains a key as long as it was added more often than removed', () => {
  fc.assert(
    fc.property(fc.array(address), fc.array(address), (kept, gone) => {
      const filter = new AddressFilter();
      for (const each of [...kept, ...gone]) filter.add(each);
      for (const each of gone) filter.remove(each);
      expect(kept.every((each) => filter.mayHave(each))).toBe(true);
    }),
  );
});

test('contains hardly any key that was never added or was removed', () => {
  const filter = new AddressFilter();
  for (let n = 0; n < 100; n++) filter.add(parseAddress(`10.0.0.${n}`)!);
  const others = Array.from({ length: 1000 }, (_, n) => parseAddress(`203.0.${n >> 8}.${n & 255}`)!);
  expect(others.filter((each) => filter.mayHave(each)).length).toBeLessThan(5);
  for (let n = 0; n < 100; n++) filter.remove(parseAddress(`10.0.0.${n}`)!);
  expect(filter.mayHave(parseAddress('10.0.0.1')!)).toBe(false);
});
