import { expect, test } from 'vitest';
import { Director } from '../../src/director/director.ts';
import type { Command } from '../../src/model/command.ts';
import type { ServiceAddress } from '../../src/model/service.ts';
import { keptServices, LINGER } from '../../src/runtime/owned-packets.ts';

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
  const kept = keptServices();
  /** What is kept after a command at that time, in words. */
  return (now: number, ...commands: Command[]) => {
    for (const command of commands) director.apply(command, now);
    const { services } = kept.update(director.snapshot(now).services, [], now);
    return services.map(
      ({ service, destinations }) =>
        `${'port' in service ? service.port : service.mark} ${destinations
          .map(({ address }) => address)
          .sort()
          .join(' ')}`,
    );
  };
}

test('services and destinations are kept from the moment that they are there', () => {
  const after = setUp();
  expect(after(0, add(WEB), server('10.0.0.1'))).toEqual(['80 10.0.0.1']);
});

test('what is removed is kept until the last of its connections can have timed out', () => {
  const after = setUp();
  after(0, add(WEB), add(SSH), server('10.0.0.1'), server('10.0.0.2'));
  after(0, { op: 'delete-destination', service: WEB, destination: { address: '10.0.0.1', port: 80 } });
  expect(after(1).sort()).toEqual(['22 ', '80 10.0.0.1 10.0.0.2']);
  expect(after(LINGER).sort()).toEqual(['22 ', '80 10.0.0.1 10.0.0.2']);
  expect(after(LINGER + 1)).toContain('80 10.0.0.2');
  after(LINGER + 1, { op: 'delete-service', service: WEB });
  expect(after(2 * LINGER)).toContain('80 10.0.0.2');
  expect(after(2 * LINGER + 2)).toEqual(['22 ']);
});

test('it is kept for as long when nothing was changed for ages before', () => {
  const after = setUp();
  after(0, add(WEB), add(SSH), server('10.0.0.1'), server('10.0.0.2'));
  const later = 10 * LINGER;
  const gone: Command = {
    op: 'delete-destination',
    service: WEB,
    destination: { address: '10.0.0.1', port: 80 },
  };
  expect(after(later, gone, { op: 'delete-service', service: SSH }).sort()).toEqual([
    '22 ',
    '80 10.0.0.1 10.0.0.2',
  ]);
  expect(after(later + LINGER).sort()).toEqual(['22 ', '80 10.0.0.1 10.0.0.2']);
  expect(after(later + LINGER + 1)).toEqual(['80 10.0.0.2']);
});

test('with the last service everything is let go: the host answers for itself', () => {
  const after = setUp();
  after(0, add(WEB), server('10.0.0.1'));
  expect(after(1, { op: 'flush' })).toEqual([]);
});
