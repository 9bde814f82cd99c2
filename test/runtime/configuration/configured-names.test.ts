import { expect, test } from 'vitest';
import { ConfiguredNames } from '../../../src/runtime/configuration/configured-names.ts';
import type { Fields } from '../../../src/runtime/log.ts';
import { ObservedDirector, TLS, WEB } from '../../support/observed.ts';

const ONE = { address: '10.0.0.1', port: 80 };
const TWO = { address: '10.0.0.2', port: 80 };

async function named(): Promise<ConfiguredNames> {
  const names = new ConfiguredNames();
  await names.set([
    { service: TLS, name: 'tls', destinations: [] },
    { service: WEB, name: 'web', destinations: [{ destination: TWO, name: 'web2' }, { destination: ONE }] },
  ]);
  return names;
}

test('a snapshot has the names and the order of the file', async () => {
  const names = await named();
  const observed = new ObservedDirector().serve(WEB, { '10.0.0.1': 1, '10.0.0.2': 1, '10.0.0.3': 1 });
  const { name, position, destinations } = names.complete(observed.snapshot().services[0]!);
  expect([name, position]).toEqual(['web', 1]);
  expect(destinations.map((each) => [each.address, each.name, each.position])).toEqual([
    ['10.0.0.1', undefined, 1],
    ['10.0.0.2', 'web2', 0],
    ['10.0.0.3', undefined, undefined],
  ]);
});

test('events have the names of their service and server, others are unchanged', async () => {
  const lines: (Fields | undefined)[] = [];
  const log = (await named()).log((_level, _event, fields) => lines.push(fields));
  log('info', 'check-up', { service: 'tcp 192.0.2.1:80', destination: '10.0.0.2:80', cause: 'x' });
  log('info', 'check-up', { service: 'tcp 192.0.2.1:80', destination: '10.0.0.1:80' });
  log('info', 'other', { service: 'tcp 192.0.2.1:8080', destination: '10.0.0.2:80' });
  log('info', 'ready');
  expect(lines).toEqual([
    {
      'service-name': 'web',
      'destination-name': 'web2',
      service: 'tcp 192.0.2.1:80',
      destination: '10.0.0.2:80',
      cause: 'x',
    },
    { 'service-name': 'web', service: 'tcp 192.0.2.1:80', destination: '10.0.0.1:80' },
    { service: 'tcp 192.0.2.1:8080', destination: '10.0.0.2:80' },
    undefined,
  ]);
});

test('a reload replaces names, and what drains keeps its name', async () => {
  const names = await named();
  const draining = [{ service: WEB, destination: TWO }, { service: TLS }];
  await names.set(
    [{ service: WEB, name: 'www', destinations: [{ destination: ONE, name: 'one' }] }],
    draining,
  );
  expect(names.of(WEB, ONE)).toEqual({ service: 'www', server: 'one' });
  expect(names.of(WEB, TWO)).toEqual({ service: 'www', server: 'web2' });
  expect(names.of(TLS)).toEqual({ service: 'tls' });
  await names.set([], []);
  expect(names.of(WEB, TWO)).toEqual({});
});

test('a name stands for the address of its server, other texts for themselves', async () => {
  const names = await named();
  expect(names.addressOf('web2')).toBe('10.0.0.2');
  expect(names.addressOf('10.0.0.9:80')).toBe('10.0.0.9:80');
  const both = [TWO, { address: '2001:db8::2', port: 80 }].map((destination) => ({
    destination,
    name: 'web2',
  }));
  await names.set([{ service: WEB, destinations: both }]);
  expect(() => names.addressOf('web2')).toThrow(
    'web2: this server has the addresses 10.0.0.2 and 2001:db8::2',
  );
});

test('an explanation names services and candidates', async () => {
  const names = await named();
  const candidate = {
    ...TWO,
    method: 'nat',
    weight: 1,
    activeConnections: 0,
    inactiveConnections: 0,
  } as const;
  const { steps } = names.explained({
    packet: '',
    verdict: 'forwarded',
    steps: [
      { step: 'service', service: WEB, near: [{ service: TLS, why: 'another port' }], asked: true },
      {
        step: 'scheduler',
        scheduler: 'rr',
        rule: '',
        candidates: [{ ...candidate, taken: true, why: '' }],
        more: 0,
      },
    ],
  });
  expect(steps).toMatchObject([{ name: 'web', near: [{ name: 'tls' }] }, { candidates: [{ name: 'web2' }] }]);
});
