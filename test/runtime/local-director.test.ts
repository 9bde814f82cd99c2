import { expect, test } from 'vitest';
import type { ConnectionSnapshot } from '../../src/model/snapshot.ts';
import { interfaceMtu, localDoor } from '../../src/runtime/local-director.ts';
import { connection, directorDoor } from '../support/director-apis.ts';

const master = { role: 'master', syncId: 3, interface: 'eth0' } as const;

test('a sync daemon gets from its interface what is not given', async () => {
  const door = directorDoor();
  await door.apply([
    { op: 'start-daemon', daemon: { ...master, interface: 'lo' } },
    { op: 'start-daemon', daemon: { ...master, role: 'backup', interface: 'lo', group: 'ff02::81', ttl: 9 } },
  ]);
  const { daemons } = await door.snapshot({});
  expect(daemons).toEqual([
    { ...master, interface: 'lo', maxLength: 1472, group: '224.0.0.81', port: 8848, ttl: 1 },
    { ...master, role: 'backup', interface: 'lo', maxLength: 65_487, group: 'ff02::81', port: 8848, ttl: 9 },
  ]);
});

test('a sync daemon needs an interface that is there', async () => {
  const [outcome] = await directorDoor().apply([
    { op: 'start-daemon', daemon: { ...master, interface: 'wlan7' } },
  ]);
  expect(outcome?.code).toBe('NO_SUCH_DEVICE');
});

test.each(['', '.', '..', '../../etc', 'a b', 'averyveryverylongname'])('%j is no interface', (name) =>
  expect(interfaceMtu(name)).toBeUndefined(),
);

test('connections come in chunks, and others get their turn in between', async () => {
  const all = Array.from({ length: 2500 }, (_, i) => connection(i));
  const director = { apply: () => {}, snapshot: () => ({}) as never, connections: () => all };
  const door = localDoor(director, { now: () => 0 });
  const chunks: (readonly ConnectionSnapshot[])[] = [];
  let turns = 0;
  const count = setInterval(() => turns++, 0);
  let immediate = setImmediate(function again() {
    turns++;
    immediate = setImmediate(again);
  });
  for await (const chunk of door.connections()) chunks.push(chunk);
  clearInterval(count);
  clearImmediate(immediate);
  expect(chunks.map(({ length }) => length)).toEqual([1000, 1000, 500]);
  expect(chunks.flat()).toEqual(all);
  expect(turns).toBeGreaterThan(0);
});
