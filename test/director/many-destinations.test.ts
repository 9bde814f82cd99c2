import { expect, test } from 'vitest';
import { Director } from '../../src/director/director.ts';
import type { Command } from '../../src/model/command.ts';
import { IN_PACKETS } from '../../src/model/counters.ts';

const service = { protocol: 'tcp', address: '192.0.2.1', port: 80 } as const;
const host = { transmit: () => true, route: () => undefined, isLocal: () => false };
const at = (i: number) => ({ address: `10.${i >> 16}.${(i >> 8) & 255}.${i & 255}`, port: 8080 });
const command = (op: 'add-destination' | 'delete-destination', i: number): Command =>
  op === 'add-destination'
    ? { op, service, destination: at(i), options: { method: 'nat' } }
    : { op, service, destination: at(i) };

/** Returns how often the addresses of destinations are read while `work` runs: comparing each with all is seen here. */
function addressReads(director: Director, work: () => void): number {
  let reads = 0;
  for (const each of director.context.destinations.all) {
    if (each === undefined) continue;
    const { address } = each;
    Object.defineProperty(each, 'address', {
      configurable: true,
      get: () => {
        reads++;
        return address;
      },
    });
  }
  work();
  return reads;
}

test.each(['wrr', 'mh', 'rr', 'sh'])(
  'a change among many destinations (%s) does not read the other destinations',
  (scheduler) => {
    const director = new Director({ host, maxConnections: 16 });
    director.apply({ op: 'add-service', service, options: { scheduler } }, 0);
    for (let i = 0; i < 1000; i++) director.apply(command('add-destination', i), 0);
    const reads = addressReads(director, () => {
      for (let i = 1000; i < 1100; i++) director.apply(command('add-destination', i), 0);
      for (let i = 0; i < 100; i++) director.apply(command('delete-destination', i), 0);
    });
    expect(reads).toBeLessThan(2000);
  },
);

test('a removed destination among many resumes with its counters', () => {
  const director = new Director({ host, maxConnections: 16 });
  director.apply({ op: 'add-service', service, options: { scheduler: 'rr' } }, 0);
  for (let i = 0; i < 100; i++) director.apply(command('add-destination', i), 0);
  const before = director.context.destinations.all.slice();
  for (let i = 0; i < 100; i++) director.apply(command('delete-destination', i), 0);
  for (let i = 99; i >= 0; i--) director.apply(command('add-destination', i), 0);
  expect(director.context.destinations.all).toEqual(before);
  expect([...director.context.services.all][0]!.destinations[0]).toBe(before[1]);
});

test('removed destinations are forgotten in portions', () => {
  const director = new Director({ host, maxConnections: 16 });
  director.apply({ op: 'add-service', service, options: { scheduler: 'rr' } }, 0);
  for (let i = 0; i < 5000; i++) director.apply(command('add-destination', i), 0);
  for (let i = 0; i < 5000; i++) director.apply(command('delete-destination', i), 0);
  const left = () => director.context.destinations.all.filter((each) => each !== undefined).length;
  const fewer: number[] = [];
  for (let second = 1, before = left(); second <= 200; second++, before = left()) {
    director.expire(second * 1000);
    if (left() < before) fewer.push(before - left());
  }
  expect(left()).toBe(0);
  expect(fewer).toEqual([4096, 904]);
});

test('meters are read in portions', () => {
  const director = new Director({ host, maxConnections: 16 });
  director.apply({ op: 'add-service', service, options: { scheduler: 'rr' } }, 0);
  for (let i = 0; i < 5000; i++) director.apply(command('add-destination', i), 0);
  const { destinations } = [...director.context.services.all][0]!;
  for (const { counters } of destinations) counters[IN_PACKETS] = 100;
  const read = () => destinations.filter(({ meter }) => meter.traffic().inPackets === 100).length;
  const counts: number[] = [];
  director.expire(0);
  for (let now = 2000; now <= 3000; now += 100) {
    director.expire(now);
    counts.push(read());
  }
  expect(counts[0]).toBe(512);
  for (const [i, count] of counts.slice(1).entries()) expect(count - counts[i]!).toBeLessThan(1100);
  expect(counts.at(-1)).toBe(5000);
});

test('a reading of many meters that is late continues in portions', () => {
  const director = new Director({ host, maxConnections: 16 });
  director.apply({ op: 'add-service', service, options: { scheduler: 'rr' } }, 0);
  for (let i = 0; i < 20_000; i++) director.apply(command('add-destination', i), 0);
  const { destinations } = [...director.context.services.all][0]!;
  for (const { counters } of destinations) counters[IN_PACKETS] = 100;
  const read = () => destinations.filter(({ meter }) => meter.traffic().inPackets === 100).length;
  director.expire(0);
  director.expire(2000);
  director.expire(60_000);
  expect(read()).toBeLessThan(10_000);
  director.expire(60_100);
  director.expire(60_200);
  director.expire(60_300);
  director.expire(60_400);
  director.expire(60_500);
  expect(read()).toBe(20_000);
});
