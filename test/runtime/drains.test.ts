import { expect, test } from 'vitest';
import { Director } from '../../src/director/director.ts';
import type { ServiceAddress } from '../../src/model/service.ts';
import { Drains } from '../../src/runtime/drains.ts';
import { frameOf } from '../support/packets.ts';

const service: ServiceAddress = { protocol: 'tcp', address: '192.0.2.1', port: 80 };
const destination = { address: '10.0.0.1', port: 80 };

/** A director with one destination that has one connection. */
function busyDirector(): Director {
  const director = new Director({
    host: { transmit: () => true, route: (to) => ({ mtu: 1500, source: to }), isLocal: () => false },
    maxConnections: 16,
  });
  director.apply({ op: 'add-service', service, options: { scheduler: 'rr' } }, 0);
  director.apply({ op: 'add-destination', service, destination, options: { method: 'dr' } }, 0);
  expect(director.handle(frameOf('10.9.9.9:1000 > 192.0.2.1:80 TCP SYN'), 0)).toBe('forwarded');
  return director;
}

test('a busy destination stays, with its service, until the deadline', async () => {
  const director = busyDirector();
  const drains = new Drains();
  await drains.set([{ service, destination }, { service }], 1000);
  expect(await drains.due((name) => director.service(name), 999)).toEqual([]);
  expect(await drains.due((name) => director.service(name), 1000)).toEqual([
    { op: 'delete-destination', service, destination },
    { op: 'delete-service', service },
  ]);
  expect(drains.size).toBe(0);
});

test('an idle destination is removed at once, and its service with it', async () => {
  const director = busyDirector();
  director.expire(1_000_000);
  const drains = new Drains();
  await drains.set([{ service, destination }, { service }], 9_000_000);
  expect((await drains.due((name) => director.service(name), 1_000_000)).map(({ op }) => op)).toEqual([
    'delete-destination',
    'delete-service',
  ]);
});

test('a drain of a removed destination is dropped; a destination that a later reload still drains keeps its deadline', async () => {
  const director = busyDirector();
  const drains = new Drains();
  await drains.set([{ service, destination }], 1000);
  await drains.set([{ service, destination }], 5000);
  expect(await drains.due((name) => director.service(name), 1000)).toHaveLength(1);
  await drains.set([{ service }], 1000);
  director.apply({ op: 'flush' }, 2);
  expect(await drains.due((name) => director.service(name), 2)).toEqual([]);
  expect(drains.size).toBe(0);
});

test('an address is in use while any service at it drains', async () => {
  const drains = new Drains();
  const other: ServiceAddress = { protocol: 'tcp', address: '192.0.2.2', port: 80 };
  await drains.set(
    [{ service, destination }, { service: other, destination }, { service: { mark: 7, family: 4 } }],
    1000,
  );
  expect(drains.uses('192.0.2.1')).toBe(true);
  expect(drains.uses('192.0.2.2')).toBe(true);
  expect(drains.uses('192.0.2.3')).toBe(false);
});
