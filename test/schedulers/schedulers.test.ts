/** What holds for every scheduler, and what is particular to one. */
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Destination } from '../../src/model/destination.ts';
import { DEFAULT_SETTINGS } from '../../src/model/settings.ts';
import { type SchedulerName, schedulers } from '../../src/schedulers/index.ts';
import { isHeavier } from '../../src/schedulers/least.ts';
import { Locality } from '../../src/schedulers/locality.ts';
import { maglevTable } from '../../src/schedulers/mh.ts';
import { formatAddress, parseAddress } from '../../src/wire/address.ts';
import { context, type MutableDestination, request, server } from '../support/destinations.ts';

const names = Object.keys(schedulers) as SchedulerName[];
/** Files of the folder that are no scheduler. */
const PARTS = [
  'gcd.ts',
  'index.ts',
  'scheduler.ts',
  'least.ts',
  'locality.ts',
  'reasons.ts',
  'mh-history.ts',
];

test('the registry names exactly the files of its directory', () => {
  const files = readdirSync(join(import.meta.dirname, '../../src/schedulers'));
  const expected = files.filter((file) => !PARTS.includes(file)).map((file) => file.replace('.ts', ''));
  expect([...names].sort()).toEqual(expected.sort());
});

const states = fc.array(
  fc.record({
    weight: fc.oneof(fc.constant(0), fc.nat(5), fc.nat(0x7fffffff)),
    overloaded: fc.boolean(),
    activeConnections: fc.oneof(fc.constant(0), fc.nat(10), fc.nat(1 << 24)),
    inactiveConnections: fc.nat(1 << 24),
  }),
  { maxLength: 12 },
);

const build = (list: readonly Partial<MutableDestination>[]) =>
  list.map((rest, i) => server(i + 1, rest.weight, rest));

const isEligible = (d: MutableDestination) => d.weight > 0 && !d.overloaded;

/** What a policy takes into account besides weight and overload; dh, sh and mh without fallback refuse at times. */
const ALLOWS: Partial<Record<SchedulerName, (d: MutableDestination) => boolean>> = {
  ovf: (d) => d.activeConnections <= d.weight,
};

describe.each(names)('%s', (name) => {
  const hashes = name === 'dh' || name === 'sh' || name === 'mh';

  test('picks an eligible destination whenever one exists', () => {
    fc.assert(
      fc.property(states, fc.nat(0xffff), fc.nat(0xffff), (list, host, port) => {
        const destinations = build(list);
        const scheduler = schedulers[name](context(destinations, { flags: 1 }));
        const pick = scheduler.schedule(request(`10.0.${host >> 8}.${host & 255}`, port));
        const possible = destinations.filter((d) => isEligible(d) && (ALLOWS[name]?.(d) ?? true));
        if (pick) expect(possible).toContain(pick);
        // sh has room for the weights of a few only, and dh has no fallback: these may miss an eligible one.
        else if (!(name === 'dh' || name === 'sh')) expect(possible).toEqual([]);
      }),
      { numRuns: name === 'mh' ? 30 : 300 },
    );
  });

  test('follows additions, edits and removals at any position of its list', () => {
    const action = fc.tuple(fc.constantFrom('add', 'edit', 'remove', 'pick'), fc.nat(100), fc.nat(4));
    fc.assert(
      fc.property(fc.array(action, { maxLength: 40 }), (actions) => {
        const destinations: MutableDestination[] = [];
        const scheduler = schedulers[name](context(destinations, { flags: 1 }));
        let number = 0;
        for (const [what, at, weight] of actions) {
          const index = at % Math.max(1, destinations.length);
          const it = destinations[index];
          if (what === 'add') {
            const added = server(1 + (number++ % 200), weight);
            destinations.unshift(added);
            scheduler.changed?.('added', added, 0);
          } else if (it && what === 'edit') {
            it.weight = weight;
            if (weight > 0) it.lastWeight = weight;
            scheduler.changed?.('edited', it, index);
          } else if (it && what === 'remove') {
            destinations.splice(index, 1);
            scheduler.changed?.('removed', it, index);
          } else {
            const pick = scheduler.schedule(request('10.0.0.10', at, '10.9.0.1', at)) as
              | MutableDestination
              | undefined;
            if (pick) {
              expect(destinations).toContain(pick);
              expect(pick.weight).toBeGreaterThan(0);
              pick.activeConnections++;
            } else if (!hashes && name !== 'ovf') expect(destinations.some(isEligible)).toBe(false);
          }
        }
      }),
      { numRuns: name === 'mh' ? 20 : 200 },
    );
  });
});

describe('rr', () => {
  test('gives each destination the same number of turns', () => {
    const destinations = [server(3), server(2), server(1)];
    const scheduler = schedulers.rr(context(destinations));
    const picks = Array.from({ length: 6 }, () => scheduler.schedule(request()));
    expect(picks).toEqual([...destinations, ...destinations]);
  });

  test('skips no destination when the last pick is removed', () => {
    const destinations = [server(4), server(3), server(2), server(1)];
    const scheduler = schedulers.rr(context(destinations));
    const [, , third, fourth] = destinations;
    scheduler.schedule(request());
    const second = scheduler.schedule(request()) as MutableDestination;
    destinations.splice(1, 1);
    scheduler.changed?.('removed', second, 1);
    expect([scheduler.schedule(request()), scheduler.schedule(request())]).toEqual([third, fourth]);
  });
});

describe('wrr', () => {
  test('gives turns in proportion to the weights in each full round', () => {
    fc.assert(
      fc.property(fc.array(fc.nat(30), { minLength: 1, maxLength: 8 }), (weights) => {
        const destinations = weights.map((weight, i) => server(i + 1, weight));
        const scheduler = schedulers.wrr(context(destinations));
        const divisor = weights.reduce((a, b) => {
          let [x, y] = [a, b];
          while (y > 0) [x, y] = [y, x % y];
          return x;
        }, 0);
        const turns = new Map<unknown, number>();
        const round = weights.reduce((sum, weight) => sum + weight / (divisor || 1), 0);
        for (let i = 0; i < round; i++) {
          const pick = scheduler.schedule(request());
          turns.set(pick, (turns.get(pick) ?? 0) + 1);
        }
        for (const d of destinations) expect(turns.get(d) ?? 0).toBe(d.weight / (divisor || 1));
      }),
    );
  });

  test('does not count down two billion levels for a heavy destination that is overloaded', () => {
    const heavy = server(1, 0x7fffffff, { overloaded: true });
    const light = server(2, 2);
    const scheduler = schedulers.wrr(context([heavy, light]));
    expect(Array.from({ length: 4 }, () => scheduler.schedule(request()))).toEqual([
      light,
      light,
      light,
      light,
    ]);
  });
});

describe('mh', () => {
  const table = (weights: readonly number[]) =>
    maglevTable(
      weights.map((weight, i) => server(i + 1, weight)),
      4,
    );
  const shares = (table: readonly Destination[]) => {
    const slots: Record<string, number> = {};
    for (const { address } of table) slots[formatAddress(address)] = (slots[formatAddress(address)] ?? 0) + 1;
    return slots;
  };

  test('distributes the table evenly, and by weight', () => {
    const even = Object.values(shares(table([1, 1, 1, 1, 1, 1, 1])));
    expect(Math.max(...even) - Math.min(...even)).toBeLessThanOrEqual(1);
    const weighted = shares(table([1, 2, 3]));
    expect(weighted['10.1.0.13']! / weighted['10.1.0.11']!).toBeCloseTo(3, 1);
  });

  test('moves few slots of the others when one of ten is removed', () => {
    const before = table(Array(10).fill(1)).map((d) => formatAddress(d.address));
    const after = table(Array(9).fill(1)).map((d) => formatAddress(d.address));
    const moved = before.filter((address, slot) => address !== '10.1.0.20' && address !== after[slot]).length;
    expect(moved / before.length).toBeLessThan(0.15);
  });

  test('keeps the slots of a quiesced destination, so that no other clients move', () => {
    const destinations = [server(1, 3), server(2, 2), server(3, 1)];
    const scheduler = schedulers.mh(context(destinations, { flags: 1 }));
    const clients = Array.from({ length: 200 }, (_, i) => request(`10.0.1.${i}`));
    const before = clients.map((client) => scheduler.schedule(client));
    destinations[1]!.weight = 0;
    scheduler.changed?.('edited', destinations[1]!, 1);
    const after = clients.map((client) => scheduler.schedule(client));
    before.forEach((pick, i) => {
      if (pick === destinations[1]) expect(after[i]).not.toBe(destinations[1]);
      else expect(after[i]).toBe(pick);
    });
  });
});

test.each(['sh', 'mh'] as const)('%s sends a client to the same destination again, from any port', (name) => {
  const scheduler = schedulers[name](context([server(1), server(2), server(3)]));
  fc.assert(
    fc.property(fc.ipV4(), fc.nat(0xffff), fc.nat(0xffff), (client, a, b) => {
      expect(scheduler.schedule(request(client, a))).toBe(scheduler.schedule(request(client, b)));
    }),
  );
});

test('twos picks two at random by weight, and takes the less loaded one', () => {
  const [light, heavy] = [server(1, 10), server(2, 90)];
  const draws = [0.99, 0.01, 0.99, 0.99];
  const scheduler = schedulers.twos(context([light, heavy], { random: () => draws.shift()! }));
  heavy.activeConnections = 900;
  expect(scheduler.schedule(request())).toBe(light);
  expect(scheduler.schedule(request())).toBe(heavy);
});

test('loads are compared exactly up to the maximum weights and counts', () => {
  const load = fc.integer({ min: 0, max: 2 ** 33 - 1 });
  const weight = fc.integer({ min: 1, max: 2 ** 31 - 1 });
  fc.assert(
    fc.property(load, weight, load, weight, fc.integer({ min: -1, max: 1 }), (a, wa, b, wb, near) => {
      expect(isHeavier(a, wa, b, wb)).toBe(BigInt(a) * BigInt(wb) > BigInt(b) * BigInt(wa));
      // Nearly equal quotients are where doubles err.
      const c = Math.max(0, a + near);
      expect(isHeavier(a, wa, c, wa)).toBe(a > c);
      expect(isHeavier(a, wa, a, wb)).toBe(BigInt(a) * BigInt(wb) > BigInt(a) * BigInt(wa));
    }),
  );
  expect(isHeavier(2 ** 32 + 1, 2 ** 31 - 1, 2 ** 32, 2 ** 31 - 1)).toBe(true);
  expect(isHeavier(2 ** 32 + 1, 2 ** 31 - 2, 2 ** 32 + 3, 2 ** 31 - 1)).toBe(true);
});

describe('a locality scheduler', () => {
  const HOUR = 3_600_000;
  const address = (i: number) => parseAddress(`10.${(i >> 16) & 255}.${(i >> 8) & 255}.${i & 255}`)!;

  test('forgets entries that were unused for the expiration time, at the next full scan', () => {
    const memory = new Locality<string>();
    memory.age(0, HOUR);
    memory.remember(address(1), 'idle', 0);
    memory.remember(address(2), 'used', 0);
    memory.age(HOUR / 2, HOUR);
    expect(memory.recall(address(2), HOUR / 2)).toBe('used');
    memory.age(HOUR, HOUR);
    expect(memory.size).toBe(1);
    expect(memory.recall(address(1), HOUR)).toBeUndefined();
  });

  test('forgets idle entries early when there are too many', () => {
    const memory = new Locality<number>();
    memory.age(0, DEFAULT_SETTINGS.lblc_expiration * 1000);
    for (let i = 0; i < 20_000; i++) memory.remember(address(i), i, 0);
    memory.age(5 * 60_000, DEFAULT_SETTINGS.lblc_expiration * 1000);
    expect(memory.size).toBe(20_000);
    memory.age(8 * 60_000, DEFAULT_SETTINGS.lblc_expiration * 1000);
    expect(memory.size).toBeLessThanOrEqual(16_384);
    expect(memory.size).toBeGreaterThan(10_000);
  });
});
