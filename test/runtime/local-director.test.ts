import { expect, test } from 'vitest';
import { Director } from '../../src/director/director.ts';
import type { Command } from '../../src/model/command.ts';
import type { ConnectionSnapshot } from '../../src/model/snapshot.ts';
import { interfaceMtu, localApi } from '../../src/runtime/local-director.ts';
import { connection, directorApi } from '../support/director-apis.ts';

const host = { transmit: () => true, route: () => undefined, isLocal: () => false };
const master = { role: 'master', syncId: 3, interface: 'eth0' } as const;

test('a sync daemon gets missing options from its interface', async () => {
  const api = directorApi();
  await api.apply([
    { op: 'start-daemon', daemon: { ...master, interface: 'lo' } },
    { op: 'start-daemon', daemon: { ...master, role: 'backup', interface: 'lo', group: 'ff02::81', ttl: 9 } },
  ]);
  const { daemons } = await api.snapshot({});
  expect(daemons).toEqual([
    { ...master, interface: 'lo', maxLength: 1472, group: '224.0.0.81', port: 8848, ttl: 1 },
    { ...master, role: 'backup', interface: 'lo', maxLength: 65_487, group: 'ff02::81', port: 8848, ttl: 9 },
  ]);
});

test('a sync daemon needs an existing interface', async () => {
  const [outcome] = await directorApi().apply([
    { op: 'start-daemon', daemon: { ...master, interface: 'wlan7' } },
  ]);
  expect(outcome?.code).toBe('NO_SUCH_DEVICE');
});

test.each(['', '.', '..', '../../etc', 'a b', 'averyveryverylongname'])('%j is not an interface', (name) =>
  expect(interfaceMtu(name)).toBeUndefined(),
);

/** Calls `look` once in each turn of the event loop until `work` is done; resolves with the number of turns. */
async function turnsDuring(work: Promise<unknown>, look: () => void = () => {}): Promise<number> {
  let turns = 0;
  let immediate = setImmediate(function again() {
    turns++;
    look();
    immediate = setImmediate(again);
  });
  await work;
  clearImmediate(immediate);
  return turns;
}

/** 3,000 services with 4 destinations each. */
const MANY: readonly Command[] = Array.from({ length: 3000 }, (_, i) => {
  const service = { protocol: 'tcp', address: '192.0.2.1', port: 1000 + i } as const;
  return [
    { op: 'add-service', service, options: { scheduler: 'wrr' } } as const,
    ...[1, 2, 3, 4].map(
      (n): Command => ({
        op: 'add-destination',
        service,
        destination: { address: `10.0.0.${n}`, port: 80 },
        options: { method: 'nat' },
      }),
    ),
  ];
}).flat();

test('many commands yield to packets, and leave no service without a destination in between', async () => {
  const director = new Director({ host, maxConnections: 16 });
  const api = localApi(director, { now: () => 0 });
  const isEmpty = ({ destinations }: { readonly destinations: readonly unknown[] }) =>
    destinations.length === 0;
  let empty = 0;
  const look = () => {
    empty += [...director.context.services.all].filter(isEmpty).length;
  };
  expect(await turnsDuring(api.apply(MANY), look)).toBeGreaterThan(5);
  expect(empty).toBe(0);
  expect(await turnsDuring(api.snapshot({ services: true }))).toBeGreaterThan(5);
});

test('a flush removes the services that existed at its start in many slices, not one that is added meanwhile', async () => {
  const director = new Director({ host, maxConnections: 16 });
  const api = localApi(director, { now: () => 0 });
  await api.apply(MANY);
  const flush = api.apply([{ op: 'flush' }]);
  const later = { protocol: 'udp', address: '192.0.2.9', port: 53 } as const;
  let turns = 0;
  await turnsDuring(flush, () => {
    if (++turns === 3) director.apply({ op: 'add-service', service: later, options: { scheduler: 'rr' } }, 0);
  });
  expect(turns).toBeGreaterThan(3);
  const { services } = await api.snapshot({ services: true });
  expect(services.map(({ service }) => service)).toEqual([later]);
});

test('connections are listed in chunks, and other work proceeds in between', async () => {
  const all = Array.from({ length: 2500 }, (_, i) => connection(i));
  const director = {
    apply: () => {},
    summary: () => ({}) as never,
    serviceNames: () => [],
    services: () => [],
    places: 10 * all.length,
    connections: (_: number, from: number, to: number) => all.slice(from / 10, to / 10),
  };
  const api = localApi(director, { now: () => 0 });
  const chunks: (readonly ConnectionSnapshot[])[] = [];
  let turns = 0;
  const count = setInterval(() => turns++, 0);
  let immediate = setImmediate(function again() {
    turns++;
    immediate = setImmediate(again);
  });
  for await (const chunk of api.connections()) chunks.push(chunk);
  clearInterval(count);
  clearImmediate(immediate);
  expect(chunks.length).toBeGreaterThan(1);
  for (const chunk of chunks.slice(0, -1)) expect(chunk.length).toBeGreaterThanOrEqual(1000);
  expect(chunks.flat()).toEqual(all);
  expect(turns).toBeGreaterThan(0);
});

test('a list of the connections in a large table yields to packets, even if the table is empty', async () => {
  const director = new Director({ host, maxConnections: 1_048_576 });
  const api = localApi(director, { now: () => 0 });
  const list = async () => {
    for await (const chunk of api.connections()) expect(chunk).toEqual([]);
  };
  expect(await turnsDuring(list())).toBeGreaterThan(5);
});
