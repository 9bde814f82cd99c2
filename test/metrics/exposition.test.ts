import { expect, test } from 'vitest';
import { Director } from '../../src/director/director.ts';
import { exposition } from '../../src/metrics/exposition.ts';
import type { ServiceAddress } from '../../src/model/service.ts';

const WEB: ServiceAddress = { protocol: 'tcp', address: '192.0.2.1', port: 80 };
const TLS: ServiceAddress = { protocol: 'tcp', address: '192.0.2.1', port: 443 };
const MARK: ServiceAddress = { mark: 26, family: 4 };

function director(...services: ServiceAddress[]): Director {
  const made = new Director({
    host: { transmit: () => true, route: () => undefined, isLocal: () => false },
    maxConnections: 16,
  });
  for (const service of services) {
    made.apply({ op: 'add-service', service, options: { scheduler: 'rr' } }, 0);
    const destination = { address: '10.0.0.1', port: 80 };
    made.apply({ op: 'add-destination', service, destination, options: { method: 'masq', weight: 3 } }, 0);
  }
  return made;
}
const lines = async (...services: ServiceAddress[]) =>
  (await exposition(director(...services).snapshot(0), { captureDrops: 5 }, { 'No route to host': 2 })).split(
    '\n',
  );

test('a destination behind two services has a row for each', async () => {
  const rows = (await lines(WEB, TLS)).filter((line) => line.startsWith('lvs_destination_weight{'));
  expect(rows).toHaveLength(2);
  expect(new Set(rows).size).toBe(2);
  expect(rows.every((row) => row.includes('destination_address="10.0.0.1"') && row.endsWith(' 3'))).toBe(
    true,
  );
});

test('node_exporter’s names and labels', async () => {
  const text = await lines(WEB, MARK);
  expect(text).toContain('node_ipvs_connections_total 0');
  expect(text).toContain(
    'node_ipvs_backend_weight{local_address="192.0.2.1",local_port="80",remote_address="10.0.0.1",remote_port="80",proto="TCP",local_mark=""} 3',
  );
  expect(text).toContain(
    'node_ipvs_backend_weight{local_address="",local_port="0",remote_address="10.0.0.1",remote_port="80",proto="FWM",local_mark="0000001A"} 3',
  );
});

test('losses of the driver by their place', async () => {
  const text = await lines();
  expect(text).toContain('lvs_driver_lost_packets_total{place="captureDrops"} 5');
  expect(text).toContain('lvs_driver_send_failures_total{why="No route to host"} 2');
});

test('every metric says what it is', async () => {
  const text = await lines(WEB);
  const names = new Set(text.flatMap((line) => /^([a-z_0-9]+)[{ ]/.exec(line)?.[1] ?? []));
  for (const name of names) expect(text.some((line) => line.startsWith(`# HELP ${name} `))).toBe(true);
});
