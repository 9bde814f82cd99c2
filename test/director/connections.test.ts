import fc from 'fast-check';
import { describe, expect, test, vi } from 'vitest';
import { ConnectionTable, NO_CPORT, ONE_PACKET, ROUTE, TEMPLATE } from '../../src/director/connections.ts';
import { NONE } from '../../src/model/connection.ts';
import { type Address, formatEndpoint, parseAddress } from '../../src/wire/address.ts';
import { collectionsDuring } from '../support/collections.ts';

const TCP = 6;
const UDP = 17;
const address = (text: string): Address => parseAddress(text)!;
const client = address('203.0.113.7');
const vip = address('192.0.2.80');
const rs1 = address('10.0.0.1');
const rs2 = address('10.0.0.2');
const table = (limit = 64) => new ConnectionTable({ limit, seed: 1 });

describe('a connection', () => {
  test('is found by its full key, from the client and from its destination', () => {
    const connections = table();
    const row = connections.add(TCP, client, 4000, vip, 80, rs1, 8080, 0);
    expect(connections.findFromClient(TCP, client, 4000, vip, 80)).toBe(row);
    expect(connections.findFromDestination(TCP, rs1, 8080, client, 4000)).toBe(row);
    expect(connections.findFromClient(UDP, client, 4000, vip, 80)).toBe(NONE);
    expect(connections.findFromClient(TCP, client, 4001, vip, 80)).toBe(NONE);
    expect(connections.findFromClient(TCP, client, 4000, vip, 81)).toBe(NONE);
    expect(connections.findFromClient(TCP, rs2, 4000, vip, 80)).toBe(NONE);
    expect(connections.findFromDestination(TCP, rs2, 8080, client, 4000)).toBe(NONE);
    expect(connections.findFromDestination(TCP, rs1, 80, client, 4000)).toBe(NONE);
    expect(connections.findFromDestination(UDP, rs1, 8080, client, 4000)).toBe(NONE);
  });

  test('is not found under an IPv6 address that ends in the same 32 bits', () => {
    const connections = table();
    connections.add(TCP, client, 4000, vip, 80, rs1, 8080, 0);
    expect(connections.findFromClient(TCP, address('2001:db8::cb00:7107'), 4000, vip, 80)).toBe(NONE);
    expect(connections.findFromClient(TCP, client, 4000, address('2001:db8::c000:250'), 80)).toBe(NONE);
    expect(connections.findFromDestination(TCP, address('fd00::a00:1'), 8080, client, 4000)).toBe(NONE);
  });

  test('of IPv4 may have an IPv6 destination, as a tunnel has', () => {
    const connections = table();
    const rs6 = address('fd00::1');
    const row = connections.add(TCP, client, 4000, vip, 80, rs6, 80, 2);
    expect(connections.findFromClient(TCP, client, 4000, vip, 80)).toBe(row);
    expect(connections.copyDaddr(row, new Uint32Array(4))).toEqual(rs6);
    expect(connections.copyCaddr(row, new Uint32Array(4))).toEqual(client);
  });

  test('has the values that it was added with, even in a reused row', () => {
    const connections = table(1);
    const first = connections.add(UDP, client, 1, vip, 2, rs1, 3, ROUTE);
    connections.addPackets(first, 9);
    connections.setState(first, 9);
    connections.setTimeout(first, 9);
    connections.setDestination(first, 9);
    connections.remove(first);
    const row = connections.add(
      TCP,
      address('2001:db8::1'),
      65535,
      address('2001:db8::2'),
      65534,
      address('2001:db8::3'),
      65533,
      0x180,
    );
    const shown = connections.select(row);
    expect(shown.row).toBe(row);
    expect(shown.protocol).toBe(TCP);
    expect(formatEndpoint(shown.caddr, shown.cport)).toBe('[2001:db8::1]:65535');
    expect(formatEndpoint(shown.vaddr, shown.vport)).toBe('[2001:db8::2]:65534');
    expect(formatEndpoint(shown.daddr, shown.dport)).toBe('[2001:db8::3]:65533');
    expect(connections.flags(row)).toBe(0x180);
    expect([connections.destination(row), connections.template(row)]).toEqual([NONE, NONE]);
    expect([connections.packets(row), connections.children(row), connections.state(row)]).toEqual([0, 0, 0]);
    expect(connections.timeout(row)).toBe(0);
  });

  test('of one packet occupies a row and is never found by a lookup', () => {
    const connections = table();
    const row = connections.add(UDP, client, 4000, vip, 53, rs1, 53, ONE_PACKET);
    expect(connections.size).toBe(1);
    expect(connections.findFromClient(UDP, client, 4000, vip, 53)).toBe(NONE);
    expect(connections.findFromDestination(UDP, rs1, 53, client, 4000)).toBe(NONE);
    connections.remove(row);
    expect(connections.size).toBe(0);
  });

  test('without a client port takes packets that no other connection takes, until its port is known', () => {
    const connections = table();
    const open = connections.add(TCP, client, 0, vip, 50_000, rs1, 50_000, NO_CPORT);
    expect(connections.findFromClient(TCP, client, 4000, vip, 50_000)).toBe(open);
    const exact = connections.add(TCP, client, 4000, vip, 50_000, rs2, 50_000, 0);
    expect(connections.findFromClient(TCP, client, 4000, vip, 50_000)).toBe(exact);
    expect(connections.findFromDestination(TCP, rs1, 50_000, client, 5000)).toBe(NONE);
    connections.setClientPort(open, 5000);
    expect(connections.cport(open)).toBe(5000);
    expect(connections.flags(open) & NO_CPORT).toBe(0);
    expect(connections.findFromClient(TCP, client, 5000, vip, 50_000)).toBe(open);
    expect(connections.findFromDestination(TCP, rs1, 50_000, client, 5000)).toBe(open);
    expect(connections.findFromClient(TCP, client, 6000, vip, 50_000)).toBe(NONE);
    connections.remove(open);
    expect(connections.findFromClient(TCP, client, 5000, vip, 50_000)).toBe(NONE);
  });

  test('is hidden by a newer one with the same key, and found again after that one is removed', () => {
    const connections = table();
    const older = connections.add(TCP, client, 4000, vip, 80, rs1, 80, 0);
    const newer = connections.add(TCP, client, 4000, vip, 80, rs1, 80, 0);
    expect(connections.findFromClient(TCP, client, 4000, vip, 80)).toBe(newer);
    expect(connections.findFromDestination(TCP, rs1, 80, client, 4000)).toBe(newer);
    connections.remove(newer);
    expect(connections.findFromClient(TCP, client, 4000, vip, 80)).toBe(older);
    expect(connections.findFromDestination(TCP, rs1, 80, client, 4000)).toBe(older);
  });

  test('cannot be removed twice', () => {
    const connections = table();
    const row = connections.add(TCP, client, 4000, vip, 80, rs1, 80, 0);
    connections.remove(row);
    expect(() => connections.remove(row)).toThrow(/twice/);
  });
});

describe('a template', () => {
  test('is found only as a template, whatever the client port', () => {
    const connections = table();
    const template = connections.add(TCP, client, 0, vip, 80, rs1, 80, TEMPLATE);
    expect(connections.findTemplate(TCP, client, vip, 80)).toBe(template);
    expect(connections.findFromClient(TCP, client, 0, vip, 80)).toBe(NONE);
    expect(connections.findFromDestination(TCP, rs1, 80, client, 0)).toBe(NONE);
    const connection = connections.add(TCP, client, 4000, vip, 80, rs1, 80, 0);
    expect(connections.findTemplate(TCP, client, vip, 80)).toBe(template);
    expect(connections.findFromClient(TCP, client, 4000, vip, 80)).toBe(connection);
  });

  test('of a firewall mark has protocol 0', () => {
    const connections = table();
    const template = connections.add(0, client, 0, address('0.0.0.7'), 0, rs1, 80, TEMPLATE);
    expect(connections.findTemplate(0, client, address('0.0.0.7'), 0)).toBe(template);
    expect(connections.protocol(template)).toBe(0);
  });

  test('that was invalidated shows port 65535 twice and is not found', () => {
    const connections = table();
    const template = connections.add(TCP, client, 0, vip, 80, rs1, 80, TEMPLATE);
    connections.invalidateTemplate(template);
    expect(connections.findTemplate(TCP, client, vip, 80)).toBe(NONE);
    expect([connections.cport(template), connections.vport(template), connections.dport(template)]).toEqual([
      0, 65535, 65535,
    ]);
    connections.remove(template);
    expect(connections.size).toBe(0);
  });

  test('may be one of several: all are visited, newest first, and the visitor selects or removes', () => {
    const connections = table();
    const rows = [0, 1, 2, 3].map(() => connections.add(UDP, client, 0, vip, 5060, rs1, 5060, TEMPLATE));
    connections.add(UDP, client, 0, vip, 5061, rs1, 5060, TEMPLATE);
    const seen: number[] = [];
    const all = connections.templates(UDP, client, vip, 5060, (row) => {
      seen.push(row);
      if (row === rows[2]) connections.remove(row);
      return false;
    });
    expect(all).toBe(NONE);
    expect(seen).toEqual(rows.toReversed());
    expect(connections.templates(UDP, client, vip, 5060, (row) => row === rows[1])).toBe(rows[1]);
    expect(connections.size).toBe(4);
  });

  test('is distinguished from others by its salt', () => {
    const connections = table();
    const a = connections.add(UDP, client, 0, vip, 5060, rs1, 5060, TEMPLATE, 0xdeadbeef);
    const b = connections.add(UDP, client, 0, vip, 5060, rs2, 5060, TEMPLATE, 7);
    expect(connections.findTemplate(UDP, client, vip, 5060, 0xdeadbeef)).toBe(a);
    expect(connections.findTemplate(UDP, client, vip, 5060, 7)).toBe(b);
    expect(connections.findTemplate(UDP, client, vip, 5060)).toBe(NONE);
    expect(connections.templates(UDP, client, vip, 5060, () => true, 7)).toBe(b);
  });
});

describe('the connection table', () => {
  test('reports when it is full, and accepts a connection after one is removed', () => {
    const connections = table(2);
    const row = connections.add(TCP, client, 1, vip, 80, rs1, 80, 0);
    connections.add(TCP, client, 2, vip, 80, rs1, 80, 0);
    expect(connections.add(TCP, client, 3, vip, 80, rs1, 80, 0)).toBe(NONE);
    expect(connections.size).toBe(2);
    connections.remove(row);
    expect(connections.add(TCP, client, 3, vip, 80, rs1, 80, 0)).toBe(row);
    expect(connections.findFromClient(TCP, client, 1, vip, 80)).toBe(NONE);
    expect(connections.findFromClient(TCP, client, 3, vip, 80)).toBe(row);
  });

  test.each([0, -1, 1.5, 2 ** 26 + 1, Number.NaN])('of %d rows is refused', (limit) => {
    expect(() => table(limit)).toThrow(RangeError);
  });

  test('of 1,000,000 connections needs at most 128 bytes for each, reserve included', () => {
    const limit = 1_048_576;
    const octets: number[] = [];
    const kinds = ['Uint8Array', 'Uint16Array', 'Uint32Array', 'Int32Array', 'Float64Array'] as const;
    for (const kind of kinds) {
      const counted = new Proxy(globalThis[kind], {
        construct(target, args, newTarget) {
          const array = Reflect.construct(target, args, newTarget) as Uint8Array;
          octets.push(array.byteLength);
          return array;
        },
      });
      vi.stubGlobal(kind, counted);
    }
    try {
      new ConnectionTable({ limit, seed: 1 });
    } finally {
      vi.unstubAllGlobals();
    }
    const reserved = octets.reduce((sum, length) => sum + length, 0);
    expect(reserved).toBeGreaterThan(limit * 64);
    expect(reserved / 1_000_000).toBeLessThanOrEqual(128);
  });

  test('counts as many bytes as its rows have touched', () => {
    const connections = table(1_000_000);
    const empty = connections.octets;
    const caddr = client.slice();
    for (let i = 0; i < 10_000; i++) {
      caddr[3] = i;
      connections.add(TCP, caddr, 4000, vip, 80, rs1, 80, 0);
    }
    expect(connections.capacity).toBe(1_000_000);
    expect(connections.octets - empty).toBeLessThanOrEqual(10_000 * 128);
    expect(connections.octets - empty).toBeGreaterThan(10_000 * 32);
  });

  test('keeps chains short for 60,000 connections of one client endpoint', () => {
    const connections = table(65_536);
    for (let vport = 1; vport <= 60_000; vport++)
      connections.add(TCP, client, 4000, vip, vport, rs1, vport, 0);
    for (let vport = 1; vport <= 60_000; vport++) {
      expect(connections.findFromClient(TCP, client, 4000, vip, vport)).toBe(vport - 1);
      expect(connections.findFromDestination(TCP, rs1, vport, client, 4000)).toBe(vport - 1);
    }
    expect(connections.longestProbe).toBeGreaterThan(1);
    expect(connections.longestProbe).toBeLessThan(20);
  });

  test('spreads the same keys differently with another seed', () => {
    const longest = (seed: number) => {
      const connections = new ConnectionTable({ limit: 4096, seed });
      for (let port = 1; port <= 4096; port++) connections.add(TCP, client, port, vip, 80, rs1, 80, 0);
      const order: number[] = [];
      for (let port = 1; port <= 4096; port++) {
        const before = connections.longestProbe;
        connections.findFromClient(TCP, client, port, vip, 80);
        if (connections.longestProbe > before) order.push(port);
      }
      return order.join();
    };
    expect(longest(1)).not.toBe(longest(2));
  });

  test('allocates no garbage when it finds, touches, adds or removes', async () => {
    const connections = table(1024);
    const caddr = client.slice();
    const client6 = address('2001:db8::1');
    const vip6 = address('2001:db8::80');
    const rs6 = address('2001:db8::8080');
    const late = 2 ** 40 + 0.5;
    const row = connections.add(TCP, client, 1, vip, 80, rs1, 80, 0);
    const row6 = connections.add(TCP, client6, 1, vip6, 80, rs6, 80, 0);
    connections.setTimeout(row, 900_000);
    connections.setTimeout(row6, 900_000);
    const expired = () => false;
    const work = () => {
      for (let i = 0; i < 300_000; i++) {
        caddr[3] = 0xc0000000 + i;
        const added = connections.add(TCP, caddr, i & 0xffff, vip, 0xffff, rs2, 0xffff, 0);
        connections.setTimeout(added, 60_000);
        connections.touch(added, late);
        if (connections.findFromClient(TCP, caddr, i & 0xffff, vip, 0xffff) !== added)
          throw new Error('lost');
        if (connections.findFromDestination(TCP, rs2, 0xffff, caddr, i & 0xffff) !== added)
          throw new Error('lost');
        connections.select(added);
        connections.remove(added);
        connections.touch(connections.findFromClient(TCP, client, 1, vip, 80), late);
        connections.touch(connections.findFromDestination(TCP, rs6, 80, client6, 1), late);
        connections.findTemplate(TCP, caddr, vip, 80);
        if (i % 1000 === 0) connections.expire(late, expired);
      }
    };
    work();
    expect(await collectionsDuring(work)).toBe(0);
  });
});

/** What a table knows, in the plainest way: newest first. */
interface Entry {
  row: number;
  protocol: number;
  caddr: string;
  cport: number;
  vaddr: string;
  vport: number;
  daddr: string;
  dport: number;
  kind: 'full' | 'open' | 'template' | 'one-packet';
}

const FLAGS = { full: 0, open: NO_CPORT, template: TEMPLATE, 'one-packet': ONE_PACKET } as const;
const ADDRESSES = [
  '10.0.0.1',
  '10.0.0.2',
  '10.1.0.1',
  '2001:db8::a00:1',
  '2001:db8::1',
  '::a00:1',
  '::ffff:0:a00:1',
];
const anAddress = fc.constantFrom(...ADDRESSES);
const aPort = fc.constantFrom(1, 80, 443, 65535);
const aTuple = fc.record({
  protocol: fc.constantFrom(TCP, UDP),
  caddr: anAddress,
  cport: aPort,
  vaddr: anAddress,
  vport: aPort,
  daddr: anAddress,
  dport: aPort,
});
const aStep = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constant('add' as const),
      tuple: aTuple,
      kind: fc.constantFrom('full', 'full', 'full', 'open', 'template', 'one-packet'),
    }),
  },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('remove' as const), which: fc.nat() }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('set-port' as const), which: fc.nat(), port: aPort }) },
  {
    weight: 1,
    arbitrary: fc.record({ do: fc.constant('bulk' as const), count: fc.integer({ min: 1, max: 300 }) }),
  },
);

test('finds the same connections as a plain list, after any additions, removals and changes', () => {
  fc.assert(
    fc.property(
      fc.array(aStep, { maxLength: 60 }),
      fc.integer(),
      fc.array(aTuple, { minLength: 5, maxLength: 20 }),
      (steps, seed, strangers) => {
        const connections = new ConnectionTable({ limit: 5000, seed });
        const entries: Entry[] = [];
        let bulk = 0;
        const add = (tuple: Omit<Entry, 'row' | 'kind'>, kind: Entry['kind']) => {
          const cport = kind === 'open' || kind === 'template' ? 0 : tuple.cport;
          const row = connections.add(
            tuple.protocol,
            address(tuple.caddr),
            cport,
            address(tuple.vaddr),
            tuple.vport,
            address(tuple.daddr),
            tuple.dport,
            FLAGS[kind],
          );
          expect(entries.some((entry) => entry.row === row)).toBe(false);
          if (row !== NONE) entries.unshift({ ...tuple, cport, kind, row });
          else expect(entries.length).toBe(5000);
        };
        for (const step of steps) {
          if (step.do === 'add') add(step.tuple, step.kind as Entry['kind']);
          else if (step.do === 'bulk') {
            for (let i = 0; i < step.count; i++, bulk++)
              add(
                {
                  protocol: TCP,
                  caddr: `172.16.${bulk >> 8}.${bulk & 255}`,
                  cport: 9,
                  vaddr: '10.0.0.1',
                  vport: 80,
                  daddr: '10.0.0.2',
                  dport: 8,
                },
                'full',
              );
          } else if (entries.length > 0) {
            const entry = entries[step.which % entries.length]!;
            if (step.do === 'remove') {
              connections.remove(entry.row);
              entries.splice(entries.indexOf(entry), 1);
            } else if (entry.kind === 'open') {
              connections.setClientPort(entry.row, step.port);
              entries.splice(entries.indexOf(entry), 1);
              entries.unshift({ ...entry, cport: step.port, kind: 'full' });
            }
          }
        }
        const first = (matches: (entry: Entry) => boolean) => entries.find(matches)?.row ?? NONE;
        expect(connections.size).toBe(entries.length);
        expect([...connections.rows()].sort((a, b) => a - b)).toEqual(
          entries.map((entry) => entry.row).sort((a, b) => a - b),
        );
        for (const { protocol, caddr, cport, vaddr, vport, daddr, dport } of [...entries, ...strangers]) {
          const client = (entry: Entry, port: number) =>
            entry.protocol === protocol &&
            entry.caddr === caddr &&
            entry.cport === port &&
            entry.vaddr === vaddr &&
            entry.vport === vport;
          const exact = first((entry) => entry.kind === 'full' && client(entry, cport));
          expect(connections.findFromClient(protocol, address(caddr), cport, address(vaddr), vport)).toBe(
            exact !== NONE ? exact : first((entry) => entry.kind === 'open' && client(entry, 0)),
          );
          expect(connections.findTemplate(protocol, address(caddr), address(vaddr), vport)).toBe(
            first((entry) => entry.kind === 'template' && client(entry, 0)),
          );
          expect(
            connections.findFromDestination(protocol, address(daddr), dport, address(caddr), cport),
          ).toBe(
            first(
              (entry) =>
                entry.kind === 'full' &&
                entry.protocol === protocol &&
                entry.daddr === daddr &&
                entry.dport === dport &&
                entry.caddr === caddr &&
                entry.cport === cport,
            ),
          );
        }
        for (const entry of entries) {
          const shown = connections.select(entry.row);
          expect([shown.protocol, shown.cport, shown.vport, shown.dport]).toEqual([
            entry.protocol,
            entry.cport,
            entry.vport,
            entry.dport,
          ]);
          expect(shown.caddr).toEqual(address(entry.caddr));
          expect(shown.vaddr).toEqual(address(entry.vaddr));
          expect(shown.daddr).toEqual(address(entry.daddr));
        }
      },
    ),
    { numRuns: 60 },
  );
});
