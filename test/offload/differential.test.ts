/** With a kernel path a director is the same director: what it sends, what it lists, what it counts, what ends when. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { MarkRule } from '../../src/model/command.ts';
import type { TunnelOptions } from '../../src/model/destination.ts';
import { LvsError } from '../../src/model/errors.ts';
import { DEFAULT_SETTINGS, type SettingName } from '../../src/model/settings.ts';
import { SCHEDULERS } from './scheduled.ts';
import { Alone, expectSame, Offloaded } from './two-directors.ts';

const SERVICES: Readonly<Record<string, readonly string[]>> = {
  'tcp 192.0.2.80:80': ['10.0.0.1:80', '10.0.0.2:80'],
  'tcp 192.0.2.81:80': ['10.0.0.3:80', '10.0.0.4:80'],
  'udp 192.0.2.80:53': ['10.0.0.1:53', '10.0.0.2:53'],
  'udp 192.0.2.81:53': ['10.0.0.3:53', '10.0.0.4:53'],
  'tcp [2001:db8::80]:80': ['[fd00::1]:80', '[fd00::2]:80'],
  'mark 1': ['10.0.0.5:80', '10.0.0.6:0'],
  'mark6 1': ['[fd00::5]:80', '[fd00::6]:0'],
};
const NAMES = Object.keys(SERVICES);
/** The third destination of a service, of the other IP version: a tunnel alone reaches it. */
const other = (name: string) =>
  name.includes(':db8:') || name.startsWith('mark6') ? '10.0.0.9:80' : '[fd00::9]:80';
/** Seconds. No sum of these is near a timeout of a connection, so that all agree which connections have expired. */
const TURN = 7;
/** Seconds of persistence: templates outlive a test, because one that waits for connections is looked at at other times. */
const LASTING = 86_400;

type Step = (one: Alone) => unknown;
/** Steps that print as what they do, with what they do it with. */
const step = <Given>(
  what: string,
  given: fc.Arbitrary<Given>,
  run: (given: Given) => Step,
): fc.Arbitrary<Step> =>
  given.map((each) =>
    Object.assign(run(each), { [fc.toStringMethod]: () => `${what} ${fc.stringify(each)}` }),
  );

const port = fc.integer({ min: 4000, max: 4001 });
const client = fc.tuple(fc.nat(1), port).map(([host, at]) => `203.0.113.${host + 1}:${at}`);
const client6 = port.map((at) => `[2001:db8:1::1]:${at}`);
const flags = fc.constantFrom(
  'SYN',
  'SYN',
  'SYN+ACK',
  'ACK',
  'ACK',
  'PSH+ACK',
  'ACK',
  'FIN+ACK',
  'RST',
  'PSH',
);
const extras = fc
  .tuple(
    fc.constantFrom('len=0', 'len=9', 'len=100', 'len=1400', 'len=1445', 'len=1470'),
    fc.constantFrom('', 'DF', 'DF'),
    fc.constantFrom('', '', '', 'ttl=1', 'ttl=2', 'bad-checksum', 'tos=3'),
  )
  .map((words) => words.join(' '));
const vip = fc.constantFrom('192.0.2.80', '192.0.2.81');
const server = fc.integer({ min: 1, max: 6 }).map((n) => `10.0.0.${n}`);
const line = fc.oneof(
  fc.tuple(client, vip, flags, extras).map(([c, v, f, e]) => `${c} > ${v}:80 TCP ${f} ${e}`),
  fc.tuple(server, client, flags, extras).map(([s, c, f, e]) => `${s}:80 > ${c} TCP ${f} ${e}`),
  fc.tuple(client6, flags, extras).map(([c, f, e]) => `${c} > [2001:db8::80]:80 TCP ${f} ${e}`),
  fc.tuple(client6, flags, extras).map(([c, f, e]) => `[fd00::1]:80 > ${c} TCP ${f} ${e}`),
  fc.tuple(client, vip, extras).map(([c, v, e]) => `${c} > ${v}:53 UDP ${e}`),
  fc.tuple(client, vip).map(([c, v]) => `${c} > ${v}:53 UDP len=9 no-checksum`),
  fc.tuple(client, vip).map(([c, v]) => `${c} > ${v}:53 UDP len=16 frag=0+`),
  fc.tuple(server, client, extras).map(([s, c, e]) => `${s}:53 > ${c} UDP ${e}`),
  fc.tuple(client, vip).map(([c, v]) => `198.51.100.9 > ${v} ICMP 3/1 [${v}:80 > ${c} ACK]`),
  client.map((c) => `10.0.0.1 > ${c.split(':')[0]} ICMP 3/3 [${c} > 10.0.0.1:53 UDP len=9]`),
  client.map(
    (c) =>
      `10.0.0.9 > 10.0.0.254 ICMP frag-needed mtu=1200 [10.0.0.254 > 10.0.0.1 IPIP DF [${c} > 192.0.2.80:80 ACK DF]]`,
  ),
);
/** What makes a connection that the kernel path has, and what it has of it then. */
const exchange = fc
  .tuple(client, vip, server)
  .map(([c, v, s]) => [
    `${c} > ${v}:80 SYN`,
    `${s}:80 > ${c} SYN+ACK`,
    ...[1, 2, 3].flatMap((n) => [`${c} > ${v}:80 ACK DF len=${n}`, `${s}:80 > ${c} ACK len=${n}`]),
  ]);

const packet = step('packet', line, (text) => (one) => one.receive(text));
const packets = step('packets', exchange, (lines) => (one) => {
  for (const each of lines) one.receive(each);
});
const service = fc.constantFrom(...NAMES);
const destination = fc
  .tuple(service, fc.nat(2))
  .map(([name, n]) => [name, SERVICES[name]![n] ?? other(name)] as const);
const options = fc.record({
  method: fc.constantFrom('nat' as const, 'dr' as const, 'tunnel' as const),
  weight: fc.nat(2),
  upperThreshold: fc.constantFrom(0, 0, 2),
  tunnel: fc.constantFrom<TunnelOptions>(
    { type: 'ipip', port: 0, checksum: 'none' },
    { type: 'gue', port: 6080, checksum: 'none' },
    { type: 'gue', port: 6080, checksum: 'csum' },
    { type: 'gue', port: 6080, checksum: 'remcsum' },
    { type: 'gre', port: 0, checksum: 'none' },
    { type: 'gre', port: 0, checksum: 'csum' },
  ),
});
const SETTINGS = Object.keys(DEFAULT_SETTINGS).filter((name) => name !== 'am_droprate') as SettingName[];

/** Rules of which some match the packets of these tests. */
const rule: fc.Arbitrary<MarkRule> = fc.record(
  {
    mark: fc.constantFrom(1, 1, 2),
    protocol: fc.constantFrom('tcp' as const, 'udp' as const, 'icmp' as const),
    to: fc.constantFrom('192.0.2.80', '192.0.2.80/31', '2001:db8::/32', '::/0', '192.0.2.0/24'),
    from: fc.constantFrom('203.0.113.1', '203.0.113.0/24', '2001:db8:1::/48'),
    port: fc.constantFrom<number | readonly [number, number]>(80, 53, [1, 79], [60, 100]),
  },
  { requiredKeys: ['mark'] },
);

const command = fc.oneof(
  step(
    'remove',
    destination,
    ([name, at]) =>
      (one) =>
        one.remove(name, at),
  ),
  step(
    'add',
    fc.tuple(destination, options),
    ([[name, at], o]) =>
      (one) =>
        one.add(name, at, o),
  ),
  step(
    'edit',
    fc.tuple(destination, options),
    ([[name, at], o]) =>
      (one) =>
        one.edit(name, at, o),
  ),
  step('drop', service, (name) => (one) => one.drop(name)),
  step(
    'serve',
    fc.tuple(service, fc.constantFrom(0, LASTING), fc.boolean(), fc.constantFrom(...SCHEDULERS), options),
    ([name, persistent, ops, scheduler, o]) =>
      (one) =>
        one.serve(name, SERVICES[name]!, { ...o, persistent, scheduler, ops: ops && name.startsWith('udp') }),
  ),
  step(
    'set',
    fc.tuple(fc.constantFrom(...SETTINGS), fc.nat(2)),
    ([name, value]) =>
      (one) =>
        one.set(name, value),
  ),
  step('marks', fc.array(rule, { maxLength: 3 }), (rules) => (one) => {
    one.director.apply({ op: 'set-marks', rules }, one.now);
  }),
  step('timeouts', fc.constantFrom(25, 60, 900), (seconds) => (one) => {
    const timeouts = { tcp: seconds, tcpFin: seconds, udp: seconds };
    one.director.apply({ op: 'set-timeouts', timeouts }, one.now);
  }),
  step('zero', fc.constant(0), () => (one) => one.director.apply({ op: 'zero' }, one.now)),
  step('daemon', fc.constantFrom('start-daemon' as const, 'stop-daemon' as const), (op) => (one) => {
    const daemon = { role: 'backup', interface: 'eth0', syncId: 0 } as const;
    one.director.apply(op === 'start-daemon' ? { op, daemon } : { op, role: 'backup' }, one.now);
  }),
);
const settled = step('command', command, (run) => (one) => {
  try {
    run(one);
  } catch (error) {
    if (!(error instanceof LvsError)) throw error;
  }
  one.settle();
});
/** To the next turn, or one of many turns further on. */
const waiting = step('wait', fc.constantFrom(1, 1, 2, 10, 20), (turns) => (one) => {
  one.sweep();
  const until = (Math.floor(one.now / 1000 / TURN) + turns) * TURN * 1000;
  // Time does not jump: a table that programs share is read once a second.
  while (one.now < until) {
    one.now = Math.min(until, one.now + 500);
    one.director.expire(one.now);
  }
});
const moment = step('moment', fc.constant(0.02), (seconds) => (one) => one.wait(seconds));
const host = fc.oneof(
  step('mtu', fc.constantFrom(1500, 1500, 1300), (mtu) => (one) => {
    one.mtu = mtu;
    one.sweep();
  }),
  step(
    'neighbour',
    fc.tuple(fc.constantFrom('10.0.0.1', '203.0.113.1'), fc.boolean()),
    ([address, gone]) =>
      (one) => {
        if (one instanceof Offloaded) one.missing[gone ? 'add' : 'delete'](address);
        one.sweep();
      },
  ),
);
const any = fc.oneof(
  { weight: 14, arbitrary: packet },
  { weight: 6, arbitrary: packets },
  { weight: 4, arbitrary: settled },
  { weight: 3, arbitrary: waiting },
  { weight: 1, arbitrary: moment },
  { weight: 1, arbitrary: host },
);

describe.each(['xdp', 'tc'] as const)('%s', (hook) => {
  test('forwards any packets in any order as the director alone does', () => {
    let forwarded = 0;
    let admitted = 0;
    fc.assert(
      fc.property(
        fc.array(any, { maxLength: 60, size: 'max' }),
        fc.constantFrom(0, LASTING),
        (steps, persistent) => {
          const alone = new Alone();
          const offloaded = new Offloaded(hook);
          const pair = [alone, offloaded];
          for (const one of pair) {
            for (const [i, name] of NAMES.entries())
              one.serve(name, SERVICES[name]!, {
                persistent,
                method: i === 1 ? 'dr' : 'nat',
              });
            one.settle();
          }
          for (const run of steps) {
            for (const one of pair) run(one);
            expect(offloaded.log.splice(0)).toEqual(alone.log.splice(0));
            expect(offloaded.connections).toEqual(alone.connections);
          }
          expectSame(alone, offloaded);
          forwarded += offloaded.forwarded;
          admitted += offloaded.admitted;
        },
      ),
      { numRuns: 60 },
    );
    expect(forwarded).toBeGreaterThan(300);
    expect(admitted).toBeGreaterThan(30);
  });
});
