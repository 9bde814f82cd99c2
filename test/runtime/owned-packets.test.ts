import { expect, test } from 'vitest';
import { Director } from '../../src/director/director.ts';
import type { Command } from '../../src/model/command.ts';
import type { ServiceAddress } from '../../src/model/service.ts';
import { LINGER_MS, OwnedPackets } from '../../src/runtime/owned-packets.ts';

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

function setUp() {
  const director = new Director({
    host: { transmit: () => true, route: () => undefined, isLocal: () => false },
    maxConnections: 16,
  });
  const owned = new OwnedPackets();
  /** What is kept after a command at that time, in words. */
  return async (now: number, ...commands: Command[]) => {
    for (const command of commands) director.apply(command, now);
    const { services } = await owned.update(director.snapshot(now).services, [], now);
    return services.map(
      ({ service, destinations }) =>
        `${'port' in service ? service.port : service.mark} ${destinations
          .map(({ address }) => address)
          .sort()
          .join(' ')}`,
    );
  };
}

test('services and destinations are owned as soon as they exist', async () => {
  const after = setUp();
  expect(await after(0, add(WEB), server('10.0.0.1'))).toEqual(['80 10.0.0.1']);
});

test('removed ones stay owned until the last of their connections can have timed out', async () => {
  const after = setUp();
  await after(0, add(WEB), add(SSH), server('10.0.0.1'), server('10.0.0.2'));
  await after(0, { op: 'delete-destination', service: WEB, destination: { address: '10.0.0.1', port: 80 } });
  expect((await after(1)).sort()).toEqual(['22 ', '80 10.0.0.1 10.0.0.2']);
  expect((await after(LINGER_MS)).sort()).toEqual(['22 ', '80 10.0.0.1 10.0.0.2']);
  expect(await after(LINGER_MS + 1)).toContain('80 10.0.0.2');
  await after(LINGER_MS + 1, { op: 'delete-service', service: WEB });
  expect(await after(2 * LINGER_MS)).toContain('80 10.0.0.2');
  expect(await after(2 * LINGER_MS + 2)).toEqual(['22 ']);
});

test('the time is the same when nothing was changed for long before', async () => {
  const after = setUp();
  await after(0, add(WEB), add(SSH), server('10.0.0.1'), server('10.0.0.2'));
  const later = 10 * LINGER_MS;
  const gone: Command = {
    op: 'delete-destination',
    service: WEB,
    destination: { address: '10.0.0.1', port: 80 },
  };
  expect((await after(later, gone, { op: 'delete-service', service: SSH })).sort()).toEqual([
    '22 ',
    '80 10.0.0.1 10.0.0.2',
  ]);
  expect((await after(later + LINGER_MS)).sort()).toEqual(['22 ', '80 10.0.0.1 10.0.0.2']);
  expect(await after(later + LINGER_MS + 1)).toEqual(['80 10.0.0.2']);
});

test('when the last service is removed, all packets are released: the host answers again', async () => {
  const after = setUp();
  await after(0, add(WEB), server('10.0.0.1'));
  expect(await after(1, { op: 'flush' })).toEqual([]);
});
