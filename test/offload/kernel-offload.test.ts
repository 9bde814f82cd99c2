import { expect, test } from 'vitest';
import type { Connection } from '../../src/model/connection.ts';
import { packetOfLine } from '../../src/wire/packet-line.ts';
import { TCP } from '../../src/wire/tcp.ts';
import { address, destinationAt } from '../forwarding/recorded-host.ts';
import { arriving, Datapath, ipOf } from './datapaths.ts';

const connection = (
  cport: number,
  server = '10.1.0.11',
  method: Connection['method'] = 'nat',
): Connection => ({
  row: 0,
  protocol: TCP,
  caddr: address('203.0.113.7'),
  cport,
  vaddr: address('192.0.2.80'),
  vport: 80,
  dport: 8080,
  destination: destinationAt(server, 8080, method === 'local' ? 'nat' : method),
  method,
});
const request = (cport: number) => arriving(packetOfLine(`203.0.113.7:${cport} > 192.0.2.80:80 ACK len=9`));
const settled = () => new Promise<void>((resolve) => setImmediate(resolve));

test('a removed connection returns to the director at once, and its counts are reported', () => {
  const datapath = Datapath.interpreted('xdp');
  datapath.install(connection(4000));
  expect(datapath.run(request(4000)).fate).toBe('forwarded');
  expect(datapath.run(request(4000)).fate).toBe('forwarded');
  datapath.offload.remove(0);
  expect(datapath.run(request(4000)).fate).toBe('pass');
  expect(datapath.reports).toEqual([[0, 2, 98, false]]);
  datapath.offload.remove(0);
  expect([datapath.flows.live, datapath.actions.size, datapath.offload.has(0)]).toEqual([0, 0, false]);
});

test('flows of the same endpoints and the same route share their actions', async () => {
  const datapath = Datapath.interpreted('xdp');
  datapath.install(connection(4000), connection(4001), connection(4002, '10.1.0.12'));
  expect(datapath.flows.live).toBe(6);
  // To each server, and from each.
  expect(datapath.actions.size).toBe(4);
  for (const row of [0, 1, 2]) datapath.offload.remove(row);
  datapath.offload.reclaim();
  await settled();
  expect([datapath.flows.live, datapath.actions.size]).toEqual([0, 0]);
});

test('a connection whose route changed gets the new one', () => {
  const datapath = Datapath.interpreted('xdp');
  datapath.install(connection(4000, '10.1.0.11', 'dr'));
  datapath.vlan = 9;
  expect(datapath.offload.install(0)).toBe(true);
  const { fate, frame } = datapath.run(request(4000));
  expect([fate, frame[12]]).toEqual(['forwarded', 0x81]);
  expect([datapath.flows.live, datapath.actions.size]).toEqual([1, 1]);
});

test('connections whose route changed return to the director at once, and the others are not affected', () => {
  const datapath = Datapath.interpreted('xdp');
  datapath.install(connection(4000), connection(4001, '10.1.0.12', 'dr'));
  datapath.offload.checkWays();
  expect(datapath.flows.live).toBe(3);
  datapath.mtu = 1400;
  datapath.offload.checkWays();
  expect(['4000', '4001'].map((port) => datapath.run(request(Number(port))).fate)).toEqual(['pass', 'pass']);
  expect([datapath.flows.live, datapath.actions.size]).toEqual([0, 0]);
  expect(datapath.offload.install(1)).toBe(true);
  expect(datapath.run(request(4001)).fate).toBe('forwarded');
});

test('connections that shared a route are separated when the route of some changes', () => {
  const datapath = Datapath.interpreted('xdp');
  const other = { ...connection(4001), caddr: address('203.0.113.8') };
  datapath.install(connection(4000), other);
  datapath.detours.set('203.0.113.8', 9);
  datapath.offload.checkEachWay();
  const reply = (to: string) => arriving(packetOfLine(`10.1.0.11:8080 > ${to} ACK`));
  const fates = () =>
    ['203.0.113.7:4000', '203.0.113.8:4001'].map((to) => {
      const { fate, frame } = datapath.run(reply(to));
      return `${fate}${frame[12] === 0x81 ? ' tagged' : ''}`;
    });
  expect(fates()).toEqual(['forwarded', 'pass']);
  datapath.offload.install(1);
  expect(fates()).toEqual(['forwarded', 'forwarded tagged']);
});

test('slots are reused after all readers have finished, not before', async () => {
  const datapath = Datapath.interpreted('xdp');
  for (let i = 0; i < 300; i++) {
    datapath.connections = [connection(1000 + i)];
    expect(datapath.offload.install(0)).toBe(true);
    expect(ipOf(datapath.run(request(1000 + i)).frame)[16]).toBe(10);
    datapath.offload.remove(0);
    datapath.offload.reclaim();
    await settled();
  }
  expect(datapath.flows.live).toBe(0);
});

test.each<[string, Connection]>([
  ['a server on the director itself', connection(4000, '10.1.0.11', 'local')],
  ['IPv6 in IPv4', { ...connection(4000, '10.1.0.11', 'tunnel'), vaddr: address('2001:db8::80') }],
  [
    'GUE',
    {
      ...connection(4000),
      method: 'tunnel',
      destination: destinationAt('10.1.0.11', 80, 'tunnel', { type: 'gue', port: 6080, checksum: 'none' }),
    },
  ],
])('%s stays with the director', (_what, one) => {
  const datapath = Datapath.interpreted('tc');
  expect(datapath.install(one)).toEqual([false]);
  expect(datapath.offload.counts).toMatchObject({ installed: 0, unsuited: 1 });
});

test('connections that do not fit in the table stay with the director, counted', () => {
  const datapath = Datapath.interpreted('xdp');
  const all = Array.from({ length: 200 }, (_, i) => connection(2000 + i, '10.1.0.11', 'dr'));
  const taken = datapath.install(...all);
  const fates = all.map(({ cport }) => datapath.run(request(cport)).fate);
  expect(fates).toEqual(taken.map((each) => (each ? 'forwarded' : 'pass')));
  expect(datapath.offload.counts.crowded).toBe(taken.filter((each) => !each).length);
  expect(datapath.offload.counts.crowded).toBeGreaterThan(0);
});
