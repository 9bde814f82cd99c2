import { expect, test } from 'vitest';
import { MAX_TICK_MS, MAX_TIMEOUT_TICKS, MIN_TICK_MS, shiftOfJiffies, Ticks } from '../../src/table/ticks.ts';

const DAY = 86_400_000;

test('a timeout of 31 days has its full length', () => {
  const ticks = new Ticks(MIN_TICK_MS);
  expect(ticks.toMs(ticks.timeout(31 * DAY))).toBe(31 * DAY);
});

test('a longer timeout than fits is the longest, and the shortest is a tick', () => {
  for (const ticks of [new Ticks(MIN_TICK_MS), new Ticks(MAX_TICK_MS)]) {
    expect(ticks.timeout(Number.MAX_SAFE_INTEGER)).toBe(MAX_TIMEOUT_TICKS);
    expect(ticks.timeout(Number.POSITIVE_INFINITY)).toBe(MAX_TIMEOUT_TICKS);
    expect(ticks.timeout(0)).toBe(1);
    expect(ticks.timeout(1)).toBe(1);
  }
});

test.each([0, 3.99, 65, Number.NaN])('a tick of %d ms is refused', (length) => {
  expect(() => new Ticks(length)).toThrow(RangeError);
});

test('a row ends when it is due, before and after the clock has wrapped', () => {
  for (const origin of [0, 2 ** 32 - 7, 2 ** 40 + 3])
    for (const start of [0, 4 * (2 ** 31 - 5), 4 * (2 ** 32 - 5), 4 * (2 ** 33 - 5)]) {
      const ticks = new Ticks(MIN_TICK_MS, origin);
      const seen = ticks.at(start);
      const timeout = ticks.timeout(60_000);
      expect(ticks.end(seen, timeout, start)).toBe(start + 60_000);
      expect(ticks.end(seen, timeout, start + 59_999)).toBe(start + 60_000);
    }
});

test.each([
  [100, 0],
  [250, 0],
  [300, 1],
  [1000, 2],
])('at %d jiffies a second they are shifted by %d', (rate, shift) => {
  expect(shiftOfJiffies(rate)).toBe(shift);
});
