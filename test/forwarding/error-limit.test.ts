import { expect, test } from 'vitest';
import { ErrorLimit } from '../../src/forwarding/error-limit.ts';
import { parseAddress } from '../../src/wire/address.ts';
import { Directed } from '../support/directed.ts';

const A = parseAddress('203.0.113.7')!;
const B = parseAddress('2001:db8::7')!;

/** How many of `tries` errors to one address are allowed at that moment. */
const allowed = (limit: ErrorLimit, to: typeof A, tries: number) =>
  Array.from({ length: tries }, () => limit.allows(to)).filter(Boolean).length;

test('an address gets six errors at once, then one per second, and six again after a pause', () => {
  const limit = new ErrorLimit(1);
  limit.advance(10_000);
  expect([allowed(limit, A, 20), allowed(limit, B, 20)]).toEqual([6, 6]);
  limit.advance(10_999);
  expect(allowed(limit, A, 20)).toBe(0);
  limit.advance(11_000);
  expect(allowed(limit, A, 20)).toBe(1);
  limit.advance(60_000);
  expect(allowed(limit, A, 20)).toBe(6);
});

test('all addresses together get a thousand errors per second', () => {
  const limit = new ErrorLimit(1);
  let sent = 0;
  for (let ms = 0; ms < 2000; ms++) {
    limit.advance(5000 + ms);
    for (let i = 0; i < 10; i++)
      if (limit.allows(Uint32Array.of(0, 0, 0xffff, 0x0b000000 + ms * 10 + i))) sent++;
  }
  expect(sent).toBeGreaterThan(1500);
  expect(sent).toBeLessThan(2100);
});

test('a flood of requests without a destination gets limited errors, but each gets the path MTU', () => {
  const directed = new Directed().serve('tcp 192.0.2.80:80', []);
  const errors = Array.from({ length: 50 }, (_, i) => {
    directed.receive(`203.0.113.7:${4000 + i} > 192.0.2.80:80 SYN`);
    return directed.sent.length;
  }).reduce((all, one) => all + one, 0);
  expect(errors).toBe(6);
  directed.wait(1);
  directed.receive('203.0.113.7:4000 > 192.0.2.80:80 SYN');
  expect(directed.sent).toHaveLength(1);
});

test('errors about the path MTU are not limited', () => {
  const directed = new Directed().serve('udp 192.0.2.80:53', ['10.0.0.1:53'], {
    method: 'tunnel',
  });
  for (let i = 0; i < 20; i++) {
    directed.receive(`203.0.113.7:${4000 + i} > 192.0.2.80:53 UDP len=1472 DF`);
    expect(directed.sent).toHaveLength(1);
  }
});

test('the limit can be disabled', () => {
  const directed = new Directed({ limitErrors: false }).serve('tcp 192.0.2.80:80', []);
  for (let i = 0; i < 20; i++) {
    directed.receive(`203.0.113.7:${4000 + i} > 192.0.2.80:80 SYN`);
    expect(directed.sent).toHaveLength(1);
  }
});
