import { spawnSync } from 'node:child_process';
import { expect, test } from 'vitest';
import { exposition, families } from '../../src/metrics/exposition.ts';
import type { Family } from '../../src/metrics/families.ts';
import { MAX_DESTINATIONS, MAX_MESSAGES } from '../../src/metrics/labels.ts';
import { DROP_REASONS } from '../../src/model/verdict.ts';
import { CLUSTER } from '../support/cluster-status.ts';
import { lacking } from '../support/debian.ts';
import { MARK, ObservedDirector, surroundings, TLS, WEB } from '../support/observed.ts';

const text = async (of: ObservedDirector): Promise<string> =>
  (await exposition(of.snapshot(), of.surroundings())).join('');
const lines = async (of: ObservedDirector) => (await text(of)).split('\n');

test('a destination of two services has a row for each service', async () => {
  const director = new ObservedDirector().serve(WEB, { '10.0.0.1': 3 }).serve(TLS, { '10.0.0.1': 3 });
  const rows = (await lines(director)).filter((line) => line.startsWith('lvs_destination_weight{'));
  expect(rows).toHaveLength(2);
  expect(new Set(rows).size).toBe(2);
  expect(rows.every((row) => row.includes('destination_address="10.0.0.1"') && row.endsWith(' 3'))).toBe(
    true,
  );
});

test('the metrics have the names and labels of node_exporter', async () => {
  const director = new ObservedDirector().serve(WEB, { '10.0.0.1': 3 }).serve(MARK, { '10.0.0.1': 3 });
  const text = await lines(director);
  expect(text).toContain('node_ipvs_connections_total 0');
  expect(text).toContain(
    'node_ipvs_backend_weight{local_address="192.0.2.1",local_port="80",remote_address="10.0.0.1",remote_port="80",proto="TCP",local_mark=""} 3',
  );
  expect(text).toContain(
    'node_ipvs_backend_weight{local_address="",local_port="0",remote_address="10.0.0.1",remote_port="80",proto="FWM",local_mark="0000001A"} 3',
  );
});

test('destinations with equal node_exporter labels are summed, as in node_exporter', async () => {
  const director = new ObservedDirector();
  const { services, ...rest } = director.serve(MARK, { '10.0.0.1': 3 }).snapshot();
  const [ipv4] = services;
  const ipv6 = { ...ipv4!, service: { mark: 0x1a, family: 6 as const } };
  const parts = await exposition({ ...rest, services: [ipv4!, ipv6] }, director.surroundings());
  const text = parts.join('');
  const rows = text.split('\n').filter((line) => line.startsWith('node_ipvs_backend_weight{'));
  expect(rows).toEqual([expect.stringMatching(/proto="FWM",local_mark="0000001A"\} 6$/)]);
});

test('packets lost in the driver are counted by place', async () => {
  const text = await lines(new ObservedDirector());
  expect(text).toContain('lvs_driver_lost_packets_total{place="captureDrops"} 5');
  expect(text).toContain('lvs_driver_lost_packets_total{place="firstCaptureDrops"} 7');
  expect(text).toContain('lvs_driver_send_failures_total{why="No route to host"} 2');
});

test('checks are exported, and services whose destinations accept no connections', async () => {
  const director = new ObservedDirector().serve(WEB, { '10.0.0.1': 0, '10.0.0.2': 1 });
  const check = { type: 'http', since: 9, message: 'status 500', weight: 1 } as const;
  director.checks.set('10.0.0.1', { ...check, state: 'down' }).set('10.0.0.2', { ...check, state: 'up' });
  const text = await lines(director);
  const row = (address: string) =>
    text.find((line) => line.startsWith('lvs_destination_check_up{') && line.includes(address));
  expect(row('10.0.0.1')).toMatch(/type="http"\} 0$/);
  expect(row('10.0.0.2')).toMatch(/type="http"\} 1$/);
  expect(text).toContain(
    'lvs_service_destinations_available{protocol="tcp",address="192.0.2.1",port="80",mark=""} 1',
  );
});

test('a cluster is exported by node: states, generations, and who announces what', async () => {
  const director = new ObservedDirector();
  director.around = { ...surroundings, cluster: CLUSTER };
  const text = (await lines(director)).filter((line) =>
    /^lvs_cluster_(node|announced|rejected|gen)/.test(line),
  );
  expect(text).toContain('lvs_cluster_node_state{node="d2",state="online"} 1');
  expect(text).toContain('lvs_cluster_node_state{node="d2",state="offline"} 0');
  expect(text).toContain('lvs_cluster_node_state{node="d5",state="evicted"} 1');
  expect(text.filter((line) => line.startsWith('lvs_cluster_node_generation'))).toEqual([
    'lvs_cluster_node_generation{node="d1"} 7',
    'lvs_cluster_node_generation{node="d2"} 6',
    'lvs_cluster_node_generation{node="d4"} 7',
  ]);
  expect(text).toContain('lvs_cluster_node_ready{node="d4"} 1');
  expect(text.filter((line) => line.startsWith('lvs_cluster_announced'))).toEqual([
    'lvs_cluster_announced{node="d1",vip="198.51.100.1"} 1',
    'lvs_cluster_announced{node="d1",vip="2001:db8:1::1"} 1',
    'lvs_cluster_announced{node="d2",vip="198.51.100.1"} 1',
    'lvs_cluster_announced{node="d2",vip="2001:db8:1::1"} 1',
  ]);
});

test('info metrics have names, and readable addresses of what has none', async () => {
  const director = new ObservedDirector()
    .serve(WEB, { '10.0.0.1': 1 })
    .serve({ mark: 7, family: 6 }, { '2001:db8::1': 1 });
  director.names.set('tcp 192.0.2.1:80', 'web').set('10.0.0.1:80', 'web1');
  const text = await lines(director);
  expect(text).toContain(
    'lvs_service_info{protocol="tcp",address="192.0.2.1",port="80",mark="",service="web"} 1',
  );
  expect(text).toContain(
    'lvs_service_info{protocol="fwm",address="IPv6",port="0",mark="7",service="mark 7 ipv6"} 1',
  );
  const info = text.filter((line) => line.startsWith('lvs_destination_info{'));
  expect(info[0]).toMatch(/,service="web",server="web1"\} 1$/);
  expect(info[1]).toMatch(/,service="mark 7 ipv6",server="\[2001:db8::1\]:80"\} 1$/);
});

test('every drop reason has a row from the start, so that its first increase is visible', async () => {
  const text = await lines(new ObservedDirector());
  for (const reason of Object.keys(DROP_REASONS))
    expect(text).toContain(`lvs_dropped_packets_total{reason="${reason}"} 0`);
});

test('every metric has a help text', async () => {
  const text = await lines(new ObservedDirector().serve(WEB, { '10.0.0.1': 3 }));
  const names = new Set(text.flatMap((line) => /^([a-z_0-9]+)[{ ]/.exec(line)?.[1] ?? []));
  for (const name of names) expect(text.some((line) => line.startsWith(`# HELP ${name} `))).toBe(true);
});

test('rows are bounded, and omitted rows are reported', async () => {
  const director = new ObservedDirector();
  const snapshot = director.serve(WEB, { '10.0.0.1': 1 }).snapshot();
  const [service] = snapshot.services;
  const [one] = service!.destinations;
  const many = Array.from({ length: MAX_DESTINATIONS + 7 }, (_, port) => ({ ...one!, port }));
  const words = Object.fromEntries(Array.from({ length: 1000 }, (_, i) => [`word ${i}`, 1]));
  const crowd = { ...snapshot, services: [{ ...service!, destinations: many }] };
  const all: Family[] = [];
  for await (const family of families(crowd, { ...surroundings, sendFailures: words })) all.push(family);
  for (const { samples } of all) expect(samples.length).toBeLessThanOrEqual(MAX_DESTINATIONS);
  expect(all.find(({ name }) => name === 'lvs_omitted')!.samples[1]![1]).toBe(7);
  const failures = all.find(({ name }) => name === 'lvs_driver_send_failures_total')!.samples;
  expect(failures).toHaveLength(MAX_MESSAGES + 1);
  expect(failures.at(-1)).toEqual([{ why: 'other' }, 1000 - MAX_MESSAGES]);
});

test('labels are escaped', async () => {
  const director = new ObservedDirector();
  director.around = { ...surroundings, sendFailures: { 'a "word"\nand \\ more': 1 } };
  expect(await text(director)).toContain('why="a \\"word\\"\\nand \\\\ more"} 1\n');
});

const PROMTOOL = '/usr/bin/promtool';
const missing = lacking('promtool', 'prometheus');

test('promtool reports no problem', async ({ skip }) => {
  skip(missing !== undefined, missing);
  const director = new ObservedDirector().serve(WEB, { '10.0.0.1': 3 }).serve(MARK, { '10.0.0.1': 3 });
  director.checks.set('10.0.0.1', { type: 'tcp', state: 'up', since: 1, message: 'ok', weight: 3 });
  director.around = {
    ...surroundings,
    offload: { upcalls: 1, forwarded: 1, admitted: 1, leftToDirector: { persistence: 4 } },
  };
  const { status, stdout, stderr } = spawnSync(PROMTOOL, ['check', 'metrics'], {
    input: await text(director),
    encoding: 'utf8',
  });
  expect({ status, said: stdout + stderr }).toEqual({ status: 0, said: '' });
});
