/** A change of the datapath carries the connection table over: to memory of another kind, with another clock. */
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { monotonicClock } from '../../../src/io/pump.ts';
import { adoptKernelTable } from '../../../src/runtime/restart/adopted-table.ts';
import { carryFromFiles } from '../../../src/runtime/restart/carried-table.ts';
import { openLiveTable } from '../../../src/runtime/restart/live-table.ts';
import { loadSystem } from '../../../src/sys/system.ts';
import { addToMeters, carryTable } from '../../../src/table/carry.ts';
import { COUNTERS_BYTES } from '../../../src/table/record-layout.ts';
import { type SharedClock, Ticks } from '../../../src/table/ticks.ts';
import { UnfitMemory } from '../../../src/table/unfit-memory.ts';
import { Directed } from '../../support/directed.ts';
import { formerDirector, LIMIT, serveAll } from '../../support/former-director.ts';
import { CLOCK, COUNTED, LeftMemory, PROCESSORS } from '../../support/left-memory.ts';

/** Ticks of 8 ms, which began at another time. */
const OTHER: SharedClock = { tickMs: 8, shift: 0, offset: 0n };

function former() {
  const left = formerDirector();
  left.memory.complete();
  return left;
}

test.each([true, false])(
  'rules, connections and timers go on by another clock, for programs: %s',
  async (isForPrograms) => {
    const { memory: from, director, ticks: fromTicks } = former();
    director.wait(7);
    const to = new LeftMemory();
    const toTicks = new Ticks(OTHER.tickMs);
    carryTable({ from, to, fromTicks, toTicks, now: director.now, isForPrograms });
    to.reserve('counters', PROCESSORS * COUNTED * COUNTERS_BYTES);
    to.complete(OTHER);
    const { table, ticks, found } = await adoptKernelTable(to, OTHER, PROCESSORS);
    expect(found).toMatchObject({ freed: 0, repaired: 0 });
    const next = new Directed({ memory: to, table, ticks, isAdopted: true });
    next.now = director.now;
    const connections = (each: Directed) => each.connections.map((line) => line);
    expect(connections(next)).toHaveLength(connections(director).length);
    expect(next.director.snapshot(next.now).timeouts).toEqual(
      director.director.snapshot(director.now).timeouts,
    );
    const line = '203.0.113.90:4000 > 192.0.2.80:80 SYN';
    expect(next.way(line)).toBe(director.way(line));
    expect(next.way('203.0.113.7:4000 > 192.0.2.80:80 ACK')).toBe(
      director.way('203.0.113.7:4000 > 192.0.2.80:80 ACK'),
    );
    const left = (each: Directed) => each.director.summary(each.now).table.connections;
    for (const seconds of [35, 30, 100, 200, 400]) {
      for (const each of [next, director]) each.wait(seconds);
      expect(left(next)).toBe(left(director));
    }
    expect(left(next)).toBe(0);
  },
);

test('what programs counted after their director was killed is in the counters', async () => {
  const { memory, director } = former();
  director.wait(2);
  for (let i = 0; i < 3; i++) director.receive('203.0.113.1:4000 > 192.0.2.80:80 ACK');
  director.wait(3);
  const before = director.director.snapshot(director.now);
  const counters = new BigUint64Array(PROCESSORS * COUNTED * (COUNTERS_BYTES / 8));
  const first = director.director.context.destinations.all.findIndex((each) => each !== undefined);
  // One processor counted 5 packets from clients, the other 3.
  counters[first * (COUNTERS_BYTES / 8) + 1] = 5n;
  counters[(COUNTED + first) * (COUNTERS_BYTES / 8) + 1] = 3n;
  addToMeters(memory, counters, { processors: PROCESSORS, counted: COUNTED });
  const { table, ticks } = await adoptKernelTable(memory, CLOCK, PROCESSORS);
  const next = new Directed({ memory, table, ticks, isAdopted: true });
  next.now = director.now;
  for (let i = 0; i < 2; i++) next.wait(3);
  const after = next.director.snapshot(next.now);
  expect(after.stats.inPackets).toBe(before.stats.inPackets + 8);
  const ofServers = ({ services }: typeof before) =>
    services.flatMap(({ destinations }) => destinations).reduce((sum, { stats }) => sum + stats.inPackets, 0);
  expect(ofServers(after)).toBe(ofServers(before) + 8);
});

let root: string;
beforeEach(() => {
  root = join(mkdtempSync('/dev/shm/lvs-test-'), 'lvs-director');
});
afterEach(() => rmSync(join(root, '..'), { recursive: true, force: true }));

/** Leaves the memory files of a director without programs. */
async function left(): Promise<Directed> {
  const kept = (await openLiveTable({
    ...{ connections: LIMIT, clock: monotonicClock, log: () => {}, pins: '/nonexistent', root },
  }))!;
  const director = new Directed({ ...kept.shared, isAdopted: false });
  director.now = monotonicClock();
  serveAll(director);
  kept.complete();
  kept.leave(monotonicClock());
  return director;
}

const KIND = { processors: PROCESSORS, counted: COUNTED, clock: OTHER };

test('memory files become memory of programs, and stay until it is in use', async () => {
  const director = await left();
  const to = new LeftMemory();
  const files = (await carryFromFiles(await loadSystem(), to, KIND, monotonicClock, root))!;
  const { table, ticks } = await adoptKernelTable(to, OTHER, PROCESSORS);
  const next = new Directed({ memory: to, table, ticks, isAdopted: true });
  expect(next.connections).toHaveLength(director.connections.length);
  expect(readdirSync(files.folder)).toContain('rows');
  files.removeAll();
});

test('memory files that are not valid are not carried over, and another process can have them', async () => {
  await left();
  const folder = join(root, readdirSync(root)[0]!);
  rmSync(join(folder, 'order'));
  const system = await loadSystem();
  const attempt = () => carryFromFiles(system, new LeftMemory(), KIND, monotonicClock, root);
  await expect(attempt()).rejects.toThrow(UnfitMemory);
  await expect(attempt()).rejects.toThrow(/array order: missing/);
});

test('files of a director that runs are left alone', async () => {
  const kept = (await openLiveTable({
    ...{ connections: LIMIT, clock: monotonicClock, log: () => {}, pins: '/nonexistent', root },
  }))!;
  const carried = await carryFromFiles(await loadSystem(), new LeftMemory(), KIND, monotonicClock, root);
  expect(carried).toBeUndefined();
  kept.close();
});
