import { expect, test } from 'vitest';
import { DEFAULT_SETTINGS } from '../../src/model/settings.ts';
import {
  LAYOUT_VERSION,
  layoutDigest,
  ROW,
  ROW_BYTES,
  ROW_SHIFT_16,
  ROW_SHIFT_32,
} from '../../src/table/layout.ts';
import * as records from '../../src/table/record-layout.ts';

/** A memory that another version has left is recognized by its version: a new digest needs a new version. */
test('the layout is that of its version', () => {
  expect({ version: LAYOUT_VERSION, digest: layoutDigest() }).toEqual({
    version: 10,
    digest: '6213956269b7286a',
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
const DESTINATION_FIELDS: Readonly<Record<keyof typeof records.DESTINATION, number>> = {
  address: 16,
  port: 2,
  method: 2,
  service: 2,
  nextHop: 2,
  flags: 4,
  tunnelPort: 2,
  tunnel: 2,
  changes: 8,
  replyChanges: 8,
  outerSum: 2,
  reserved: 2,
  weight: 4,
  upper: 4,
  active: 4,
  inactive: 4,
  persistent: 4,
  overloaded: 4,
  lower: 4,
  lastWeight: 4,
};
const SERVICE_FIELDS: Readonly<Record<keyof typeof records.SERVICE, number>> = {
  scheduler: 4,
  flags: 4,
  list: 8,
  table: 8,
  level: 4,
  last: 4,
  step: 4,
  top: 4,
  persistence: 4,
  mask: 16,
  address: 16,
  port: 2,
  protocol: 1,
  family: 1,
  mark: 4,
  longest: 2,
  schedulerName: 1,
  engine: 1,
  schedulerFlags: 2,
  order: 4,
  lists: 4,
};
const NEXT_HOP_FIELDS: Readonly<Record<keyof typeof records.NEXT_HOP, number>> = {
  interface: 4,
  mtu: 2,
  vlan: 2,
  to: 8,
  from: 8,
  source: 16,
  generation: 4,
};
const COUNTERS_FIELDS: Readonly<Record<keyof typeof records.COUNTERS, number>> = {
  connections: 8,
  inPackets: 8,
  outPackets: 8,
  inOctets: 8,
  outOctets: 8,
  reused: 8,
  expired: 8,
  templated: 8,
};
const SETTINGS_FIELDS: Readonly<Record<keyof typeof records.SETTINGS, number>> = {
  version: 4,
  digest: 8,
  ticksPerSecond: 4,
  limit: 4,
  homes: 4,
  generation: 4,
  heartbeat: 4,
  secrets: 13 * 4,
  lists: 4,
  valve: 4,
  valveFrom: 4,
  embryonicFrom: 4,
  dropRate: 4,
  transitionsInUse: 4,
  backup: 4,
  deferred: 4,
  tcpTimeouts: 16 * 4,
  udpTimeout: 4,
  complete: 4,
  clockShift: 4,
  processors: 4,
  clockOffset: 8,
  counted: 4,
  identity: 4,
  bootId: 16,
  orphan: 4,
  passFrom: 4,
  aliveAt: 8,
  sysctls: Object.keys(DEFAULT_SETTINGS).length * 4,
  transitions: 15 * 8,
  secureTransitions: 15 * 8,
  marked: 4,
  identification: 4,
  servers: 8192 / 8,
};
/** Alignment of fields of characters and of words. */
const ALIGNED: Readonly<Record<string, number>> = { digest: 4, secrets: 4 };

test.each([
  ['a row', ROW, ROW_FIELDS, ROW_BYTES],
  ['a destination', records.DESTINATION, DESTINATION_FIELDS, records.DESTINATION_BYTES],
  ['a service', records.SERVICE, SERVICE_FIELDS, records.SERVICE_BYTES],
  ['a next hop', records.NEXT_HOP, NEXT_HOP_FIELDS, records.NEXT_HOP_BYTES],
  ['counters', records.COUNTERS, COUNTERS_FIELDS, records.COUNTERS_BYTES],
  ['the settings', records.SETTINGS, SETTINGS_FIELDS, records.SETTINGS_BYTES],
] as const)('the fields of %s are aligned, do not overlap, and fit', (_what, offsets, sizes, bytes) => {
  let end = 0;
  const fields = Object.entries<number>(offsets).sort(([, a], [, b]) => a - b);
  for (const [name, offset] of fields) {
    const size = (sizes as Readonly<Record<string, number>>)[name]!;
    expect(offset, name).toBeGreaterThanOrEqual(end);
    expect(offset % (ALIGNED[name] ?? Math.min(size, 8)), name).toBe(0);
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

test('what packets of known connections read of a destination is one cache line', () => {
  const { weight, upper, active, inactive, persistent, overloaded, lower, lastWeight, ...read } =
    records.DESTINATION;
  expect(Math.max(...Object.values(read))).toBeLessThan(64);
  expect(Math.min(weight, upper, active, inactive, persistent, overloaded, lower, lastWeight)).toBe(64);
});

test('a scheduler moves on, and a list is replaced, by one aligned word of 64 bits', () => {
  const { level, last, list, table } = records.SERVICE;
  expect([level % 8, list % 8, table % 8, last - level]).toEqual([0, 0, 0, 4]);
});

test('active and inactive connections are one aligned word of 64 bits', () => {
  const { active, inactive } = records.DESTINATION;
  expect([active % 8, inactive - active]).toEqual([0, 4]);
});
