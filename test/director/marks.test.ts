import { expect, test } from 'vitest';
import { Marks } from '../../src/director/marks.ts';
import type { MarkRule } from '../../src/model/command.ts';
import { decoded } from '../support/packets.ts';

const packet = '203.0.113.7:4000 > 192.0.2.80:80 SYN';
const packet6 = '[2001:db8:1::7]:4000 > [2001:db8::80]:80 SYN';

test.each<[string, string, Omit<MarkRule, 'mark'>, boolean]>([
  ['a rule of nothing matches all', packet, {}, true],
  ['its address', packet, { to: '192.0.2.80' }, true],
  ['another address', packet, { to: '192.0.2.81' }, false],
  ['its network', packet, { to: '192.0.2.0/24' }, true],
  ['an address in a network', packet, { to: '192.0.2.99/24' }, true],
  ['a network beside it', packet, { to: '192.0.2.0/26' }, false],
  ['all of IPv4', packet, { to: '0.0.0.0/0' }, true],
  ['all of IPv4 and an IPv6 packet', packet6, { to: '0.0.0.0/0' }, false],
  ['all of IPv6', packet6, { to: '::/0' }, true],
  ['an IPv6 network', packet6, { from: '2001:db8:1::/48' }, true],
  ['another IPv6 network', packet6, { from: '2001:db8:2::/48' }, false],
  ['its client', packet, { from: '203.0.113.0/24' }, true],
  ['another client', packet, { from: '198.51.100.0/24' }, false],
  ['its protocol', packet, { protocol: 'tcp' }, true],
  ['another protocol', packet, { protocol: 'udp' }, false],
  ['its port', packet, { port: 80 }, true],
  ['another port', packet, { port: 81 }, false],
  ['a range around its port', packet, { port: [80, 90] }, true],
  ['a range above it', packet, { port: [81, 90] }, false],
  ['all of it, save the port', packet, { to: '192.0.2.80', protocol: 'tcp', port: 443 }, false],
])('%s', (_name, line, rule, matches) => {
  const marks = new Marks();
  marks.set([{ mark: 7, ...rule }]);
  expect(marks.of(decoded(line))).toBe(matches ? 7 : 0);
});

test('the first rule that matches decides', () => {
  const marks = new Marks();
  marks.set([{ mark: 1, port: 443 }, { mark: 2 }, { mark: 3, port: 80 }]);
  expect(marks.of(decoded(packet))).toBe(2);
});

test.each(['192.0.2', '192.0.2.0/33', '192.0.2.0/', '192.0.2.0/x', '::/129', '10.0.0.0/8/8', ''])(
  '%s is refused',
  (to) => {
    const marks = new Marks();
    marks.set([{ mark: 1 }]);
    expect(() => marks.set([{ mark: 2, to }])).toThrow('expected an address or a prefix');
    expect(marks.of(decoded(packet))).toBe(1);
  },
);
