/** A director goes on with the memory of one that was killed; it never trusts that memory. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { adoptKernelTable } from '../../../src/runtime/restart/adopted-table.ts';
import { FORMER_LAYOUTS } from '../../../src/table/header.ts';
import { KIND, LAYOUT_VERSION, ROW, ROW_BYTES, TRACK } from '../../../src/table/layout.ts';
import type { RegionName } from '../../../src/table/memory.ts';
import { DESTINATION, DESTINATION_BYTES, SETTINGS } from '../../../src/table/record-layout.ts';
import { Ticks } from '../../../src/table/ticks.ts';
import { UnfitMemory } from '../../../src/table/unfit-memory.ts';
import { Directed } from '../../support/directed.ts';
import { formerDirector, WEB } from '../../support/former-director.ts';
import { CLOCK, type LeftMemory, PROCESSORS } from '../../support/left-memory.ts';

/** A director with a removed destination, which is never stopped. */
function killed() {
  const { memory, director: former } = formerDirector();
  former.set('conn_reuse_mode', 0);
  former.remove(WEB, '10.0.0.2:80');
  memory.complete();
  return { memory, former };
}

/** Starts a director on the memory. */
async function next(memory: LeftMemory): Promise<Directed> {
  const { table, ticks, found } = await adoptKernelTable(memory, CLOCK, PROCESSORS);
  const adopted = new Directed({ memory, table, ticks, isAdopted: true });
  expect(found.rows).toBe(table.size);
  return adopted;
}

test('rules, settings, connections, counts and places of schedulers are those of the killed director', async () => {
  const { memory, former } = killed();
  const adopted = await next(memory.copy());
  expect(adopted.connections).toEqual(former.connections);
  expect(adopted.connections.length).toBeGreaterThan(120);
  const { services, settings, timeouts } = former.director.snapshot(0);
  const now = adopted.director.snapshot(0);
  expect(now.settings).toEqual(settings);
  expect(now.timeouts).toEqual(timeouts);
  const rules = (all: typeof services) =>
    all.map(({ stats: _stats, rates: _rates, ...rest }) => ({
      ...rest,
      destinations: rest.destinations.map(({ stats: _s, rates: _r, ...each }) => each),
    }));
  expect(rules(now.services)).toEqual(rules(services));
  // Both go on in the same way.
  for (let client = 50; client < 56; client++) {
    const line = `203.0.113.${client}:4000 > 192.0.2.80:80 SYN`;
    expect(adopted.way(line)).toBe(former.way(line));
  }
  expect(adopted.connections).toEqual(former.connections);
  // Connections of a destination that was removed while they existed resume when it is added again.
  adopted.add(WEB, '10.0.0.2:80');
  former.add(WEB, '10.0.0.2:80');
  expect(adopted.counts(WEB, '10.0.0.2:80')).toBe(former.counts(WEB, '10.0.0.2:80'));
});

test('counters, rates and resets go on where the killed director left them', async () => {
  const { memory, former } = killed();
  const segment = '203.0.113.3:4000 > 192.0.2.80:80 ACK';
  former.now += 4000;
  former.receive(segment);
  former.director.apply({ op: 'zero' }, former.now);
  for (let i = 0; i < 5; i++) former.receive(segment);
  former.now += 2000;
  former.receive(segment);
  const traffic = (director: Directed) => {
    const { services, stats, rates } = director.director.snapshot(former.now);
    const parts = services.flatMap((service) => [service, ...service.destinations]);
    return [{ stats, rates }, ...parts].map((each) => ({ stats: each.stats, rates: each.rates }));
  };
  const adopted = await next(memory.copy());
  expect(traffic(adopted)).toEqual(traffic(former));
  expect(traffic(adopted)[0]).toMatchObject({ stats: { inPackets: 6 } });
  expect(traffic(adopted)[0]!.rates.inPackets).toBeGreaterThan(0);
});

test.each(FORMER_LAYOUTS)('layout $version is taken over: what it lacks begins empty', async (layout) => {
  const { memory: left, former } = killed();
  const memory = left.copy();
  const settings = memory.arrays.get('settings')!;
  new DataView(settings.buffer).setUint32(SETTINGS.version, layout.version, true);
  settings.set(Buffer.from(layout.digest), SETTINGS.digest);
  settings.fill(0, SETTINGS.identification, SETTINGS.identification + 4);
  if (layout.isPartial) {
    settings.fill(0, SETTINGS.passFrom, SETTINGS.sysctls);
    memory.arrays.delete('meters');
  }
  const adopted = await next(memory);
  expect(adopted.connections).toEqual(former.connections);
  expect(new DataView(settings.buffer).getUint32(SETTINGS.version, true)).toBe(LAYOUT_VERSION);
  expect(memory.has('meters')).toBe(true);
  expect(new DataView(settings.buffer).getUint32(SETTINGS.identification, true)).toBeGreaterThan(0);
  expect(adopted.way('203.0.113.90:4000 > 192.0.2.80:80 SYN')).toBe(
    former.way('203.0.113.90:4000 > 192.0.2.80:80 SYN'),
  );
});

test('templates keep their connections and end after them', async () => {
  const { memory, former } = killed();
  const adopted = await next(memory.copy());
  for (const each of [adopted, former]) {
    each.wait(130);
    each.wait(400);
    each.wait(200);
  }
  expect(adopted.connections).toEqual(former.connections);
});

test.each([1, -1, 0x4000_0000, -0x7fff_ffff])(
  'counts of templates that are wrong by %i are corrected',
  async (by) => {
    const { memory, former } = killed();
    const { context } = former.director;
    const template = [...context.table.rows()].find((row) => context.table.isTemplate(row))!;
    const words = new Int32Array(memory.arrays.get('templates')!.buffer);
    words[template]! += by;
    const adopted = await next(memory.copy());
    expect(adopted.director.context.table.children(template)).toBe(40);
    words[template]! -= by;
    for (const each of [adopted, former]) for (const seconds of [130, 400, 200]) each.wait(seconds);
    expect(adopted.connections).toEqual(former.connections);
  },
);

test('rows that a death left half made or half ended are freed, and counts are corrected', async () => {
  const { memory } = killed();
  const rows = memory.arrays.get('rows')!;
  const view = new DataView(rows.buffer);
  const inUse: number[] = [];
  for (let at = 0; at < rows.length; at += ROW_BYTES)
    if (rows[at + ROW.client + 3] === KIND.LIVE) inUse.push(at);
  rows[inUse[0]! + ROW.client + 3] = KIND.BUSY;
  rows[inUse[1]! + ROW.client + 3] = KIND.PENDING;
  view.setUint32(inUse[2]! + ROW.track, view.getUint32(inUse[2]! + ROW.track, true) | TRACK.GONE, true);
  const destinations = new DataView(memory.arrays.get('destinations')!.buffer);
  destinations.setUint32(DESTINATION_BYTES + DESTINATION.active, 77, true);
  const { table, found } = await adoptKernelTable(memory, CLOCK, PROCESSORS);
  expect(found.freed).toBe(3);
  expect(found.repaired).toBeGreaterThan(0);
  const adopted = new Directed({ memory, table, ticks: new Ticks(CLOCK.tickMs), isAdopted: true });
  expect(adopted.connections.length).toBe(table.size);
  let counted = 0;
  for (const { destinations: all } of adopted.director.snapshot(0).services)
    for (const each of all)
      counted += each.activeConnections + each.inactiveConnections + each.persistentConnections;
  const removed = [...adopted.director.connections(0)].filter(
    (each) => each.destinationAddress === '10.0.0.2',
  );
  expect(counted).toBeGreaterThanOrEqual(table.size - removed.length);
});

test.each([
  ['another layout', SETTINGS.version, 4, /^layout 4: expected/],
  ['another digest', SETTINGS.digest, 1, /^layout: another digest/],
  ['a director that had not started', SETTINGS.complete, 0, /has not started/],
  ['another boot', SETTINGS.bootId, 0, /another boot/],
  ['other sizes', SETTINGS.homes, 9, /homes/],
] as const)('memory of %s is refused with the reason', async (_of, field, value, reason) => {
  const { memory } = killed();
  new DataView(memory.arrays.get('settings')!.buffer).setUint32(field, value, true);
  await expect(adoptKernelTable(memory, CLOCK, PROCESSORS)).rejects.toThrow(reason);
});

const ARRAYS: readonly RegionName[] = [
  ...(['rows', 'order', 'spilled', 'head', 'destinations', 'services'] as const),
  ...(['lists', 'nextHops', 'settings', 'counters', 'templates', 'meters'] as const),
];

test.each(ARRAYS)('garbage in the array %s is refused with a reason', async (name) => {
  const { memory: left } = killed();
  await fc.assert(
    fc.asyncProperty(fc.integer({ min: 1, max: 0x7fffffff }), async (seed) => {
      const memory = left.copy();
      const bytes = memory.arrays.get(name)!;
      let state = seed;
      const words = new Uint32Array(bytes.buffer, 0, bytes.length >> 2);
      for (let i = 0; i < words.length; i++) {
        state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
        words[i] = state ^ (state >>> 13) ^ (i * 0x9e37);
      }
      await expect(adoptKernelTable(memory, CLOCK, PROCESSORS)).rejects.toThrow(UnfitMemory);
    }),
    { numRuns: 5 },
  );
});

test('a changed byte anywhere is refused, or leaves a table that works', async () => {
  const { memory: left } = killed();
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom(...ARRAYS),
      fc.double({ min: 0, max: 1, noNaN: true, maxExcluded: true }),
      fc.integer({ min: 1, max: 255 }),
      async (name, where, value) => {
        const memory = left.copy();
        const bytes = memory.arrays.get(name)!;
        // Most records are unused.
        const used = Math.min(bytes.length, 65_536);
        bytes[Math.floor(where * used)]! ^= value;
        try {
          const adopted = await next(memory);
          for (let client = 0; client < 60; client++)
            adopted.receive(`203.0.113.${client}:4000 > 192.0.2.80:80 SYN`);
          adopted.wait(1);
          adopted.wait(1000);
          adopted.wait(1000);
          expect(adopted.director.summary(adopted.now).table.connections).toBeGreaterThanOrEqual(0);
        } catch (error) {
          expect(error).toBeInstanceOf(UnfitMemory);
        }
      },
    ),
    { numRuns: 25 },
  );
});
