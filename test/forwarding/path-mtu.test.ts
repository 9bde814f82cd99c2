import { expect, test } from 'vitest';
import { PathMtuHost } from '../../src/forwarding/path-mtu.ts';
import { address, RecordedHost } from './recorded-host.ts';

const server = address('10.1.0.11');
const server6 = address('fd01::11');

function known(host: PathMtuHost, to = server): number | undefined {
  return host.route(to)?.mtu;
}

test('a path MTU is that of the link until a smaller one is learned', () => {
  const host = new PathMtuHost(new RecordedHost());
  expect(known(host)).toBe(1500);
  host.learnMtu(server, 1300);
  expect(known(host)).toBe(1300);
  expect(host.route(server)?.source).toEqual(address('10.1.0.1'));
  expect(known(host, address('10.1.0.12'))).toBe(1500);
});

test('a path MTU only decreases, and stays between the minimum and the MTU of the link', () => {
  const host = new PathMtuHost(new RecordedHost());
  host.learnMtu(server, 9000);
  expect(known(host)).toBe(1500);
  host.learnMtu(server, 1400);
  host.learnMtu(server, 1450);
  expect(known(host)).toBe(1400);
  host.learnMtu(server, 0);
  host.learnMtu(server6, 0);
  expect([known(host), known(host, server6)]).toEqual([552, 1280]);
});

test('a learned path MTU expires after ten minutes', () => {
  const host = new PathMtuHost(new RecordedHost());
  host.expire(1000);
  host.learnMtu(server, 1300);
  host.expire(600_999);
  expect(known(host)).toBe(1300);
  host.expire(601_000);
  expect(known(host)).toBe(1500);
});

test('the cache holds at most 64 paths', () => {
  const host = new PathMtuHost(new RecordedHost());
  for (let i = 0; i < 100; i++) host.learnMtu(address(`10.1.0.${i}`), 1300);
  const narrow = Array.from({ length: 100 }, (_, i) => known(host, address(`10.1.0.${i}`)) === 1300);
  expect(narrow.indexOf(true)).toBe(36);
  expect(narrow.filter(Boolean).length).toBe(64);
});

test('without a route no path MTU is stored', () => {
  const host = new PathMtuHost(new RecordedHost());
  host.learnMtu(address('10.5.0.1'), 1300);
  expect(host.route(address('10.5.0.1'))).toBeUndefined();
});
