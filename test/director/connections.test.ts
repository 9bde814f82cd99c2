import { describe, expect, test, vi } from 'vitest';
import {
  INACTIVE,
  NO_CPORT,
  NOOUTPUT,
  ONE_PACKET,
  ROUTE,
  TEMPLATE,
} from '../../src/director/connection-flags.ts';
import { ConnectionTable } from '../../src/director/connections.ts';
import { NONE } from '../../src/model/connection.ts';
import { type Address, formatEndpoint, parseAddress } from '../../src/wire/address.ts';
import { collectionsDuring } from '../support/collections.ts';
import { bound, ends } from '../support/rows.ts';

const TCP = 6;
const UDP = 17;
const address = (text: string): Address => parseAddress(text)!;
const client = address('203.0.113.7');
const vip = address('192.0.2.80');
const rs1 = address('10.0.0.1');
const rs2 = address('10.0.0.2');
const rs6 = address('2001:db8::8080');

/** Numbers of destinations. */
const RS1 = 1;
const RS2 = 2;
const RS6 = 3;

function table(limit = 64): ConnectionTable {
  const connections = new ConnectionTable({ limit, seed: 1 });
  connections.records.set(RS1, rs1, 8080);
  connections.records.set(RS2, rs2, 8080);
  connections.records.set(RS6, rs6, 8080);
  return connections;
}

describe('a connection', () => {
  test('is found by its full key, from the client and from its destination', () => {
    const connections = table();
    const row = connections.add(ends(TCP, client, 4000, vip, 80), bound(RS1, 8080));
    expect(connections.findFromClient(TCP, client, 4000, vip, 80)).toBe(row);
    expect(connections.findFromDestination(TCP, rs1, 8080, client, 4000)).toBe(row);
    expect(connections.findFromClient(UDP, client, 4000, vip, 80)).toBe(NONE);
    expect(connections.findFromDestination(TCP, rs2, 8080, client, 4000)).toBe(NONE);
  });

  test('is found from its destination only if it is translated', () => {
    const connections = table();
    const translated = connections.add(ends(TCP, client, 4000, vip, 8080), bound(RS1, 8080));
    connections.add(ends(TCP, client, 4000, rs2, 8080), bound(RS1, 8080, ROUTE));
    expect(connections.findFromDestination(TCP, rs1, 8080, client, 4000)).toBe(translated);
    connections.remove(translated);
    expect(connections.findFromDestination(TCP, rs1, 8080, client, 4000)).toBe(NONE);
  });

  test('of IPv4 may have an IPv6 destination, as a tunnel has', () => {
    const connections = table();
    const row = connections.add(ends(TCP, client, 4000, vip, 80), bound(RS6, 8080, 2));
    expect(connections.findFromClient(TCP, client, 4000, vip, 80)).toBe(row);
    expect(connections.destination(row)).toBe(RS6);
  });

  test('has the values that it was added with, even in a reused row', () => {
    const connections = table(1);
    const first = connections.add(ends(UDP, client, 1, vip, 2), bound(RS1, 2, ROUTE));
    connections.addPackets(first, 9);
    connections.setState(first, 9);
    connections.setTimeout(first, 9);
    connections.remove(first);
    const [caddr, vaddr] = [address('2001:db8::1'), address('2001:db8::2')];
    const row = connections.add(
      ends(TCP, caddr, 65535, vaddr, 65534),
      bound(RS6, 65534, NOOUTPUT | INACTIVE),
    );
    const shown = connections.select(row);
    expect(shown.row).toBe(row);
    expect(shown.protocol).toBe(TCP);
    expect(formatEndpoint(shown.caddr, shown.cport)).toBe('[2001:db8::1]:65535');
    expect(formatEndpoint(shown.vaddr, shown.vport)).toBe('[2001:db8::2]:65534');
    expect([shown.dport, connections.destination(row)]).toEqual([65534, RS6]);
    expect(connections.flags(row)).toBe(NOOUTPUT | INACTIVE);
    expect([connections.packets(row), connections.children(row), connections.state(row)]).toEqual([0, 0, 0]);
    expect([connections.timeout(row), connections.template(row)]).toEqual([0, NONE]);
  });

  test.each([0, ROUTE | NOOUTPUT, INACTIVE, TEMPLATE, ONE_PACKET | INACTIVE, NO_CPORT, TEMPLATE | ROUTE])(
    'keeps its flags: %d',
    (flags) => {
      const connections = table();
      const row = connections.add(ends(UDP, client, 0, vip, 53), bound(RS1, 8080, flags));
      expect(connections.flags(row)).toBe(flags);
      connections.enterState(row, connections.track(row), connections.state(row), true);
      connections.setFullySeen(row);
      connections.setState(row, 5);
      expect(connections.flags(row)).toBe((flags | INACTIVE) & ~NOOUTPUT);
      connections.enterState(row, connections.track(row), connections.state(row), false);
      expect(connections.flags(row)).toBe(flags & ~(INACTIVE | NOOUTPUT));
      expect(connections.state(row)).toBe(5);
    },
  );

  test('has a timeout of up to 49 days', () => {
    const connections = table();
    const row = connections.add(ends(TCP, client, 4000, vip, 80), bound(RS1, 8080));
    const month = 31 * 86_400_000;
    connections.setTimeout(row, month);
    connections.touch(row, 1000);
    expect([connections.timeout(row), connections.expires(row)]).toEqual([month, month + 1000]);
    connections.setTimeout(row, 0xffffffff);
    expect(connections.timeout(row)).toBe(0xffffffff);
  });

  test('goes to the port of its destination or to the virtual port only', () => {
    const connections = table();
    expect(connections.dport(connections.add(ends(TCP, client, 1, vip, 80), bound(RS1, 8080)))).toBe(8080);
    expect(connections.dport(connections.add(ends(TCP, client, 2, vip, 80), bound(RS1, 80)))).toBe(80);
    expect(() => connections.add(ends(TCP, client, 3, vip, 80), bound(RS1, 81))).toThrow(RangeError);
  });

  test('of one packet occupies a row and is never found by a lookup', () => {
    const connections = table();
    const row = connections.add(ends(UDP, client, 4000, vip, 53), bound(RS1, 8080, ONE_PACKET));
    expect(connections.size).toBe(1);
    expect(connections.findFromClient(UDP, client, 4000, vip, 53)).toBe(NONE);
    expect(connections.findFromDestination(UDP, rs1, 8080, client, 4000)).toBe(NONE);
    connections.remove(row);
    expect(connections.size).toBe(0);
  });

  test('without a client port takes packets that no other connection takes', () => {
    const connections = table();
    const open = connections.add(ends(TCP, client, 0, vip, 50_000), bound(RS1, 50_000, NO_CPORT));
    expect(connections.findFromClient(TCP, client, 4000, vip, 50_000)).toBe(open);
    const exact = connections.add(ends(TCP, client, 5000, vip, 50_000), bound(RS1, 50_000));
    expect(connections.findFromClient(TCP, client, 5000, vip, 50_000)).toBe(exact);
    expect(connections.findFromDestination(TCP, rs1, 50_000, client, 4000)).toBe(NONE);
  });

  test('is found only by replies after a newer one with the same key is added', () => {
    const connections = table();
    const older = connections.add(ends(TCP, client, 4000, vip, 80), bound(RS1, 8080));
    const newer = connections.add(ends(TCP, client, 4000, vip, 80), bound(RS2, 8080));
    expect(connections.findFromClient(TCP, client, 4000, vip, 80)).toBe(newer);
    expect(connections.findFromDestination(TCP, rs2, 8080, client, 4000)).toBe(newer);
    expect(connections.findFromDestination(TCP, rs1, 8080, client, 4000)).toBe(older);
    expect(connections.size).toBe(2);
  });

  test('cannot be removed twice', () => {
    const connections = table();
    const row = connections.add(ends(TCP, client, 4000, vip, 80), bound(RS1, 8080));
    connections.remove(row);
    expect(() => connections.remove(row)).toThrow(/twice/);
  });
});

describe('a template', () => {
  test('is found only as a template, whatever the client port', () => {
    const connections = table();
    const template = connections.add(ends(TCP, client, 0, vip, 80), bound(RS1, 8080, TEMPLATE));
    expect(connections.findTemplate(TCP, client, vip, 80)).toBe(template);
    expect(connections.findFromClient(TCP, client, 0, vip, 80)).toBe(NONE);
    expect(connections.findFromDestination(TCP, rs1, 8080, client, 0)).toBe(NONE);
  });

  test('of a firewall mark has protocol 0', () => {
    const connections = table();
    const template = connections.add(ends(0, client, 0, address('0.0.0.7'), 0), bound(RS1, 0, TEMPLATE));
    expect(connections.findTemplate(0, client, address('0.0.0.7'), 0)).toBe(template);
    expect(connections.protocol(template)).toBe(0);
  });

  test('that was invalidated shows port 65535 twice and is not found', () => {
    const connections = table();
    const template = connections.add(ends(TCP, client, 0, vip, 80), bound(RS1, 8080, TEMPLATE));
    connections.invalidateTemplate(template);
    expect(connections.findTemplate(TCP, client, vip, 80)).toBe(NONE);
    const { cport, vport, dport } = connections.select(template);
    expect([cport, vport, dport]).toEqual([0, 65535, 65535]);
    expect(connections.isTemplate(template)).toBe(true);
    connections.remove(template);
    expect(connections.size).toBe(0);
  });

  test('may be one of several: all are visited, newest first, and the visitor selects or removes', () => {
    const connections = table();
    const rows = [0, 1, 2, 3].map(() =>
      connections.add(ends(UDP, client, 0, vip, 5060), bound(RS1, 8080, TEMPLATE)),
    );
    connections.add(ends(UDP, client, 0, vip, 5061), bound(RS1, 8080, TEMPLATE));
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
    const a = connections.add(ends(UDP, client, 0, vip, 5060), bound(RS1, 8080, TEMPLATE, 0xdeadbeef));
    const b = connections.add(ends(UDP, client, 0, vip, 5060), bound(RS2, 8080, TEMPLATE, 7));
    expect(connections.findTemplate(UDP, client, vip, 5060, 0xdeadbeef)).toBe(a);
    expect(connections.findTemplate(UDP, client, vip, 5060, 7)).toBe(b);
    expect(connections.findTemplate(UDP, client, vip, 5060)).toBe(NONE);
    expect(connections.templates(UDP, client, vip, 5060, () => true, 7)).toBe(b);
    expect([connections.salt(a), connections.packets(a)]).toEqual([0xdeadbeef, 0]);
  });
});

describe('the connection table', () => {
  test('reports when it is full, and accepts a connection after one is removed', () => {
    const connections = table(2);
    const row = connections.add(ends(TCP, client, 1, vip, 80), bound(RS1, 8080));
    connections.add(ends(TCP, client, 2, vip, 80), bound(RS1, 8080));
    expect(connections.add(ends(TCP, client, 3, vip, 80), bound(RS1, 8080))).toBe(NONE);
    expect([connections.size, connections.highest]).toEqual([2, 2]);
    connections.remove(row);
    const added = connections.add(ends(TCP, client, 3, vip, 80), bound(RS1, 8080));
    expect(connections.findFromClient(TCP, client, 1, vip, 80)).toBe(NONE);
    expect(connections.findFromClient(TCP, client, 3, vip, 80)).toBe(added);
    expect([connections.size, connections.highest]).toEqual([2, 2]);
  });

  test.each([0, -1, 1.5, 2 ** 25 + 1, Number.NaN])('of %d rows is refused', (limit) => {
    expect(() => table(limit)).toThrow(RangeError);
  });

  test('of 1,048,576 connections reserves and reports at most 144 bytes for each', () => {
    const limit = 1_048_576;
    let reserved = 0;
    const RealBuffer = globalThis.ArrayBuffer;
    const kinds = ['ArrayBuffer', 'Uint8Array', 'Uint32Array', 'Int32Array', 'Float64Array'] as const;
    for (const kind of kinds) {
      const counted = new Proxy(globalThis[kind] as typeof Uint8Array, {
        construct(target, args, newTarget) {
          const array = Reflect.construct(target, args, newTarget) as Uint8Array;
          // A view of a buffer that was counted costs nothing.
          if (!(args[0] instanceof RealBuffer)) reserved += array.byteLength;
          return array;
        },
      });
      vi.stubGlobal(kind, counted);
    }
    let connections: ConnectionTable;
    try {
      connections = new ConnectionTable({ limit, seed: 1 });
    } finally {
      vi.unstubAllGlobals();
    }
    expect(reserved).toBeGreaterThan(limit * 64);
    expect(reserved / limit).toBeLessThanOrEqual(144);
    expect(Math.abs(connections.bytes - reserved) / reserved).toBeLessThan(0.001);
  });

  test('spreads the same keys differently with another seed', () => {
    const places = (seed: number) => {
      const connections = new ConnectionTable({ limit: 4096, seed });
      connections.records.set(RS1, rs1, 8080);
      return Array.from({ length: 100 }, (_, port) =>
        connections.add(ends(TCP, client, port, vip, 80), bound(RS1, 80)),
      );
    };
    expect(places(1)).toEqual(places(1));
    expect(places(1)).not.toEqual(places(2));
  });

  test('allocates no garbage when it finds, touches, adds or removes', async () => {
    const connections = table(1024);
    const caddr = client.slice();
    const client6 = address('2001:db8::1');
    const vip6 = address('2001:db8::80');
    const late = 2 ** 40 + 0.5;
    const row = connections.add(ends(TCP, client, 1, vip, 80), bound(RS1, 8080));
    const row6 = connections.add(ends(TCP, client6, 1, vip6, 80), bound(RS6, 8080));
    connections.setTimeout(row, 900_000);
    connections.setTimeout(row6, 900_000);
    const expired = () => false;
    const its = { protocol: TCP, caddr, cport: 0, vaddr: vip, vport: 0xffff };
    const binding = bound(RS2, 0xffff);
    const work = () => {
      for (let i = 0; i < 150_000; i++) {
        caddr[3] = 0xc0000000 + i;
        its.cport = i & 0xffff;
        const added = connections.add(its, binding);
        connections.setTimeout(added, 60_000);
        connections.touch(added, late);
        connections.enterState(added, connections.track(added), 1, (i & 1) !== 0);
        if (connections.findFromClient(TCP, caddr, i & 0xffff, vip, 0xffff) !== added)
          throw new Error('lost');
        if (connections.findFromDestination(TCP, rs2, 0xffff, caddr, i & 0xffff) !== added)
          throw new Error('lost');
        connections.select(added);
        connections.remove(added);
        connections.touch(connections.findFromClient(TCP, client, 1, vip, 80), late);
        connections.touch(connections.findFromDestination(TCP, rs6, 8080, client6, 1), late);
        connections.findTemplate(TCP, caddr, vip, 80);
        if (i % 1000 === 0) connections.expire(late, expired);
      }
    };
    // On a busy machine it takes a while until all of it is optimized.
    let collections = 1;
    for (let round = 0; round < 20 && collections > 0; round++) collections = await collectionsDuring(work);
    expect(collections).toBe(0);
  });
});
