import { describe, expect, test } from 'vitest';
import { ConnectionTable } from '../../src/director/connections.ts';
import { NONE } from '../../src/model/connection.ts';
import { ROW, ROW_BYTES } from '../../src/table/layout.ts';
import { ordinaryMemory, type Region, type RegionName, type TableMemory } from '../../src/table/memory.ts';
import { MIN_TICK_MS, Ticks } from '../../src/table/ticks.ts';
import { type Address, addressFromV4, parseAddress } from '../../src/wire/address.ts';
import { bound, ends } from '../support/rows.ts';

const TCP = 6;
const RS = 1;
const DAY = 86_400_000;
const vip = parseAddress('192.0.2.80')!;
const client = (i: number): Address => addressFromV4(0xc0000000 + i);
const its = (i: number) => ends(TCP, client(i), 4000, vip, 80);

/** A table whose rows a program of the kernel could write, too. */
class SharedTable implements TableMemory {
  readonly table: ConnectionTable;
  readonly #regions = new Map<RegionName, Region>();

  constructor(limit = 64) {
    this.table = new ConnectionTable({ limit, seed: 1, memory: this, ticks: new Ticks(MIN_TICK_MS) });
    this.table.records.set(RS, parseAddress('10.0.0.1')!, 80);
  }

  reserve(name: RegionName, bytes: number): Region {
    const region = ordinaryMemory.reserve(name, bytes);
    this.#regions.set(name, region);
    return region;
  }

  /** A packet that the director does not receive: the program writes when it was. */
  pass(row: number, now: number): void {
    const { buffer, offset } = this.#regions.get('rows')!;
    new Int32Array(buffer, offset)[(row * ROW_BYTES + ROW.seen) / 4] = Math.floor(now / MIN_TICK_MS) | 0;
  }

  /** Rows that expire while the clock goes from one time to another in steps. */
  expired(from: number, to: number, step: number): number[] {
    const rows: number[] = [];
    for (let now = from; now <= to; now += step) this.table.expire(now, (row) => rows.push(row) > 0);
    return rows;
  }
}

function connect(shared: SharedTable, i: number, now: number, timeout: number): number {
  const { table } = shared;
  const row = table.add(its(i), bound(RS, 80));
  table.setTimeout(row, timeout);
  table.touch(row, now);
  return row;
}

describe.each([0, 4 * 2 ** 31 - 3000, 4 * 2 ** 32 - 3000])('with a clock that starts at %d ms', (start) => {
  test('a connection expires within a pass of its end, not before', () => {
    const shared = new SharedTable();
    shared.expired(start, start, 1);
    const row = connect(shared, 1, start, 60_000);
    expect(shared.table.timeout(row)).toBe(60_000);
    expect(shared.table.expires(row)).toBe(start + 60_000);
    expect(shared.expired(start, start + 60_000, 100)).toEqual([]);
    expect(shared.expired(start + 60_000, start + 61_200, 100)).toEqual([row]);
    expect(shared.table.size).toBe(0);
  });

  test('a connection whose packets only the program has seen does not expire', () => {
    const shared = new SharedTable();
    shared.expired(start, start, 1);
    const row = connect(shared, 1, start, 60_000);
    shared.pass(row, start + 59_000);
    expect(shared.expired(start, start + 118_000, 100)).toEqual([]);
    expect(shared.expired(start + 118_000, start + 121_000, 100)).toEqual([row]);
  });

  test('a connection of 31 days lives for 31 days', () => {
    const shared = new SharedTable();
    shared.expired(start, start, 1);
    const row = connect(shared, 1, start, 31 * DAY);
    expect(shared.expired(start, start + 31 * DAY, DAY / 2)).toEqual([]);
    expect(shared.expired(start + 31 * DAY, start + 31 * DAY + 2000, 100)).toEqual([row]);
  });

  test('a timeout that is longer than a row can have is the longest, and ends', () => {
    const shared = new SharedTable();
    shared.expired(start, start, 1);
    const row = connect(shared, 1, start, 1000 * DAY);
    const longest = shared.table.timeout(row);
    expect(longest).toBe(2 ** 30 * MIN_TICK_MS);
    expect(shared.expired(start, start + longest, DAY)).toEqual([]);
    expect(shared.expired(start + longest, start + longest + 2000, 100)).toEqual([row]);
  });
});

test('a row that is made due ends at the next call', () => {
  const shared = new SharedTable();
  const row = connect(shared, 1, 0, 60_000);
  shared.table.expireNow(row);
  expect(shared.table.expires(row)).toBeLessThan(0);
  expect(shared.expired(0, 0, 1)).toEqual([row]);
});

test('a row that the callback keeps lives for another timeout', () => {
  const shared = new SharedTable();
  shared.expired(0, 0, 1);
  const row = connect(shared, 1, 0, 1000);
  let asked = 0;
  for (let now = 0; now <= 5000; now += 100)
    shared.table.expire(now, (due) => {
      expect(due).toBe(row);
      expect(shared.table.armed(row)).toBe(false);
      asked++;
      return false;
    });
  expect(asked).toBeGreaterThanOrEqual(2);
  expect(asked).toBeLessThanOrEqual(4);
  expect(shared.table.has(row)).toBe(true);
});

test('a new connection takes the place of one whose time has come, if the table is full of such', () => {
  const shared = new SharedTable(16);
  const { table } = shared;
  shared.expired(0, 0, 1);
  for (let i = 0; i < 16; i++) connect(shared, i, 0, 1000);
  let ended = 0;
  table.expire(999, () => ++ended > 0);
  expect(table.add(its(100), bound(RS, 80))).toBe(NONE);
  // The pass that finds them all has only begun.
  table.expire(1010, () => ++ended > 0);
  expect(ended).toBeLessThan(16);
  const left = table.size;
  for (let i = 0; i < 16; i++) expect(table.add(its(200 + i), bound(RS, 80))).not.toBe(NONE);
  expect(table.size).toBeLessThanOrEqual(16);
  expect(ended).toBeGreaterThanOrEqual(left);
});

test('a large table is read in parts, and nothing is left out', () => {
  const shared = new SharedTable(100_000);
  shared.expired(0, 0, 1);
  for (let i = 0; i < 100_000; i++) connect(shared, i, 0, 1000);
  let most = 0;
  for (let now = 1010; now <= 6000; now += 50) {
    let ended = 0;
    shared.table.expire(now, () => ++ended > 0);
    most = Math.max(most, ended);
  }
  expect(shared.table.size).toBe(0);
  expect(most).toBeLessThanOrEqual(32_768);
});

test('a program that has taken a connection out of the counts is not followed by the director', () => {
  const { table } = new SharedTable();
  const row = table.add(its(1), bound(RS, 80));
  const track = table.track(row);
  table.setState(row, 1);
  expect(table.end(row, track)).toBe(false);
  expect(table.end(row, table.track(row))).toBe(true);
  expect(table.hasEnded(row)).toBe(true);
  expect(table.end(row, table.track(row))).toBe(false);
});
