import { expect, test } from 'vitest';
import { Director } from '../../src/director/director.ts';
import { availableMemory, defaultConnections, withTable } from '../../src/runtime/table-size.ts';
import { Directed } from '../support/directed.ts';

const MIB = 2 ** 20;

test.each([
  [64 * 1024 * MIB, 1_048_576],
  [4096 * MIB, 1_048_576],
  [1024 * MIB, 466_033],
  [1 * MIB, 1024],
])('%d bytes of memory are enough for %d connections', (memory, connections) => {
  expect(defaultConnections(memory)).toBe(connections);
});

test('the memory of this process is known', () => {
  expect(availableMemory()).toBeGreaterThan(64 * MIB);
});

test('where memory is short the table is smaller, and that is reported', () => {
  const events: unknown[] = [];
  const log = (level: string, event: string, fields: unknown) => void events.push([level, event, fields]);
  const size = withTable(10_000, log as never, (connections) => {
    if (connections > 3000) throw new RangeError('Array buffer allocation failed');
    return connections;
  });
  expect(size).toBe(2500);
  expect(events).toEqual([['warning', 'table-smaller', { wanted: 10_000, connections: 2500 }]]);
});

test('without memory for the smallest table the director does not start', () => {
  const tries: number[] = [];
  const make = (connections: number) => {
    tries.push(connections);
    throw new RangeError('Array buffer allocation failed');
  };
  expect(() => withTable(5000, () => {}, make)).toThrow(/no memory for 1024 connections/);
  expect(tries).toEqual([5000, 2500, 1250, 1024]);
});

test('other errors are not taken for short memory', () => {
  const make = () => {
    throw new TypeError('wrong');
  };
  expect(() => withTable(5000, () => {}, make)).toThrow(TypeError);
});

test('a table that no machine has memory for ends in a smaller one', () => {
  const host = new Directed();
  let tried = 0;
  const director = withTable(
    2 ** 25,
    () => {},
    (maxConnections) => {
      // The address space of this process has room for the real table; a shortage is what a limit of it would be.
      if (++tried < 10) throw new RangeError('Array buffer allocation failed');
      return new Director({ host, maxConnections });
    },
  );
  expect(director.summary(0).table.capacity).toBe(2 ** 16);
});
