import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { NONE } from '../../src/model/connection.ts';
import { LvsError } from '../../src/model/errors.ts';
import { DEFAULT_SETTINGS, type SettingName } from '../../src/model/settings.ts';
import { DESTINATION } from '../../src/table/record-layout.ts';
import { Ticks } from '../../src/table/ticks.ts';
import { Frame } from '../../src/wire/frame.ts';
import { packetOfLine } from '../../src/wire/packet-line.ts';
import { Directed } from '../support/directed.ts';

const SERVICES = [
  'tcp 192.0.2.80:80',
  'udp 192.0.2.80:53',
  'sctp 192.0.2.80:9999',
  'mark 7',
  'tcp [2001:db8::80]:80',
];
const SERVERS = ['10.0.0.1:80', '10.0.0.2:80', '10.0.0.254:80'];
const SERVERS6 = ['[fd00::1]:80', '[fd00::2]:80'];

const client = fc.tuple(fc.nat(3), fc.nat(3)).map(([host, port]) => `203.0.113.${host}:${4000 + port}`);
const client6 = fc.tuple(fc.nat(3), fc.nat(3)).map(([host, port]) => `[2001:db8:1::${host}]:${4000 + port}`);
const flags = fc.constantFrom('SYN', 'SYN', 'SYN+ACK', 'ACK', 'ACK', 'FIN+ACK', 'RST', 'none');
const chunk = fc.constantFrom(
  'INIT',
  'INIT_ACK',
  'COOKIE_ECHO',
  'COOKIE_ACK',
  'DATA',
  'SHUTDOWN',
  'SHUTDOWN_ACK',
  'ABORT',
);
const server = fc.constantFrom('10.0.0.1:80', '10.0.0.2:80', '192.0.2.80:80');
const line = fc.oneof(
  fc.tuple(client, flags).map(([c, f]) => `${c} > 192.0.2.80:80 TCP ${f === 'none' ? '' : f}`),
  fc.tuple(client, flags, server).map(([c, f, s]) => `${s} > ${c} TCP ${f === 'none' ? '' : f}`),
  fc.tuple(client6, flags).map(([c, f]) => `${c} > [2001:db8::80]:80 TCP ${f === 'none' ? '' : f}`),
  client6.map((c) => `[fd00::1]:80 > ${c} ACK`),
  client.map((c) => `${c} > 192.0.2.80:53 UDP len=9`),
  fc.tuple(client, server).map(([c, s]) => `${s} > ${c} UDP len=9`),
  fc.tuple(client, chunk).map(([c, k]) => `${c} > 192.0.2.80:9999 SCTP ${k}`),
  fc.tuple(client, chunk, server).map(([c, k, s]) => `${s} > ${c} SCTP ${k}`),
  client.map((c) => `203.0.113.99 > 192.0.2.80 ICMP port-unreachable [192.0.2.80:53 > ${c} UDP len=9]`),
  client.map((c) => `10.0.0.1 > ${c.split(':')[0]} ICMP port-unreachable [${c} > 10.0.0.1:80 UDP len=9]`),
);

type Step = (directed: Directed) => unknown;
const setting = fc.constantFrom(...(Object.keys(DEFAULT_SETTINGS) as SettingName[]));
const serversOf = (service: string) => (service.includes('[') ? SERVERS6 : SERVERS);
const method = fc.constantFrom('nat' as const, 'dr' as const, 'tunnel' as const);
const destination = fc
  .tuple(fc.constantFrom(...SERVICES), fc.nat(2))
  .map(([service, n]) => [service, serversOf(service)[n % serversOf(service).length]!] as const);
const options = fc.record({ method, weight: fc.nat(2), upperThreshold: fc.constantFrom(0, 0, 3) });
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 12,
    arbitrary: line.map(
      (text): Step =>
        (directed) =>
          directed.receive(text),
    ),
  },
  {
    weight: 2,
    arbitrary: fc.constantFrom(0.1, 3, 11, 61, 121, 400).map(
      (s): Step =>
        (d) =>
          d.wait(s),
    ),
  },
  {
    weight: 1,
    arbitrary: fc.tuple(setting, fc.nat(3)).map(
      ([name, value]): Step =>
        (d) =>
          d.set(name, value),
    ),
  },
  {
    weight: 1,
    arbitrary: destination.map(
      ([service, at]): Step =>
        (d) =>
          d.remove(service, at),
    ),
  },
  {
    weight: 2,
    arbitrary: fc.tuple(destination, options).map(
      ([[service, at], o]): Step =>
        (d) =>
          d.add(service, at, o),
    ),
  },
  {
    weight: 1,
    arbitrary: fc.tuple(destination, options).map(
      ([[service, at], o]): Step =>
        (d) =>
          d.edit(service, at, o),
    ),
  },
  {
    weight: 1,
    arbitrary: fc.constantFrom(...SERVICES).map(
      (service): Step =>
        (d) =>
          d.drop(service),
    ),
  },
  {
    weight: 1,
    arbitrary: fc
      .tuple(
        fc.constantFrom(...SERVICES),
        fc.constantFrom(0, 50),
        fc.boolean(),
        fc.constantFrom('rr', 'wlc', 'sh', 'lblc'),
      )
      .map(
        ([service, persistent, ops, scheduler]): Step =>
          (d) =>
            d.serve(service, serversOf(service), {
              persistent,
              scheduler,
              ops: ops && !service.startsWith('tcp'),
            }),
      ),
  },
);

/** Recounts everything from the table alone, and compares with what a program of the kernel would read. */
function recount(directed: Directed): void {
  const { table, destinations, services } = directed.director.context;
  const counted = new Map<number, [active: number, inactive: number, templates: number]>();
  const children = new Map<number, number>();
  for (const row of table.rows()) {
    const index = table.destination(row);
    const counts = counted.get(index) ?? [0, 0, 0];
    counts[table.isTemplate(row) ? 2 : table.isInactive(row) ? 1 : 0]++;
    counted.set(index, counts);
    const template = table.template(row);
    if (template !== NONE) children.set(template, (children.get(template) ?? 0) + 1);
    expect(table.armed(row), 'every row ends some day').toBe(true);
  }
  for (const destination of destinations.all) {
    if (destination === undefined) continue;
    const { activeConnections, inactiveConnections, persistentConnections, index } = destination;
    const counts = [activeConnections, inactiveConnections, persistentConnections];
    const { active, inactive, persistent } = DESTINATION;
    expect([active, inactive, persistent].map((field) => table.records.word(index, field))).toEqual(counts);
    expect(counts).toEqual(counted.get(index) ?? [0, 0, 0]);
    counted.delete(index);
  }
  expect([...counted], 'connections of no destination').toEqual([]);
  for (const row of table.rows()) expect(table.children(row)).toBe(children.get(row) ?? 0);
  for (const service of services.all) {
    const { weight, service: number } = DESTINATION;
    for (const { index, weight: its } of service.destinations)
      expect([table.records.word(index, weight), table.records.half(index, number)]).toEqual([
        its,
        service.index,
      ]);
  }
}

describe('after any packets in any order', () => {
  test('the counters equal the contents of the table, and everything expires', () => {
    fc.assert(
      fc.property(
        fc.array(step, { maxLength: 120 }),
        fc.boolean(),
        fc.constantFrom(0, 50),
        fc.constantFrom(undefined, new Ticks(4)),
        (steps, marked, persistent, ticks) => {
          const directed = new Directed({ maxConnections: 64, ...(ticks && { ticks }) });
          for (const service of SERVICES) directed.serve(service, serversOf(service), { persistent });
          if (marked) directed.director.apply({ op: 'set-marks', rules: [{ mark: 7, port: 80 }] }, 0);
          for (const run of steps) {
            try {
              run(directed);
            } catch (error) {
              if (!(error instanceof LvsError)) throw error;
            }
          }
          recount(directed);
          for (let i = 0; i < 4; i++) directed.wait(901);
          expect(directed.director.context.table.size).toBe(0);
          recount(directed);
        },
      ),
      { numRuns: 300 },
    );
  }, 60_000);

  test('invalid bytes cause no exception', () => {
    const frame = new Frame();
    const lines = [
      '10.0.0.99 > 10.0.0.254 ICMP frag-needed mtu=1200 [10.0.0.254 > 10.0.0.1 IPIP DF [203.0.113.1:4000 > 192.0.2.80:80 ACK DF]]',
    ];
    fc.assert(
      fc.property(
        fc.array(
          fc.record({
            line: fc.oneof(line, fc.constantFrom(...lines)),
            changes: fc.array(fc.tuple(fc.nat(120), fc.nat(255)), { maxLength: 4 }),
            cut: fc.option(fc.nat(120), { nil: undefined, freq: 3 }),
          }),
          { maxLength: 30 },
        ),
        fc.constantFrom<SettingName>('schedule_icmp', 'sloppy_tcp', 'nat_icmp_send', 'pmtu_disc'),
        (packets, name) => {
          const directed = new Directed({ maxConnections: 64 });
          for (const service of SERVICES)
            directed.serve(service, serversOf(service), {
              method: service.includes(':80') ? 'tunnel' : 'nat',
            });
          directed.set(name, 1);
          for (const { line: text, changes, cut } of packets) {
            const octets = packetOfLine(text);
            for (const [at, value] of changes) if (at < octets.length) octets[at] = value;
            frame.load(octets.subarray(0, cut ?? octets.length));
            directed.receiveFrame(frame);
            directed.wait(0.5);
          }
          recount(directed);
        },
      ),
      { numRuns: 300 },
    );
  }, 60_000);
});
