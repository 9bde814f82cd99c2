import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Neighbors } from '../../src/io/neighbors.ts';
import { type Address, addressFromV4 } from '../../src/wire/address.ts';
import { MAC } from '../../src/wire/ethernet.ts';
import { frameOf, lineOf } from '../support/packets.ts';

const neighbor = (n: number): Address => addressFromV4(0x0a000000 + n);
const macOf = (n: number): Uint8Array => Uint8Array.of(2, 0, 0, 0, n >> 8, n);
const packet = (n: number): string => `10.0.0.1:${n} > 10.0.0.2:80 UDP`;

test('packets wait in order, the oldest gives way, and all are bounded', () => {
  const table = new Neighbors({ waitingForOne: 3, waiting: 4 });
  for (let i = 1; i <= 5; i++) expect(table.wait(neighbor(1), frameOf(packet(i)), 0)).toBe(true);
  expect(table.lost).toBe(2);
  expect(table.wait(neighbor(2), frameOf(packet(6)), 0)).toBe(true);
  expect(table.wait(neighbor(3), frameOf(packet(7)), 0)).toBe(false); // no packet of its own to give up
  const row = table.learn(neighbor(1), macOf(1), 0, 0);
  expect(table.release(row).map((octets) => lineOf(octets))).toEqual([packet(3), packet(4), packet(5)]);
  expect(table.release(row)).toEqual([]);
});

test('a full table gives up the neighbour that was not used for longest, never one that is being asked', () => {
  const table = new Neighbors({ neighbors: 2 });
  for (const n of [1, 2]) {
    table.wait(neighbor(n), frameOf(packet(n)), n);
    table.learn(neighbor(n), macOf(n), 0, n);
  }
  table.lookup(neighbor(1), 10);
  expect(table.wait(neighbor(3), frameOf(packet(3)), 11)).toBe(true);
  expect(table.lookup(neighbor(2), 12)).toBe(-1);
  expect(table.lookup(neighbor(1), 12)).toBeGreaterThanOrEqual(0);
  expect(table.wait(neighbor(4), frameOf(packet(4)), 13)).toBe(true);
  expect(table.wait(neighbor(5), frameOf(packet(5)), 14)).toBe(false);
});

test('a group address is nobody’s', () => {
  const table = new Neighbors();
  table.wait(neighbor(1), frameOf(packet(1)), 0);
  expect(table.learn(neighbor(1), new Uint8Array(MAC).fill(0xff), 0, 0)).toBe(-1);
});

test('it knows what a plain map knows, however neighbours come and go', () =>
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.constantFrom('use', 'answer', 'later'), fc.nat(20))), (steps) => {
      const table = new Neighbors({ neighbors: 32, reachable: 1000, retry: 10, attempts: 2 });
      const known = new Map<number, { confirmed: number; doubt: number[] }>();
      const asked = new Map<number, number[]>();
      let now = 0;
      for (const [what, n] of steps) {
        if (what === 'later') now += 10;
        if (what === 'answer') {
          const heard = table.learn(neighbor(n), macOf(n), 0, now) >= 0;
          expect(heard).toBe(asked.has(n) || known.has(n));
          if (heard) known.set(n, { confirmed: now, doubt: [] });
          asked.delete(n);
        }
        if (what === 'use') {
          const row = table.lookup(neighbor(n), now);
          expect(row >= 0).toBe(known.has(n));
          if (row >= 0) expect([...table.macs.subarray(row * MAC, (row + 1) * MAC)]).toEqual([...macOf(n)]);
          else {
            table.wait(neighbor(n), frameOf(packet(n)), now);
            if (!asked.has(n)) asked.set(n, []);
          }
        }
        for (const [m, times] of asked) if (times.length === 2 && now - times[1]! >= 10) asked.delete(m);
        table.due(now, (address) => asked.get(address[3]! - 0x0a000000)!.push(now));
      }
    }),
  ));
