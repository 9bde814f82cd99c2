import { expect, test } from 'vitest';
import { Director } from '../../../src/director/director.ts';
import type { Command } from '../../../src/model/command.ts';
import { type OwnedChange, portionsOf } from '../../../src/model/owned-packets.ts';
import type { ServiceAddress } from '../../../src/model/service.ts';
import { GuardUpdates, guardedApi } from '../../../src/runtime/host/guard-update.ts';
import { localApi } from '../../../src/runtime/local-director.ts';
import { LINGER_MS, OwnedPackets, runningServices } from '../../../src/runtime/restart/owned-packets.ts';

const WEB: ServiceAddress = { protocol: 'tcp', address: '192.0.2.1', port: 80 };
const SSH: ServiceAddress = { protocol: 'tcp', address: '192.0.2.1', port: 22 };
const add = (service: ServiceAddress): Command => ({
  op: 'add-service',
  service,
  options: { scheduler: 'rr' },
});
const server = (address: string): Command => ({
  op: 'add-destination',
  service: WEB,
  destination: { address, port: 80 },
  options: { method: 'nat' },
});

const REMOVED: Command = {
  op: 'delete-destination',
  service: WEB,
  destination: { address: '10.0.0.1', port: 80 },
};

function setUp() {
  const director = new Director({
    host: { transmit: () => true, route: () => undefined, isLocal: () => false },
    maxConnections: 16,
  });
  const owned = new OwnedPackets(runningServices(director));
  const parts = new Map<string, Set<string>>();
  const nameOf = (service: ServiceAddress) => String('port' in service ? service.port : service.mark);
  let now = 0;
  const local = localApi(director, { now: () => now });
  const changes: OwnedChange[] = [];
  const updates = new GuardUpdates(async ({ added, changed }) => {
    await owned.add(added);
    await owned.review(changed, now);
    owned.expire(now);
    const change = owned.takeChange();
    changes.push(change);
    for (const { service, destination } of change.added) {
      const name = nameOf(service);
      if (destination) parts.get(name)!.add(destination.address);
      else parts.set(name, new Set());
    }
    for (const { service, destination } of change.removed)
      if (destination) parts.get(nameOf(service))?.delete(destination.address);
      else parts.delete(nameOf(service));
  });
  const api = guardedApi(local, updates);
  return {
    /** Returns what is kept after a command at that time, as text. */
    async after(at: number, ...commands: Command[]): Promise<string[]> {
      now = at;
      if (commands.length > 0) await api.apply(commands);
      else await updates.request();
      return [...parts].map(([name, servers]) => `${name} ${[...servers].sort().join(' ')}`).sort();
    },
    /** Parts in the changes so far. */
    get changedParts() {
      return changes.reduce((sum, { added, removed }) => sum + added.length + removed.length, 0);
    },
  };
}

test('services and destinations are owned as soon as they exist', async () => {
  const { after } = setUp();
  expect(await after(0, add(WEB), server('10.0.0.1'))).toEqual(['80 10.0.0.1']);
});

test('removed ones stay owned until the last of their connections can have timed out', async () => {
  const { after } = setUp();
  await after(0, add(WEB), add(SSH), server('10.0.0.1'), server('10.0.0.2'));
  await after(0, REMOVED);
  expect(await after(1)).toEqual(['22 ', '80 10.0.0.1 10.0.0.2']);
  expect(await after(LINGER_MS)).toEqual(['22 ', '80 10.0.0.1 10.0.0.2']);
  expect(await after(LINGER_MS + 1)).toContain('80 10.0.0.2');
  await after(LINGER_MS + 1, { op: 'delete-service', service: WEB });
  expect(await after(2 * LINGER_MS)).toContain('80 10.0.0.2');
  expect(await after(2 * LINGER_MS + 2)).toEqual(['22 ']);
});

test('the time is the same when nothing was changed for long before', async () => {
  const { after } = setUp();
  await after(0, add(WEB), add(SSH), server('10.0.0.1'), server('10.0.0.2'));
  const later = 10 * LINGER_MS;
  const both = ['22 ', '80 10.0.0.1 10.0.0.2'];
  expect(await after(later, REMOVED, { op: 'delete-service', service: SSH })).toEqual(both);
  expect(await after(later + LINGER_MS)).toEqual(both);
  expect(await after(later + LINGER_MS + 1)).toEqual(['80 10.0.0.2']);
});

test('when the last service is removed, all packets are released: the host answers again', async () => {
  const { after } = setUp();
  await after(0, add(WEB), server('10.0.0.1'));
  expect(await after(1, { op: 'flush' })).toEqual([]);
});

test('a part that is added again before it is released stays owned', async () => {
  const { after } = setUp();
  await after(0, add(WEB), server('10.0.0.1'));
  await after(1, REMOVED);
  await after(2, server('10.0.0.1'));
  expect(await after(2 * LINGER_MS)).toEqual(['80 10.0.0.1']);
});

test('a command that fails leaves nothing owned for longer than a removed service', async () => {
  const { after } = setUp();
  await after(0, add(WEB));
  await after(1, { op: 'add-service', service: SSH, options: { scheduler: 'none such' } });
  expect(await after(LINGER_MS + 2)).toEqual(['80 ']);
});

test('a service that is deleted and added again in one call loses its destinations', async () => {
  const { after } = setUp();
  await after(0, add(WEB), server('10.0.0.1'));
  await after(1, { op: 'delete-service', service: WEB }, add(WEB));
  expect(await after(LINGER_MS + 2)).toEqual(['80 ']);
});

test('a destination with another method is another part', async () => {
  const { after } = setUp();
  await after(0, add(WEB), server('10.0.0.1'));
  const destination = { address: '10.0.0.1', port: 80 };
  await after(1, { op: 'edit-destination', service: WEB, destination, options: { method: 'dr' } });
  expect(await after(LINGER_MS + 2)).toEqual(['80 ']);
});

test('a change has the parts that are new, however many there are already', async () => {
  const watched = setUp();
  const services = Array.from({ length: 500 }, (_, i) => add({ ...WEB, port: 1000 + i } as ServiceAddress));
  await watched.after(0, ...services);
  const before = watched.changedParts;
  await watched.after(1, add(WEB), server('10.0.0.1'));
  expect(watched.changedParts - before).toBe(2);
});

test('a change is followed in portions: all of it, additions first', () => {
  const parts = Array.from({ length: 450 }, (_, i) => ({
    service: { ...WEB, port: i + 1 } as ServiceAddress,
  }));
  const portions = [...portionsOf({ added: parts, removed: parts.slice(0, 10) })];
  expect(portions.flatMap(({ added }) => added)).toEqual(parts);
  expect(portions.at(-1)!.removed).toEqual(parts.slice(0, 10));
  expect(portions.length).toBeGreaterThan(2);
  expect([...portionsOf({ added: [], removed: [] })]).toHaveLength(1);
});
