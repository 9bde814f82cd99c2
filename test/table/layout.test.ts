import { expect, test } from 'vitest';
import {
  DESTINATION,
  DESTINATION_BYTES,
  LAYOUT_VERSION,
  layoutDigest,
  ROW,
  ROW_BYTES,
  ROW_SHIFT_16,
  ROW_SHIFT_32,
} from '../../src/table/layout.ts';

/** A memory that another version has left is recognized by its version: a new digest needs a new version. */
test('the layout is that of its version', () => {
  expect({ version: LAYOUT_VERSION, digest: layoutDigest() }).toEqual({
    version: 1,
    digest: 'dc1a6e423a47cbbd',
  });
});

/** Bytes of each field; `client` is claimed as a word. */
const ROW_FIELDS: Readonly<Record<keyof typeof ROW, number>> = {
  caddr: 16,
  vaddr: 16,
  client: 4,
  vport: 2,
  packets: 2,
  near: 8,
  track: 4,
  timeout: 4,
  seen: 4,
  destination: 2,
  nextHop: 2,
};
const DESTINATION_FIELDS: Readonly<Record<keyof typeof DESTINATION, number>> = { address: 16, port: 2 };

test.each([
  ['a row', ROW, ROW_FIELDS, ROW_BYTES],
  ['a destination', DESTINATION, DESTINATION_FIELDS, DESTINATION_BYTES],
] as const)('the fields of %s are aligned, do not overlap, and fit', (_what, offsets, sizes, bytes) => {
  let end = 0;
  const fields = Object.entries(offsets).sort(([, a], [, b]) => a - b);
  for (const [name, offset] of fields) {
    const size = (sizes as Readonly<Record<string, number>>)[name]!;
    expect(offset, name).toBeGreaterThanOrEqual(end);
    expect(offset % Math.min(size, 8), name).toBe(0);
    end = offset + size;
  }
  expect(end).toBeLessThanOrEqual(bytes);
});

test('state and timeout change by one aligned word of 64 bits', () => {
  expect(ROW.track % 8).toBe(0);
  expect(ROW.timeout).toBe(ROW.track + 4);
});

test('a row is one cache line', () => {
  expect(ROW_BYTES).toBe(64);
  expect([4 << ROW_SHIFT_32, 2 << ROW_SHIFT_16]).toEqual([ROW_BYTES, ROW_BYTES]);
});
