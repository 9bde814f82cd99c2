import { expect, test } from 'vitest';
import { Meter } from '../../src/director/rate-estimator.ts';
import { IN_OCTETS, IN_PACKETS } from '../../src/model/counters.ts';
import { Directed } from '../support/directed.ts';

const DNS = 'udp 192.0.2.80:53';
const query = '203.0.113.7:4000 > 192.0.2.80:53 UDP len=10';

test('a rate moves by a quarter of the difference at each reading, as in the kernel', () => {
  const meter = new Meter();
  meter.counters[IN_PACKETS] = 3000;
  meter.counters[IN_OCTETS] = 4_284_000;
  meter.tick();
  expect(meter.rate()).toMatchObject({ inPackets: 375, inOctets: 535_500 });
  meter.tick();
  expect(meter.rate()).toMatchObject({ inPackets: 281, inOctets: 401_625 });
});

test('a rate decreases to zero', () => {
  const meter = new Meter();
  meter.counters[IN_PACKETS] = 40;
  for (let i = 0; i < 60; i++) meter.tick();
  expect(meter.rate().inPackets).toBe(0);
  expect(meter.traffic().inPackets).toBe(40);
});

test('rates of services, destinations and the total are those of the last tick', () => {
  const directed = new Directed().serve(DNS, ['10.0.0.1:53']);
  directed.receive(query);
  directed.receive('10.0.0.1:53 > 203.0.113.7:4000 UDP len=100');
  directed.wait(1.9);
  expect(directed.service(DNS).stats.inPackets).toBe(0);
  directed.wait(0.2);
  const seen = { connections: 1, inPackets: 1, outPackets: 1, inOctets: 38, outOctets: 128 };
  expect(directed.service(DNS).stats).toEqual(seen);
  expect(directed.destination(DNS, '10.0.0.1:53').stats).toEqual(seen);
  expect(directed.director.snapshot(directed.now).stats).toEqual(seen);
});

test('zeroing restarts the rates from the last tick', () => {
  const directed = new Directed().serve(DNS, ['10.0.0.1:53']);
  for (let i = 0; i < 100; i++) directed.receive(query);
  directed.wait(2);
  directed.receive(query);
  directed.director.apply({ op: 'zero' }, directed.now);
  expect(directed.service(DNS)).toMatchObject({ stats: { inPackets: 0 }, rates: { inPackets: 0 } });
  directed.wait(2);
  expect(directed.service(DNS).stats.inPackets).toBe(1);
});

test('zeroing one service keeps the rates of the others', () => {
  const directed = new Directed().serve(DNS, ['10.0.0.1:53']).serve('mark 7', []);
  directed.receive(query);
  directed.wait(2);
  directed.director.apply({ op: 'zero', service: { mark: 7, family: 4 } }, directed.now);
  expect(directed.service(DNS).stats.inPackets).toBe(1);
});

test('with run_estimation 0 rates do not change', () => {
  const directed = new Directed().serve(DNS, ['10.0.0.1:53']);
  directed.set('run_estimation', 0);
  directed.receive(query);
  directed.wait(10);
  expect(directed.service(DNS).stats.inPackets).toBe(0);
});
