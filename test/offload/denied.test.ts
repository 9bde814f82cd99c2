/** Programs deny the clients that the director denies, by the same lists, and count them. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Alone, expectSame, Offloaded } from './two-directors.ts';

const WEB = 'tcp 192.0.2.80:80';
const MAIL = 'tcp 192.0.2.80:25';
const WEB6 = 'tcp [2001:db8::80]:80';

function pair(hook: 'xdp' | 'tc'): readonly [Alone, Offloaded] {
  const both = [new Alone(), new Offloaded(hook)] as const;
  for (const one of both) {
    for (const name of [WEB, MAIL]) one.serve(name, ['10.0.0.1:8080', '10.0.0.2:8080'], { scheduler: 'rr' });
    one.serve(WEB6, ['[fd00::1]:8080'], { scheduler: 'rr' });
    one.settle();
    // So that programs know the clients' next hops.
    for (const client of CLIENTS) one.receive(syn(client, 80, 100));
  }
  return both;
}

const CLIENTS = [
  '203.0.113.1',
  '203.0.113.2',
  '203.0.113.129',
  '203.0.112.1',
  '2001:db8:1::1',
  '2001:db8:1::2',
];
const syn = (client: string, port: number, from: number): string =>
  client.includes(':')
    ? `[${client}]:${from} > [2001:db8::80]:80 TCP SYN`
    : `${client}:${from} > 192.0.2.80:${port} TCP SYN DF`;

describe.each(['xdp', 'tc'] as const)('%s', (hook) => {
  test('programs drop and count first packets of a denied client, and no others', () => {
    const both = pair(hook);
    for (const one of both) one.access('deny', undefined, '203.0.113.0/25', true);
    const [alone, offloaded] = both;
    const { forwarded } = offloaded;
    for (const one of both) for (const client of CLIENTS) one.receive(syn(client, 80, 200));
    expect(offloaded.forwarded - forwarded).toBe(4);
    expectSame(alone, offloaded);
    expect(offloaded.director.snapshot(offloaded.now).drops).toEqual({ denied: 2 });
    // A packet of a connection that has ended, or never was.
    for (const one of both) expect(one.receive('203.0.113.1:300 > 192.0.2.80:80 TCP ACK DF')).toBe('denied');
    for (const one of both) one.access('deny', undefined, '203.0.113.0/25', false);
    for (const one of both) one.receive(syn('203.0.113.1', 80, 200));
    expect(offloaded.forwarded - forwarded).toBe(5);
    expectSame(alone, offloaded);
  });

  test('a denied client does not continue a connection that is over', () => {
    const both = pair(hook);
    for (const one of both) {
      for (const flag of ['ACK', 'RST']) one.receive(`203.0.113.1:100 > 192.0.2.80:80 TCP ${flag} DF`);
      one.access('deny', WEB, '203.0.113.1', true);
      one.receive(syn('203.0.113.1', 80, 100));
    }
    expectSame(...both);
    expect(both[1].director.snapshot(both[1].now).drops).toEqual({ denied: 1 });
  });

  test('the lists of a service follow it when it is removed and added again', () => {
    const both = pair(hook);
    for (const one of both) {
      one.access('deny', WEB, '203.0.113.1', true);
      one.director.apply(
        { op: 'delete-service', service: { protocol: 'tcp', address: '192.0.2.80', port: 80 } },
        one.now,
      );
      one.serve('udp 192.0.2.80:53', ['10.0.0.1:53'], { scheduler: 'rr' });
      one.serve(WEB, ['10.0.0.1:8080'], { scheduler: 'rr' });
      one.settle();
      for (const client of CLIENTS) one.receive(syn(client, 80, 300));
    }
    expectSame(...both);
    expect(both[1].director.snapshot(both[1].now).drops).toEqual({ denied: 1 });
  });

  const PREFIXES = [
    ...['203.0.113.1', '203.0.113.0/25', '203.0.112.0/23', '0.0.0.0/0', '203.0.113.128/25'],
    ...['2001:db8:1::/64', '::/0', '2001:db8:1::2', '::ffff:203.0.113.2'],
  ];
  test('the lists decide as those of the director, whatever they have', () => {
    const entry = fc.record({
      list: fc.constantFrom('deny' as const, 'deny' as const, 'allow' as const),
      service: fc.constantFrom(undefined, WEB, WEB6),
      prefix: fc.constantFrom(...PREFIXES),
      isPresent: fc.boolean(),
    });
    fc.assert(
      fc.property(fc.array(entry, { minLength: 1, maxLength: 8 }), (entries) => {
        const both = pair(hook);
        let from = 1000;
        for (const { list, service, prefix, isPresent } of entries) {
          from++;
          for (const one of both) {
            one.access(list, service, prefix, isPresent);
            for (const client of CLIENTS) for (const port of [80, 25]) one.receive(syn(client, port, from));
          }
          expectSame(...both);
        }
      }),
      { numRuns: 5 },
    );
  });
});
