import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { ConnectionTable } from '../../src/director/connections.ts';
import { TICK, TimerWheel } from '../../src/director/timer-wheel.ts';
import { addressFromV4 } from '../../src/wire/address.ts';
import { bound, ends } from '../support/rows.ts';

const DAY = 86_400_000;
/** Rows that are due by `now`, in the order in which they are reported. */
function due(wheel: TimerWheel, now: number): number[] {
  const rows: number[] = [];
  wheel.advance(now, (row) => rows.push(row));
  return rows;
}

describe('a timer', () => {
  test.each([0, 1, 63, 64, 65, 1000, 900_000, 1_048_575, 1_048_576, 1_048_577, DAY, 2 ** 31])(
    'of %d ms fires once, not before its time and within a tick of it',
    (timeout) => {
      for (const start of [0, 12_345, 2 ** 31 - 5, 2 ** 32 + 0.25, 1.7e12 + 17]) {
        const wheel = new TimerWheel(1);
        wheel.restart(0, start, timeout);
        expect(wheel.armed(0)).toBe(true);
        if (timeout > 0) expect(due(wheel, start + timeout - 0.5)).toEqual([]);
        expect(due(wheel, start + timeout + TICK)).toEqual([0]);
        expect(wheel.armed(0)).toBe(false);
        expect(due(wheel, start + timeout + 10 * DAY)).toEqual([]);
      }
    },
  );

  test('that is restarted fires at its last restart, earlier or later', () => {
    const wheel = new TimerWheel(3);
    for (const row of [0, 1, 2]) wheel.restart(row, 0, 60_000);
    wheel.restart(0, 50_000, 60_000);
    wheel.restart(1, 50_000, 1000);
    expect(due(wheel, 51_000 + TICK)).toEqual([1]);
    expect(due(wheel, 60_000 + TICK)).toEqual([2]);
    expect(due(wheel, 109_999)).toEqual([]);
    expect(due(wheel, 110_000 + TICK)).toEqual([0]);
  });

  test('that is cancelled does not fire', () => {
    const wheel = new TimerWheel(2);
    wheel.restart(0, 0, 1000);
    wheel.restart(1, 0, 1000);
    wheel.cancel(0);
    wheel.cancel(0);
    expect(wheel.armed(0)).toBe(false);
    expect(due(wheel, DAY)).toEqual([1]);
  });

  test('that is set due fires at the next call, even when no time passes', () => {
    const wheel = new TimerWheel(2);
    expect(due(wheel, 1000)).toEqual([]);
    wheel.restart(0, 1000, 60_000);
    wheel.dueNow(0);
    wheel.dueNow(1);
    wheel.restart(1, 1000, 60_000);
    expect(due(wheel, 1000)).toEqual([0]);
    expect(due(wheel, 61_000 + TICK)).toEqual([1]);
  });

  test('fires after a long idle time without a scan of all of it', () => {
    const wheel = new TimerWheel(1);
    const year = 365 * DAY;
    for (let start = 0; start < 2000 * year; start += year) {
      wheel.dueNow(0);
      expect(due(wheel, start)).toEqual([0]);
      wheel.restart(0, start + 5, 100);
      expect(due(wheel, start + 105 + TICK)).toEqual([0]);
    }
  });
});

describe('while rows fire,', () => {
  test('a row restarted with a delay of zero waits for a later call', () => {
    const wheel = new TimerWheel(1);
    let calls = 0;
    let now = 10 * TICK;
    wheel.restart(0, 0, TICK);
    const again = () => {
      if (++calls > 5) throw new Error('for ever');
      wheel.restart(0, now, 0);
    };
    wheel.advance(now, again);
    expect(calls).toBe(1);
    now = 20 * TICK;
    wheel.advance(now, again);
    expect(calls).toBe(2);
  });

  test('a row that sets itself due again waits for the next call', () => {
    const wheel = new TimerWheel(1);
    let calls = 0;
    const again = () => {
      calls++;
      wheel.dueNow(0);
    };
    wheel.dueNow(0);
    wheel.advance(0, again);
    expect(calls).toBe(1);
    wheel.advance(0, again);
    expect(calls).toBe(2);
  });

  test('a row may cancel and restart others of the same moment', () => {
    const wheel = new TimerWheel(4);
    for (const row of [0, 1, 2, 3]) wheel.restart(row, 0, 1000);
    const fired: number[] = [];
    wheel.advance(2000, (row) => {
      fired.push(row);
      wheel.cancel(1);
      wheel.restart(2, 2000, 5000);
    });
    expect(fired).toEqual([0, 3]);
    expect(due(wheel, 7000 + TICK)).toEqual([2]);
  });
});

/** A step of the property: what happens to the timers, then how far the clock goes. */
const aTimeout = fc.oneof(
  fc.integer({ min: 0, max: 300 }),
  fc.integer({ min: 0, max: 2_000_000 }),
  fc.constant(90_000_000),
  fc.constant(2 ** 31),
);
const aStep = fc.record({
  changes: fc.array(
    fc.record({
      row: fc.nat(19),
      change: fc.constantFrom('restart', 'restart', 'restart', 'cancel', 'due'),
      timeout: aTimeout,
    }),
    { maxLength: 8 },
  ),
  wait: fc.oneof(
    { weight: 6, arbitrary: fc.integer({ min: 0, max: 200 }) },
    { weight: 6, arbitrary: fc.integer({ min: 0, max: 3_000_000 }) },
    { weight: 1, arbitrary: fc.constant(90_000_000) },
  ),
});

test('rows fire in the order of a sorted list, whatever the callback does to other rows', () => {
  fc.assert(
    fc.property(
      fc.array(aStep, { maxLength: 30 }),
      fc.constantFrom(0, 777.5, 2 ** 31 - 100, 2 ** 40),
      fc.array(
        fc.tuple(fc.nat(19), fc.nat(19), fc.constantFrom('nothing', 'restart', 'cancel', 'due'), aTimeout),
      ),
      (steps, start, reactions) => {
        const wheel = new TimerWheel(20);
        /** Row -> the tick at which it fires; AT_ONCE: at the next call. */
        const twin = new Map<number, number>();
        const AT_ONCE = -1;
        let now = start;
        const apply = (row: number, change: string, timeout: number) => {
          if (change === 'restart') {
            wheel.restart(row, now, timeout);
            // The tick that is now has been dealt with already.
            twin.set(row, Math.max(Math.ceil((now + timeout) / TICK), Math.floor(now / TICK) + 1));
          } else if (change === 'cancel') {
            wheel.cancel(row);
            twin.delete(row);
          } else if (change === 'due') {
            wheel.dueNow(row);
            twin.set(row, AT_ONCE);
          }
        };
        for (const { changes, wait } of steps) {
          for (const { row, change, timeout } of changes) apply(row, change, timeout);
          now += wait;
          const until = Math.floor(now / TICK);
          const changedMeanwhile = new Set<number>();
          let last = AT_ONCE;
          wheel.advance(now, (row) => {
            const tick = twin.get(row);
            expect(tick, `row ${row} is not armed`).toBeDefined();
            if (!changedMeanwhile.has(row)) {
              expect(tick).toBeLessThanOrEqual(until);
              expect(tick).toBeGreaterThanOrEqual(last);
              last = tick!;
            }
            twin.delete(row);
            expect(wheel.armed(row)).toBe(false);
            for (const [when, other, change, timeout] of reactions)
              if (when === row) {
                apply(other, change, timeout);
                changedMeanwhile.add(other);
              }
          });
          // Nothing that was due is left, but what the callback has put off.
          for (const [row, tick] of twin) if (tick <= until) expect(changedMeanwhile).toContain(row);
          for (let row = 0; row < 20; row++) expect(wheel.armed(row)).toBe(twin.has(row));
        }
      },
    ),
    { numRuns: 200 },
  );
});

describe('connections', () => {
  const vip = addressFromV4(0xc0000250);
  const rs = addressFromV4(0x0a000001);
  const RS = 1;
  const filled = (count: number, timeout: (i: number) => number) => {
    const connections = new ConnectionTable({ limit: 10_000, seed: 1 });
    connections.records.set(RS, rs, 80);
    const rows: number[] = [];
    for (let i = 0; i < count; i++) {
      const row = connections.add(ends(6, addressFromV4(i), 1, vip, 80), bound(RS, 80));
      connections.setTimeout(row, timeout(i));
      connections.touch(row, 0);
      rows.push(row);
    }
    return { connections, rows };
  };

  test('expire in the order of their timeouts when the clock jumps by 90,000 s', () => {
    const { connections } = filled(5000, (i) => (i * 7919) % 4_000_000);
    const times: number[] = [];
    connections.expire(90_000_000, (row) => {
      times.push(connections.timeout(row));
      return true;
    });
    expect(times).toHaveLength(5000);
    for (let i = 1; i < times.length; i++) expect(times[i]! - times[i - 1]!).toBeGreaterThanOrEqual(-TICK);
    expect(connections.size).toBe(0);
  });

  test('that the callback keeps get a new timeout, touched or not', () => {
    const { connections, rows } = filled(2, () => 1000);
    const [first, second] = rows as [number, number];
    const asked: number[] = [];
    const keep = (row: number) => {
      asked.push(row);
      if (row === first) {
        connections.setTimeout(first, 60_000);
        connections.touch(first, 2000);
      }
      return false;
    };
    connections.expire(2000, keep);
    expect(asked).toEqual([first, second]);
    expect([connections.expires(first), connections.expires(second)]).toEqual([62_000, 3000]);
    connections.expire(3100, keep);
    expect(asked).toEqual([first, second, second]);
    expect(connections.armed(first)).toBe(true);
  });

  test('that are removed, also by a callback, are not offered for expiry', () => {
    const { connections, rows } = filled(4, () => 1000);
    connections.remove(rows[3]!);
    const asked: number[] = [];
    connections.expire(2000, (row) => {
      asked.push(row);
      if (row === rows[0]) connections.remove(rows[1]!);
      if (row === rows[2]) connections.remove(rows[2]!);
      return row === rows[2];
    });
    expect(asked).toEqual([rows[0], rows[2]]);
    expect([...connections.rows()]).toEqual([rows[0]]);
  });

  test('that the callback adds stay, even in the row of one that it removed', () => {
    const { connections, rows } = filled(3, () => 1000);
    const client = addressFromV4(1);
    const added: number[] = [];
    connections.expire(2000, (row) => {
      if (row === rows[0]) {
        connections.remove(rows[1]!);
        const again = connections.add(ends(6, client, 1, vip, 80), bound(RS, 80));
        connections.setTimeout(again, 5000);
        connections.touch(again, 2000);
        added.push(again);
      }
      return true;
    });
    expect(added).toEqual([rows[1]]);
    expect([...connections.rows()]).toEqual(added);
    expect(connections.findFromClient(6, client, 1, vip, 80)).toBe(added[0]);
    connections.expire(7100, () => true);
    expect(connections.size).toBe(0);
  });

  test('that are set to expire now are offered at the next call', () => {
    const { connections, rows } = filled(3, () => 900_000);
    connections.expireNow(rows[1]!);
    const asked: number[] = [];
    connections.expire(1, (row) => asked.push(row) > 0);
    expect(asked).toEqual([rows[1]]);
    expect(connections.has(rows[1]!)).toBe(false);
    expect(connections.has(rows[2]!)).toBe(true);
  });

  test('that were never touched do not expire', () => {
    const { connections } = filled(0, () => 0);
    const row = connections.add(ends(6, rs, 1, vip, 80), bound(RS, 80));
    expect(connections.armed(row)).toBe(false);
    connections.expire(90_000_000, () => true);
    expect(connections.has(row)).toBe(true);
  });
});
