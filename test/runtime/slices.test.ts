/** Long work over many services, destinations and rows leaves turns of the event loop to packets. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, expect, test, vi } from 'vitest';
import { ProcfsFolder } from '../../src/control/procfs-files.ts';
import { nodeExporterFamilies } from '../../src/metrics/node-exporter.ts';
import type { Command } from '../../src/model/command.ts';
import type { NextHop } from '../../src/offload/next-hops.ts';
import { KernelForwarding } from '../../src/runtime/kernel/kernel-forwarding.ts';
import { DESTINATION } from '../../src/table/record-layout.ts';
import { parseAddress } from '../../src/wire/address.ts';
import { parseMac } from '../../src/wire/ethernet.ts';
import { RECORDS, sharedTable, TestMemory } from '../offload/shared-table.ts';
import { Directed, OWN } from '../support/directed.ts';
import { directorApi, TemporaryFolder } from '../support/director-apis.ts';

const SERVICES = 200;
const DESTINATIONS = 4;

afterEach(() => {
  vi.restoreAllMocks();
});

/** Returns how many turns the event loop made during `work`, with a clock by which a slice is over after three items. */
async function turnsDuring(work: () => Promise<unknown>): Promise<number> {
  let [now, turns, isOver] = [performance.now(), 0, false];
  vi.spyOn(performance, 'now').mockImplementation(() => {
    now += 1;
    return now;
  });
  const count = () => {
    turns++;
    if (!isOver) setImmediate(count);
  };
  setImmediate(count);
  await work();
  isOver = true;
  vi.restoreAllMocks();
  return turns;
}

const serviceAt = (i: number) => ({ protocol: 'tcp', address: '192.0.2.80', port: 1000 + i }) as const;

/** Commands for services of DESTINATIONS destinations each. */
const rules = (): Command[] =>
  Array.from({ length: SERVICES }, (_, i) => serviceAt(i)).flatMap((service): Command[] => [
    { op: 'add-service', service, options: { scheduler: 'rr' } },
    ...Array.from(
      { length: DESTINATIONS },
      (_, n): Command => ({
        op: 'add-destination',
        service,
        destination: { address: `10.0.0.${n + 1}`, port: 80 },
        options: { method: 'nat', weight: 1 },
      }),
    ),
  ]);

const hopTo = (lastByte: number): NextHop => ({
  interfaceIndex: 1,
  to: parseMac(`02:00:00:00:00:0${lastByte}`)!,
  from: parseMac('02:00:00:00:00:bb')!,
  ...{ vlan: 0, mtu: 1500, source: parseAddress(OWN)!, isNeighbor: true },
});

/** A director whose kernel path finds every neighbor at one MAC address, which can change. */
function offloaded() {
  const shared = sharedTable(new TestMemory(), 4096, 7);
  const directed = new Directed(shared);
  for (const command of rules()) directed.director.apply(command, 0);
  const neighbors = { last: 1 };
  const find = () => hopTo(neighbors.last);
  const forwarding = new KernelForwarding(directed.director, shared, find);
  const { context } = directed.director;
  const nextHops = () =>
    context.destinations.all.flatMap((destination) =>
      destination ? [context.table.records.half(destination.index, DESTINATION.nextHop)] : [],
    );
  return { shared, directed, forwarding, neighbors, nextHops };
}

test('a review of what programs may forward', async () => {
  const { forwarding, nextHops } = offloaded();
  const turns = await turnsDuring(() => forwarding.review());
  expect(turns).toBeGreaterThan((SERVICES * DESTINATIONS) / 4);
  expect(nextHops()).toHaveLength(Math.min(SERVICES * DESTINATIONS, RECORDS));
  expect(nextHops().every((number) => number === nextHops()[0] && number > 0)).toBe(true);
});

test('a next hop that was withdrawn is cleared from destinations and rows before its number is used again', async () => {
  const { shared, directed, forwarding, neighbors, nextHops } = offloaded();
  await forwarding.review();
  expect(directed.receive('203.0.113.7:4000 > 192.0.2.80:1000 SYN')).toBe('forwarded');
  const { table } = directed.director.context;
  const row = table.findFromClient(6, parseAddress('203.0.113.7')!, 4000, parseAddress('192.0.2.80')!, 1000);
  const before = table.nextHop(row);
  expect(before).toBeGreaterThan(0);
  expect(nextHops()[0]).toBe(before);

  neighbors.last = 2;
  const turns = await turnsDuring(async () => {
    forwarding.check(false);
    expect(shared.nextHops.mtuOf(before)).toBe(0);
    await vi.waitUntil(() => table.nextHop(row) === 0, { timeout: 60_000, interval: 5 });
  });
  expect(turns).toBeGreaterThan(SERVICES / 4);
  expect(nextHops()).not.toContain(before);
  // The number is free when no program can have read it any more: at a check after the clearing.
  const hop = { ...hopTo(2), mtu: 1400 };
  expect(shared.nextHops.numberOf(hop, parseAddress('10.0.0.9')!)).not.toBe(before);
});

test('the file of services in --procfs', async () => {
  using folder = new TemporaryFolder();
  const api = directorApi();
  await api.apply(rules());
  const files = new ProcfsFolder(folder.path, api);
  const turns = await turnsDuring(() => files.writeServices());
  expect(turns).toBeGreaterThan(SERVICES / 4);
  const text = readFileSync(join(folder.path, 'net/ip_vs'), 'latin1');
  expect(text.match(/^TCP {2}C0000250:/gm)).toHaveLength(SERVICES);
  expect(text.match(/^ {2}-> 0A/gm)).toHaveLength(SERVICES * DESTINATIONS);
  files.remove();
});

test("metrics under node_exporter's names", async () => {
  const api = directorApi();
  await api.apply(rules());
  const snapshot = await api.snapshot({ services: true });
  let families: Awaited<ReturnType<typeof nodeExporterFamilies>> = [];
  const turns = await turnsDuring(async () => {
    families = await nodeExporterFamilies(snapshot);
  });
  expect(turns).toBeGreaterThan(SERVICES / 4);
  const weights = families.find(({ name }) => name === 'node_ipvs_backend_weight');
  expect(weights?.samples).toHaveLength(SERVICES * DESTINATIONS);
});
