import fc from 'fast-check';
import { expect, test } from 'vitest';
import { FlowTable, flowTableOctets } from '../../src/offload/flow-table.ts';
import { PROBES } from '../../src/offload/layout.ts';
import type { Block } from '../../src/sys/memory.ts';
import { addressFromV4 } from '../../src/wire/address.ts';
import { TCP } from '../../src/wire/tcp.ts';
import { UDP } from '../../src/wire/udp.ts';
import { address } from '../forwarding/recorded-host.ts';

function open(slots: number, seed = 7): { table: FlowTable; memory: Block } {
  const buffer = new ArrayBuffer(flowTableOctets(4, slots));
  const memory = { address: 0, bytes: new Uint8Array(buffer), view: new DataView(buffer) };
  return { table: new FlowTable(4, memory, slots, seed), memory };
}
const VIP = address('192.0.2.80');
const client = (i: number) => addressFromV4(0x0a000000 + i);

test('a flow is added once; its key is free again after it was removed and freed', () => {
  const { table } = open(64);
  const slot = table.insert(TCP, client(1), 4000, VIP, 80, 3);
  expect(table.insert(TCP, client(1), 4000, VIP, 80, 4)).toBe(-1);
  expect(table.insert(UDP, client(1), 4000, VIP, 80, 4)).toBeGreaterThanOrEqual(0);
  table.remove(slot);
  expect(table.insert(TCP, client(1), 4000, VIP, 80, 5)).toBeGreaterThanOrEqual(0);
  expect([table.live, table.takeRetired()]).toEqual([2, [slot]]);
});

test('a removed slot is not reused before it is freed', () => {
  const { table } = open(1);
  const slots = Array.from({ length: PROBES }, (_, i) => table.insert(TCP, client(i), 1, VIP, 80, 1));
  expect(new Set(slots).size).toBe(PROBES);
  expect(table.insert(TCP, client(99), 1, VIP, 80, 1)).toBe(-1);
  table.remove(slots[3]!);
  expect(table.insert(TCP, client(99), 1, VIP, 80, 1)).toBe(-1);
  for (const slot of table.takeRetired()) table.free(slot);
  expect(table.insert(TCP, client(99), 1, VIP, 80, 1)).toBe(slots[3]);
});

test('at half load hardly any flow finds no slot, whatever the seed', () => {
  for (const seed of [1, 2, 3]) {
    const { table } = open(8192, seed);
    let unplaced = 0;
    for (let i = 0; i < 4096; i++)
      if (table.insert(TCP, client(i >> 4), 1024 + i, VIP, 80, 1) < 0) unplaced++;
    expect(unplaced).toBeLessThan(8);
  }
});

test('counts are the increase since the last read, across every overflow', () => {
  const { table, memory } = open(1);
  const slot = table.insert(TCP, client(1), 1, VIP, 80, 1);
  const counts = new BigUint64Array(memory.bytes.buffer, slot * 32 + 24, 1);
  expect(table.count(slot)).toBe(false);
  fc.assert(
    fc.property(fc.nat(2 ** 24 - 1), fc.nat({ max: 2 ** 40 - 1 }), (packets, octets) => {
      fc.pre(packets + octets > 0);
      // As programs add: both in one 64-bit word that wraps.
      counts[0] = BigInt.asUintN(64, counts[0]! + (BigInt(packets) << 40n) + BigInt(octets));
      expect(table.count(slot)).toBe(true);
      expect([...table.counted]).toEqual([packets, octets]);
    }),
  );
});
