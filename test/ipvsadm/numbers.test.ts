import fc from 'fast-check';
import { expect, test } from 'vitest';
import { dotted, parseInetAton, parseNumber } from '../../src/ipvsadm/numbers.ts';

test.each([
  ['5', 5],
  [' 5', 5],
  ['+5', 5],
  ['010', 10],
  ['-0', 0],
  ['5 ', undefined],
  ['5x', undefined],
  ['0x5', undefined],
  ['1.5', undefined],
  ['', undefined],
  ['-1', undefined],
  ['101', undefined],
  ['99999999999999999999', undefined],
])('%j is parsed as a number up to 100', (text, want) => expect(parseNumber(text, 0, 100)).toBe(want));

test.each([
  ['10.9.1', '10.9.0.1'],
  ['10.9', '10.0.0.9'],
  ['168361985', '10.9.0.1'],
  ['010.9.0.1', '8.9.0.1'],
  ['0x0a.9.0.1', '10.9.0.1'],
  ['10.9.0.1 x', '10.9.0.1'],
  ['255.255.255.255', '255.255.255.255'],
])('%j is the address %s', (text, want) => expect(dotted(parseInetAton(text)!)).toBe(want));

test.each([
  '',
  ' 10.9.0.1',
  '10.9.0.256',
  '256.1',
  '10.16777216',
  '10.9.65536',
  '4294967296',
  '09.1.1.1',
  '1.2.3.4.5',
  '1..2',
  '0x.1',
  'a',
])('%j is not an address', (text) => expect(parseInetAton(text)).toBeUndefined());

test('a dotted address is parsed again after it is printed', () => {
  fc.assert(
    fc.property(fc.nat(0xffffffff), (word) => {
      expect(parseInetAton(dotted(word))).toBe(word);
    }),
  );
});
