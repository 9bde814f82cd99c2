import { describe, expect, test } from 'vitest';
import { takeIntoAccount } from '../../src/director/offloaded.ts';
import type { FlowOffload } from '../../src/forwarding/offload.ts';
import type { Row } from '../../src/model/connection.ts';
import type { ForwardingMethodName } from '../../src/model/destination.ts';
import { Directed } from '../support/directed.ts';

/** A kernel path that only remembers what it has. */
class Remembered implements FlowOffload {
  readonly rows = new Set<Row>();
  /** Counts not yet reported when a connection is removed from it. */
  told: (row: Row) => void = () => {};
  install(row: Row): boolean {
    this.rows.add(row);
    return true;
  }
  remove(row: Row): void {
    if (this.rows.delete(row)) this.told(row);
  }
  sweep(): void {}
}

function directed(protocol: 'tcp' | 'udp', method: Exclude<ForwardingMethodName, 'local'>) {
  const one = new Directed();
  const offload = new Remembered();
  one.director.context.offload.attach(offload);
  const service = { protocol, address: '192.0.2.80', port: 80 } as const;
  one.director.apply({ op: 'add-service', service, options: { scheduler: 'rr' } }, 0);
  one.director.apply(
    { op: 'add-destination', service, destination: { address: '10.0.0.1', port: 80 }, options: { method } },
    0,
  );
  return { one, offload };
}

const CLIENT = '203.0.113.7:4000 > 192.0.2.80:80';
const SERVER = '10.0.0.1:80 > 203.0.113.7:4000';

describe('the kernel path forwards a connection', () => {
  test('while no packet is expected to change its state', () => {
    const { one, offload } = directed('tcp', 'nat');
    const rowsAfter = (line: string) => {
      one.receive(line);
      return offload.rows.size;
    };
    expect(rowsAfter(`${CLIENT} SYN`)).toBe(0);
    expect(rowsAfter(`${SERVER} SYN+ACK`)).toBe(0);
    expect(rowsAfter(`${CLIENT} ACK`)).toBe(1);
    expect(rowsAfter(`${CLIENT} PSH+ACK len=9`)).toBe(1);
    expect(rowsAfter(`${CLIENT} FIN+ACK`)).toBe(0);
    expect(rowsAfter(`${SERVER} ACK`)).toBe(0);
  });

  test('whose destination was not removed, even if the removed one still sends', () => {
    const { one, offload } = directed('tcp', 'nat');
    for (const line of [`${CLIENT} SYN`, `${SERVER} SYN+ACK`, `${CLIENT} ACK`]) one.receive(line);
    const service = { protocol: 'tcp', address: '192.0.2.80', port: 80 } as const;
    const destination = { address: '10.0.0.1', port: 80 };
    one.director.apply({ op: 'delete-destination', service, destination }, one.now);
    offload.rows.clear();
    one.receive(`${SERVER} PSH+ACK len=9`);
    expect(offload.rows.size).toBe(0);
    one.director.apply({ op: 'add-destination', service, destination, options: { method: 'nat' } }, one.now);
    one.receive(`${SERVER} PSH+ACK len=9`);
    expect(offload.rows.size).toBe(1);
  });

  test('of UDP from its first packet until it is idle', () => {
    const { one, offload } = directed('udp', 'dr');
    one.receive(`${CLIENT} UDP len=4`);
    expect(offload.rows.size).toBe(1);
    one.now += 301_000;
    one.director.expire(one.now);
    expect(offload.rows.size).toBe(0);
  });
});

test.each([
  ['RST', 'CLOSE', 10],
  ['FIN+ACK', 'FIN_WAIT', 120],
])(
  'a connection that ends with %s just after the kernel path forwarded for it keeps its usual timeout',
  (flags, state, seconds) => {
    const { one, offload } = directed('tcp', 'dr');
    for (const line of [`${CLIENT} SYN`, `${CLIENT} ACK`]) one.receive(line);
    offload.told = (row) => takeIntoAccount(one.director.context, row, 3, 300, one.now, false);
    one.receive(`${CLIENT} ${flags}`);
    const ends = () => [...one.director.connections(one.now)].map((each) => each.state);
    expect(ends()).toEqual([state]);
    one.now += seconds * 1000 + 100;
    expect(ends()).toEqual([]);
    const [service] = one.director.snapshot(one.now).services;
    expect(service!.stats.inPackets).toBe(6);
  },
);

test('packets that the kernel path forwarded are counted and keep the connection alive', () => {
  const { one, offload } = directed('udp', 'nat');
  one.receive(`${CLIENT} UDP len=4`);
  const [row] = [...offload.rows];
  takeIntoAccount(one.director.context, row!, 10, 5000, 200_000, false);
  takeIntoAccount(one.director.context, row!, 7, 700, 150_000, true);
  one.now = 400_000;
  const [service] = one.director.snapshot(one.now).services;
  for (const counted of [service!, service!.destinations[0]!])
    expect(counted.stats).toMatchObject({ inPackets: 11, inOctets: 5032, outPackets: 7, outOctets: 700 });
  expect(offload.rows.size).toBe(1);
  // A changed timeout applies from the next packet on.
  one.director.apply({ op: 'set-timeouts', timeouts: { tcp: 0, tcpFin: 0, udp: 600 } }, one.now);
  takeIntoAccount(one.director.context, row!, 1, 100, 400_000, false);
  one.now = 990_000;
  one.director.expire(one.now);
  expect(offload.rows.size).toBe(1);
  one.now = 1_001_000;
  one.director.expire(one.now);
  expect(offload.rows.size).toBe(0);
});

test('a connection for which the kernel path forwarded just before the timeout is not idle', () => {
  const { one, offload } = directed('udp', 'dr');
  one.receive(`${CLIENT} UDP len=4`);
  offload.told = (row) => takeIntoAccount(one.director.context, row, 1, 32, one.now, false);
  one.wait(300);
  one.wait(1);
  expect(one.connections).toHaveLength(1);
  one.wait(301);
  expect(one.connections).toHaveLength(0);
});

test('a connection whose client starts a new one ends, even if the kernel path still has counts for it', () => {
  const { one, offload } = directed('tcp', 'dr');
  one.set('expire_nodest_conn', 1);
  for (const line of [`${CLIENT} SYN`, `${CLIENT} ACK`]) one.receive(line);
  one.edit('tcp 192.0.2.80:80', '10.0.0.1:80', { method: 'dr', weight: 0 });
  expect(one.receive(`${CLIENT} SYN`)).toBe('no-destination');
  for (const row of offload.rows) takeIntoAccount(one.director.context, row, 1, 40, one.now, false);
  one.wait(0.1);
  expect(one.connections).toHaveLength(0);
});

test('packets forwarded for a destination before its removal are counted for its service', () => {
  const { one, offload } = directed('udp', 'nat');
  one.receive(`${CLIENT} UDP len=4`);
  const [row] = [...offload.rows];
  one.remove('udp 192.0.2.80:80', '10.0.0.1:80');
  takeIntoAccount(one.director.context, row!, 10, 320, one.now, false);
  one.wait(2);
  expect(one.service('udp 192.0.2.80:80').stats).toMatchObject({ inPackets: 11, inOctets: 352 });
});
