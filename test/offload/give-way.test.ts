/** In a table that is nearly full, programs make room for new connections as the director would, and known ones stay. */
import { describe, expect, test } from 'vitest';
import { SETTINGS } from '../../src/table/record-layout.ts';
import { Offloaded } from './two-directors.ts';

const WEB = 'tcp 192.0.2.80:80';
const DNS = 'udp 192.0.2.80:53';
/** Rows of the table of Offloaded, and those from which it is nearly full. */
const LIMIT = 128;
const NEARLY_FULL = 112;

/** Programs know the client's next hop once the director has sent to it. */
function served(hook: 'xdp' | 'tc', upperThreshold = 0): Offloaded {
  const offloaded = new Offloaded(hook);
  offloaded.serve(WEB, ['10.0.0.1:80'], { scheduler: 'rr', method: 'nat', upperThreshold });
  offloaded.serve(DNS, ['10.0.0.2:53'], { scheduler: 'rr', method: 'nat' });
  offloaded.serve('tcp [2001:db8::80]:80', ['[fd00::1]:80'], { scheduler: 'rr', method: 'nat' });
  offloaded.settle();
  for (const client of ['203.0.113.1', '203.0.113.2'])
    offloaded.receive(`${client}:1 > 192.0.2.80:80 SYN DF`);
  offloaded.receive('[2001:db8:1::1]:1 > [2001:db8::80]:80 SYN DF');
  return offloaded;
}

/** Time passes without the director. */
const pass = (offloaded: Offloaded, seconds: number): void => {
  offloaded.now += seconds * 1000;
};

/** Packets of the client's ports from one on, of which programs forward so many. */
function flood(offloaded: Offloaded, ports: number, from: number, line: (port: number) => string): number {
  const before = offloaded.forwarded;
  for (let port = from; port < from + ports; port++) offloaded.receive(line(port));
  return offloaded.forwarded - before;
}

const syn = (port: number): string => `203.0.113.1:${port} > 192.0.2.80:80 SYN DF`;
const syn6 = (port: number): string => `[2001:db8:1::1]:${port} > [2001:db8::80]:80 SYN DF`;
const query = (port: number): string => `203.0.113.2:${port} > 192.0.2.80:53 UDP len=9 DF`;

/** Counts are those of the rows, every row is found, and the table has no more than it may. */
function expectSound(offloaded: Offloaded): void {
  offloaded.sweep();
  const { table, destinations } = offloaded.director.context;
  const counts = new Map<number, number>();
  let rows = 0;
  for (const row of table.rows()) {
    rows++;
    const { protocol, caddr, cport, vaddr, vport } = table.select(row);
    expect(table.findFromClient(protocol, caddr, cport, vaddr, vport)).toBe(row);
    counts.set(table.destination(row), (counts.get(table.destination(row)) ?? 0) + 1);
  }
  expect(table.size).toBe(rows);
  expect(rows).toBeLessThanOrEqual(LIMIT);
  for (const destination of destinations.all)
    if (destination)
      expect(destination.references, destination.index.toString()).toBe(counts.get(destination.index) ?? 0);
}

describe.each(['xdp', 'tc'] as const)('%s', (hook) => {
  test('connections whose time is up give way, in a full table, without the director', () => {
    const offloaded = served(hook);
    flood(offloaded, 62, 1000, syn);
    flood(offloaded, LIMIT - 65, 1000, query);
    expectSound(offloaded);
    expect(offloaded.director.context.table.size).toBe(LIMIT);
    pass(offloaded, 400);
    const { expired } = offloaded.director.context.counts;
    // Nothing is free: each of them takes a row near its home.
    expect(flood(offloaded, 60, 5000, syn) + flood(offloaded, 60, 5000, syn6)).toBeGreaterThan(110);
    expectSound(offloaded);
    expect(offloaded.director.context.counts.expired - expired).toBeGreaterThan(110);
  });

  test('handshakes that take longer than 3 s give way in a nearly full table, known connections stay', () => {
    const offloaded = served(hook);
    const known = flood(offloaded, 40, 1000, syn);
    flood(offloaded, 40, 1000, (port) => `10.0.0.1:80 > 203.0.113.1:${port} SYN+ACK`);
    flood(offloaded, 40, 1000, (port) => `203.0.113.1:${port} > 192.0.2.80:80 ACK DF`);
    flood(offloaded, NEARLY_FULL - 43, 2000, syn);
    // Younger ones stay: the rest of the table fills.
    expect(flood(offloaded, 8, 3000, syn)).toBe(8);
    expect(offloaded.director.context.table.size).toBe(NEARLY_FULL + 8);
    pass(offloaded, 4);
    const { size } = offloaded.director.context.table;
    expect(flood(offloaded, 40, 4000, syn)).toBeGreaterThan(35);
    expect(offloaded.director.context.table.size - size).toBeLessThan(8);
    expectSound(offloaded);
    const established = offloaded.connections.filter((connection) => connection.includes('ESTABLISHED'));
    expect(established).toHaveLength(known);
  });

  test('a full table of known connections sends new ones up, and the destination recovers from its overload', () => {
    const offloaded = served(hook, 100);
    flood(offloaded, 98, 1000, syn);
    expect(flood(offloaded, 1, 2000, syn)).toBe(0);
    flood(offloaded, 27, 1000, query);
    expect(offloaded.director.context.table.size).toBe(LIMIT);
    pass(offloaded, 400);
    flood(offloaded, 60, 5000, query);
    expectSound(offloaded);
    expect(offloaded.director.context.destinations.all[1]!.overloaded).toBe(false);
  });

  test('the valve drops new connections in a nearly full table, and counts them; known packets pass', () => {
    const offloaded = served(hook);
    flood(offloaded, NEARLY_FULL - 3, 1000, syn);
    offloaded.setting(SETTINGS.valve, 5);
    expect(flood(offloaded, 12, 3000, syn)).toBe(5);
    // The same SYN again, for a known connection.
    expect(flood(offloaded, 5, 3000, syn)).toBe(5);
    pass(offloaded, 0.064);
    expect(flood(offloaded, 3, 4000, syn)).toBe(3);
    offloaded.sweep();
    expect(offloaded.director.snapshot(offloaded.now).drops).toEqual({ 'new-connection-rate': 7 });
    expectSound(offloaded);
  });
});
