/** What keys of servers in etcd mean to a director. */
import { beforeEach, expect, test } from 'vitest';
import type { ServerState } from '../../src/join/member.ts';
import { Membership } from '../../src/join/membership.ts';
import { type RegisteredValue, ServerRegistry } from '../../src/join/registry.ts';
import { serverRecord } from '../../src/join/server-record.ts';
import type { ServiceAddress } from '../../src/model/service.ts';
import { type Prefix, parsePrefix } from '../../src/wire/prefix.ts';
import { PrefixSet } from '../../src/wire/prefix-set.ts';

const WEB: ServiceAddress = { protocol: 'tcp', address: '192.0.2.1', port: 80 };
const networks = new PrefixSet();
networks.add(parsePrefix('10.0.0.0/24') as Prefix);
const policyOf = (maxServers: number) => ({
  services: new Map([
    [
      'tcp 192.0.2.1:80',
      {
        ...{ service: WEB, options: { method: 'dr' as const }, maxServers: 10, maxWeight: 100, slowStart: 0 },
        listed: new Set<string>(),
      },
    ],
  ]),
  ...{ maxServers, networks, vips: new Set<string>(), drain: 60_000, patience: 1000 },
});

let now = 0;
let revision = 0;
let membership: Membership;
let registry: ServerRegistry;
let values: Map<string, RegisteredValue>;

beforeEach(() => {
  now = 1_000_000;
  values = new Map();
  membership = new Membership({ changed: () => {}, refused: () => {} });
  membership.configure(policyOf(10), now);
  registry = new ServerRegistry(membership);
});

const write = (name: string, text: string) =>
  values.set(name, { value: Buffer.from(text), modRevision: ++revision });
const put = (i: number, weight = 100, state: ServerState = 'up') =>
  write(
    `s${i}`,
    serverRecord({
      ...{ node: `s${i}`, run: '1111111111111111', state },
      places: [{ service: WEB, destination: { address: `10.0.0.${i}`, port: 80 }, weight }],
    }),
  );
const take = () => registry.take(values, now);
/** Weights of the destinations after `ms`. */
const weights = (ms = 0) => {
  now += ms;
  membership.steps(now, { isIdle: () => false, isDown: () => false });
  return [...membership.placements].map(({ destination, applied }) => `${destination.address} ${applied}`);
};

test('a key adds its server, follows its weight and its drain, and removes it by its last value', () => {
  put(1);
  put(2);
  take();
  expect(weights()).toEqual(['10.0.0.1 100', '10.0.0.2 100']);
  put(1, 30);
  put(2, 0, 'draining');
  take();
  expect(weights()).toEqual(['10.0.0.1 30', '10.0.0.2 0']);
  put(2, 0, 'leaving');
  take();
  values.delete('s2');
  take();
  expect(registry.size).toBe(1);
  weights(61_000);
  expect(weights()).toEqual(['10.0.0.1 30']);
});

test('a key that vanishes loses its server; those of most servers lose none', () => {
  for (const i of [1, 2, 3, 4]) put(i);
  take();
  weights();
  values.delete('s1');
  take();
  weights(3000);
  expect(weights()).toContain('10.0.0.1 0');
  values.clear();
  take();
  weights(3000);
  expect(weights()).toEqual(['10.0.0.1 100', '10.0.0.2 100', '10.0.0.3 100', '10.0.0.4 100']);
});

test('heartbeats do not lose a server that etcd has brought', () => {
  for (const i of [1, 2, 3]) put(i);
  take();
  membership.lose('s1', now);
  weights(5000);
  expect(weights()).toContain('10.0.0.1 100');
});

test('a server that was refused is accepted when there is a place', () => {
  membership.configure(policyOf(1), now);
  put(1);
  put(2);
  take();
  expect(weights()).toEqual(['10.0.0.1 100']);
  membership.configure(policyOf(2), now);
  now += 5000;
  take();
  expect(weights()).toEqual(['10.0.0.1 100', '10.0.0.2 100']);
});

test('garbage, and the key of another name, are reported, and change nothing', () => {
  put(1);
  take();
  write('s1', 'garbage');
  const { value } = put(2).get('s2')!;
  values.set('s3', { value, modRevision: ++revision });
  expect(take()).toEqual(['s1', 's3']);
  expect(weights(10_000)).toEqual(['10.0.0.1 100', '10.0.0.2 100']);
  expect(registry.size).toBe(1);
});

test('a server of a former director is lost only when etcd has no key of it', () => {
  for (const i of [1, 2, 3])
    membership.restore(
      {
        ...{ server: `s${i}`, run: '1111111111111111', state: 'up', source: 'etcd', service: WEB },
        ...{ destination: { address: `10.0.0.${i}`, port: 80 }, options: { method: 'dr' }, weight: 100 },
        ...{ applied: 100, end: undefined },
      },
      now,
    );
  for (const i of [1, 2, 3]) registry.expect(`s${i}`, now);
  expect(weights(60_000)).toEqual(['10.0.0.1 100', '10.0.0.2 100', '10.0.0.3 100']);
  put(1);
  put(2);
  take();
  weights(3000);
  expect(weights()).toEqual(['10.0.0.1 100', '10.0.0.2 100', '10.0.0.3 0']);
});
