/** The listing of servers that have joined, as `lvs-director joined` prints it. */
import { expect, test } from 'vitest';
import { formatJoined } from '../../../src/cli/director/joined.ts';
import { Director } from '../../../src/director/director.ts';
import type { ServerState } from '../../../src/join/member.ts';
import { Membership } from '../../../src/join/membership.ts';
import type { ServiceAddress } from '../../../src/model/service.ts';
import { joinedPlaces } from '../../../src/runtime/join/joined-listing.ts';
import { localApi } from '../../../src/runtime/local-director.ts';
import { type Prefix, parsePrefix } from '../../../src/wire/prefix.ts';
import { PrefixSet } from '../../../src/wire/prefix-set.ts';

const service: ServiceAddress = { protocol: 'tcp', address: '192.0.2.1', port: 80 };
const SLOW_START = 10_000;

test('each server is listed with its weights, and why it has them', async () => {
  const networks = new PrefixSet();
  networks.add(parsePrefix('10.0.0.0/24') as Prefix);
  const options = { method: 'dr' } as const;
  const limits = { options, maxServers: 100, maxWeight: 100, slowStart: SLOW_START };
  const services = new Map([['tcp 192.0.2.1:80', { service, ...limits, listed: new Set<string>() }]]);
  const membership = new Membership({ changed: () => {}, refused: () => {} });
  const common = { maxServers: 100, networks, vips: new Set<string>(), drain: 60_000, patience: 1000 };
  membership.configure({ services, ...common }, 0);
  const host = { transmit: () => true, route: () => undefined, isLocal: () => false };
  const director = new Director({ host, maxConnections: 64 });
  const api = localApi(director, { now: () => 0 });
  await api.apply([{ op: 'add-service', service, options: { scheduler: 'wrr' } }]);
  const announce = (node: string, address: string, state: ServerState, now: number) =>
    membership.announce(
      {
        ...{ node, run: '1111111111111111', state, source: 'etcd' },
        places: [{ service, destination: { address, port: 80 }, weight: 100 }],
      },
      now,
    );
  const fates = { isIdle: () => true, isDown: () => false };
  announce('s10', '10.0.0.10', 'up', 0);
  announce('s2', '10.0.0.2', 'up', 0);
  announce('s3', '10.0.0.3', 'joining', 0);
  announce('s4', '10.0.0.4', 'up', 0);
  for (const { placement, weight } of membership.steps(0, fates)) {
    const { destination } = placement;
    await api.apply([{ op: 'add-destination', service, destination, options: { ...options, weight } }]);
  }
  const set = (address: string, weight: number) =>
    api.apply([
      {
        op: 'edit-destination',
        service,
        destination: { address, port: 80 },
        options: { ...options, weight },
      },
    ]);
  await set('10.0.0.2', 0);
  const now = 5000;
  for (const { placement, weight } of membership.steps(now, fates))
    if (placement.server.name === 's10') await set('10.0.0.10', weight);
  membership.find(service, { address: '10.0.0.4', port: 80 })!.isRemoved = true;
  await api.apply([{ op: 'delete-destination', service, destination: { address: '10.0.0.4', port: 80 } }]);
  const lines = formatJoined(joinedPlaces(membership, director, now)).split('\n');
  expect(lines.map((line) => line.replace(/ *20\d\d-.*Z$/, ''))).toEqual([
    'server  by    service           destination   weight  announced  state       since',
    's2      etcd  tcp 192.0.2.1:80  10.0.0.2:80   0       100        quiesced',
    's3      etcd  tcp 192.0.2.1:80  10.0.0.3:80   0       100        joining',
    's4      etcd  tcp 192.0.2.1:80  10.0.0.4:80   -       100        removed',
    's10     etcd  tcp 192.0.2.1:80  10.0.0.10:80  60      100        slow-start',
    '',
  ]);
});

test('no servers are listed as none', () => {
  expect(formatJoined([])).toBe('no servers have joined\n');
});
