import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { NONE } from '../../src/model/connection.ts';
import { MAX_PER_HOME } from '../../src/table/annex.ts';
import { DestinationRecords } from '../../src/table/destination-records.ts';
import { secretsFrom } from '../../src/table/homes.ts';
import { KIND, NEAR, ROW, ROW_BYTES, TRACK } from '../../src/table/layout.ts';
import { ordinaryMemory, type Region, type TableMemory } from '../../src/table/memory.ts';
import { Rows, TAKEN } from '../../src/table/rows.ts';
import { type Address, formatAddress, parseAddress } from '../../src/wire/address.ts';
import { collectionsDuring } from '../support/collections.ts';
import { ends, made } from '../support/rows.ts';

const TCP = 6;
const UDP = 17;
const NAT = 0;
const DR = 3;
const address = (text: string): Address => parseAddress(text)!;
const client = address('203.0.113.7');
const vip = address('192.0.2.80');
const other = address('192.0.2.81');
const rs1 = address('10.0.0.1');
const rs2 = address('10.0.0.2');

/** Numbers of the destinations' records. */
const RS1 = 1;
const RS2 = 2;
const RS_ANY_PORT = 3;
const RS6 = 4;

function rowsFor(limit = 64, seed = 1, memory: TableMemory = ordinaryMemory): Rows {
  const rows = new Rows({
    limit,
    secrets: secretsFrom(seed),
    memory,
    records: new DestinationRecords(ordinaryMemory),
  });
  rows.records.set(RS1, rs1, 8080);
  rows.records.set(RS2, rs2, 8080);
  rows.records.set(RS_ANY_PORT, rs1, 0);
  rows.records.set(RS6, address('fd00::1'), 8080);
  return rows;
}
const method = (number: number): number => number << TRACK.method;

describe('a connection', () => {
  test('is found by requests and by replies, by all of its key', () => {
    const rows = rowsFor();
    const row = rows.add(ends(TCP, client, 4000, vip, 80), made(KIND.LIVE, RS1, method(NAT)));
    expect(rows.findRequest(TCP, client, 4000, vip, 80)).toBe(row);
    expect(rows.findReply(TCP, rs1, 8080, client, 4000)).toBe(row);
    expect(rows.findRequest(UDP, client, 4000, vip, 80)).toBe(NONE);
    expect(rows.findRequest(TCP, client, 4001, vip, 80)).toBe(NONE);
    expect(rows.findRequest(TCP, client, 4000, vip, 81)).toBe(NONE);
    expect(rows.findRequest(TCP, client, 4000, other, 80)).toBe(NONE);
    expect(rows.findReply(TCP, rs1, 80, client, 4000)).toBe(NONE);
    expect(rows.findReply(TCP, rs2, 8080, client, 4000)).toBe(NONE);
    expect(rows.findReply(UDP, rs1, 8080, client, 4000)).toBe(NONE);
  });

  test('of IPv4 is not found under an IPv6 address that ends in the same 32 bits', () => {
    const rows = rowsFor();
    rows.add(ends(TCP, client, 4000, vip, 80), made(KIND.LIVE, RS1));
    expect(rows.findRequest(TCP, address('2001:db8::cb00:7107'), 4000, vip, 80)).toBe(NONE);
    expect(rows.findRequest(TCP, client, 4000, address('2001:db8::c000:250'), 80)).toBe(NONE);
    expect(rows.findReply(TCP, address('fd00::a00:1'), 8080, client, 4000)).toBe(NONE);
  });

  test('of a destination without a port is found by replies from the virtual port', () => {
    const rows = rowsFor();
    const row = rows.add(ends(TCP, client, 4000, vip, 443), made(KIND.LIVE, RS_ANY_PORT, TRACK.SAME_PORT));
    expect(rows.dport(row)).toBe(443);
    expect(rows.findReply(TCP, rs1, 443, client, 4000)).toBe(row);
    expect(rows.findReply(TCP, rs1, 0, client, 4000)).toBe(NONE);
  });

  test('shows what it was made with, and nothing of the row that lay there before', () => {
    const rows = rowsFor(1);
    const first = rows.add(ends(UDP, client, 1, vip, 2), made(KIND.LIVE, RS1, TRACK.NOOUTPUT));
    rows.setTimeout(first, 9);
    rows.setSeen(first, 9);
    rows.addPackets(first, 9);
    const { generation } = TRACK;
    const before = rows.track(first) >>> generation;
    rows.remove(first);
    const row = rows.add(ends(UDP, client, 1, vip, 3), made(KIND.LIVE, RS6, TRACK.INACTIVE | method(DR) | 5));
    expect(row).toBe(first);
    expect(rows.track(row) >>> generation).toBe((before + 1) & 0xff);
    expect([rows.timeout(row), rows.seen(row), rows.packets(row)]).toEqual([0, 0, 0]);
    expect([rows.state(row), rows.method(row), rows.destination(row)]).toEqual([5, DR, RS6]);
    expect(rows.track(row) & (TRACK.INACTIVE | TRACK.NOOUTPUT)).toBe(TRACK.INACTIVE);
    expect([rows.protocol(row), rows.cport(row), rows.vport(row), rows.dport(row)]).toEqual([
      UDP,
      1,
      3,
      8080,
    ]);
    expect(formatAddress(rows.copyCaddr(row, new Uint32Array(4)))).toBe('203.0.113.7');
    expect(formatAddress(rows.copyVaddr(row, new Uint32Array(4)))).toBe('192.0.2.80');
  });

  test('has a separate key', () => {
    const rows = rowsFor();
    const row = rows.add(ends(TCP, client, 4000, vip, 80), made(KIND.LIVE, RS1));
    expect(rows.add(ends(TCP, client, 4000, vip, 80), made(KIND.LIVE, RS2))).toBe(TAKEN);
    expect(rows.size).toBe(1);
    expect(rows.findRequest(TCP, client, 4000, vip, 80)).toBe(row);
    expect(rows.findReply(TCP, rs2, 8080, client, 4000)).toBe(NONE);
  });

  test('that was replaced is found by replies only', () => {
    const rows = rowsFor();
    const older = rows.add(ends(TCP, client, 4000, vip, 80), made(KIND.LIVE, RS1));
    rows.replace(older);
    expect(rows.findRequest(TCP, client, 4000, vip, 80)).toBe(NONE);
    expect(rows.findReply(TCP, rs1, 8080, client, 4000)).toBe(older);
    const newer = rows.add(ends(TCP, client, 4000, vip, 80), made(KIND.LIVE, RS1));
    expect(rows.findRequest(TCP, client, 4000, vip, 80)).toBe(newer);
    expect(rows.findReply(TCP, rs1, 8080, client, 4000)).toBe(newer);
  });

  test('of one packet takes a row and is not found', () => {
    const rows = rowsFor();
    const row = rows.add(ends(UDP, client, 4000, vip, 53), made(KIND.HIDDEN, RS1));
    expect(rows.size).toBe(1);
    expect(rows.findRequest(UDP, client, 4000, vip, 53)).toBe(NONE);
    expect(rows.findReply(UDP, rs1, 8080, client, 4000)).toBe(NONE);
    rows.remove(row);
    expect(rows.size).toBe(0);
  });

  test('cannot be removed twice', () => {
    const rows = rowsFor();
    const row = rows.add(ends(TCP, client, 4000, vip, 80), made(KIND.LIVE, RS1));
    rows.remove(row);
    expect(() => rows.remove(row)).toThrow(/twice/);
  });

  test('counts packets on from 32,768 at the end of 16 bits', () => {
    const rows = rowsFor();
    const row = rows.add(ends(TCP, client, 4000, vip, 80), made(KIND.LIVE, RS1));
    rows.addPackets(row, 0xffff);
    expect(rows.packets(row)).toBe(0xffff);
    rows.addPackets(row, 1);
    expect(rows.packets(row)).toBe(0x8000);
    rows.addPackets(row, 1_000_000);
    expect(rows.packets(row)).toBeGreaterThanOrEqual(0x8000);
  });
});

describe('a reply', () => {
  test('is not of a connection with direct routing or a tunnel, even of the newest', () => {
    const rows = rowsFor();
    const translated = rows.add(ends(TCP, client, 4000, vip, 8080), made(KIND.LIVE, RS1, method(NAT)));
    const tunnel = 2;
    rows.add(ends(TCP, client, 4000, other, 8080), made(KIND.LIVE, RS1, method(DR)));
    rows.add(ends(TCP, client, 4000, other, 8081), made(KIND.LIVE, RS1, method(tunnel)));
    expect(rows.findReply(TCP, rs1, 8080, client, 4000)).toBe(translated);
    rows.remove(translated);
    expect(rows.findReply(TCP, rs1, 8080, client, 4000)).toBe(NONE);
  });

  test('is of the newest of several connections that the server cannot distinguish', () => {
    const rows = rowsFor();
    const of = (vport: number) =>
      rows.add(ends(TCP, client, 4000, vip, vport), made(KIND.LIVE, RS1, method(NAT)));
    const [first, second] = [of(80), of(443)];
    expect(rows.findReply(TCP, rs1, 8080, client, 4000)).toBe(second);
    rows.remove(first);
    // It lies where the first one lay, in front of the second.
    const third = of(81);
    expect(third).toBe(first);
    expect(rows.findReply(TCP, rs1, 8080, client, 4000)).toBe(third);
    rows.remove(third);
    expect(rows.findReply(TCP, rs1, 8080, client, 4000)).toBe(second);
  });
});

describe('a connection without a client port', () => {
  test('takes requests that no other connection takes', () => {
    const rows = rowsFor();
    const open = rows.add(ends(TCP, client, 0, vip, 50_000), made(KIND.OPEN, RS1));
    expect(rows.findRequest(TCP, client, 4000, vip, 50_000)).toBe(open);
    const exact = rows.add(ends(TCP, client, 4000, vip, 50_000), made(KIND.LIVE, RS2));
    expect(rows.findRequest(TCP, client, 4000, vip, 50_000)).toBe(exact);
    expect(rows.findReply(TCP, rs1, 8080, client, 5000)).toBe(NONE);
    rows.remove(exact);
    expect(rows.findRequest(TCP, client, 4000, vip, 50_000)).toBe(open);
    rows.remove(open);
    expect(rows.findRequest(TCP, client, 4000, vip, 50_000)).toBe(NONE);
    expect(rows.spilled).toBe(0);
  });
});

describe('a template', () => {
  test('is found as a template only', () => {
    const rows = rowsFor();
    const template = rows.add(ends(TCP, client, 0, vip, 80), made(KIND.TEMPLATE, RS1));
    expect(rows.findTemplate(TCP, client, vip, 80)).toBe(template);
    expect(rows.findRequest(TCP, client, 0, vip, 80)).toBe(NONE);
    expect(rows.findReply(TCP, rs1, 8080, client, 0)).toBe(NONE);
    rows.invalidate(template);
    expect(rows.findTemplate(TCP, client, vip, 80)).toBe(NONE);
    rows.remove(template);
    expect(rows.size).toBe(0);
  });

  test('is one of several, shown newest first, or distinguished by its salt', () => {
    const rows = rowsFor();
    const rowsMade = [0, 1, 2, 3].map(() =>
      rows.add(ends(UDP, client, 0, vip, 5060), made(KIND.TEMPLATE, RS1)),
    );
    const salted = rows.add(ends(UDP, client, 0, vip, 5060), made(KIND.TEMPLATE, RS1, 0, 0xdeadbeef));
    expect(rows.templates(UDP, client, vip, 5060)).toEqual(rowsMade.toReversed());
    expect(rows.findTemplate(UDP, client, vip, 5060, 0xdeadbeef)).toBe(salted);
    expect(rows.salt(salted)).toBe(0xdeadbeef);
    rows.remove(rowsMade[3]!);
    expect(rows.findTemplate(UDP, client, vip, 5060)).toBe(rowsMade[2]);
  });

  test('controls connections until they are removed', () => {
    const rows = rowsFor();
    const template = rows.add(ends(TCP, client, 0, vip, 80), made(KIND.TEMPLATE, RS1));
    const row = rows.add(ends(TCP, client, 4000, vip, 80), made(KIND.LIVE, RS1));
    expect([rows.children(template), rows.template(row)]).toEqual([0, NONE]);
    rows.control(row, template);
    expect([rows.children(template), rows.template(row)]).toEqual([1, template]);
    rows.remove(row);
    expect(rows.children(template)).toBe(0);
    expect(rows.template(rows.add(ends(TCP, client, 4000, vip, 80), made(KIND.LIVE, RS1)))).toBe(NONE);
  });
});

describe('an end', () => {
  test('happens once, and not for a caller that knows an older state', () => {
    const rows = rowsFor();
    const row = rows.add(ends(TCP, client, 4000, vip, 80), made(KIND.LIVE, RS1, 1));
    const before = rows.track(row);
    expect(rows.changeTrack(row, before, before + 1)).toBe(true);
    expect(rows.end(row, before)).toBe(false);
    const track = rows.track(row);
    expect(rows.end(row, track)).toBe(true);
    expect(rows.state(row)).toBe(TRACK.GONE);
    expect(rows.track(row) >>> TRACK.generation).toBe(((before >>> TRACK.generation) + 1) & 0xff);
    expect(rows.end(row, rows.track(row))).toBe(false);
    expect(rows.changeTrack(row, track, before)).toBe(false);
  });

  test('comes when the time is up, also where the clock wraps', () => {
    const rows = rowsFor();
    const row = rows.add(ends(TCP, client, 4000, vip, 80), made(KIND.LIVE, RS1));
    const due = (tick: number) => {
      const found: number[] = [];
      rows.eachDue(0, rows.capacity, tick, (each) => found.push(each) > 0);
      return found;
    };
    rows.setTimeout(row, 100);
    rows.setSeen(row, 0x7fffffff - 50);
    expect(due((0x7fffffff + 50) | 0)).toEqual([]);
    expect(due((0x7fffffff + 51) | 0)).toEqual([row]);
    rows.setSeen(row, -50);
    expect(due(50)).toEqual([]);
    expect(due(51)).toEqual([row]);
  });

  test.each(['IPv4', 'IPv6'])('of %s that a program is still making is not shown', (version) => {
    const buffers = new Map<string, Region>();
    const memory: TableMemory = {
      reserve(name, bytes) {
        const region = ordinaryMemory.reserve(name, bytes);
        buffers.set(name, region);
        return region;
      },
    };
    const rows = rowsFor(64, 1, memory);
    const [caddr, vaddr] = version === 'IPv4' ? [client, vip] : [address('2001:db8::7'), address('fd00::80')];
    const row = rows.add(ends(TCP, caddr, 4000, vaddr, 80), made(KIND.LIVE, version === 'IPv4' ? RS1 : RS6));
    rows.setTimeout(row, 0);
    rows.setSeen(row, 0);
    const shown = () => {
      const found: number[] = [];
      rows.eachDue(0, rows.capacity, 100, (each) => found.push(each) > 0);
      return [rows.has(row), ...found];
    };
    expect(shown()).toEqual([true, row]);
    // What programs write while they make a row.
    const { buffer, offset } = buffers.get('rows')!;
    const word = new Int32Array(buffer, offset + row * ROW_BYTES + ROW.client, 1);
    word[0] = (word[0]! & ~(0xf << 24)) | (KIND.PENDING << 24);
    expect(shown()).toEqual([false]);
    word[0] = KIND.BUSY << 24;
    expect(shown()).toEqual([false]);
  });
});

describe('the table', () => {
  test('is full at its limit, and takes a connection again when one has gone', () => {
    const rows = rowsFor(2);
    const row = rows.add(ends(TCP, client, 1, vip, 80), made(KIND.LIVE, RS1));
    rows.add(ends(TCP, client, 2, vip, 80), made(KIND.LIVE, RS1));
    expect(rows.add(ends(TCP, client, 3, vip, 80), made(KIND.LIVE, RS1))).toBe(NONE);
    rows.remove(row);
    expect(rows.add(ends(TCP, client, 3, vip, 80), made(KIND.LIVE, RS1))).not.toBe(NONE);
    expect(rows.findRequest(TCP, client, 1, vip, 80)).toBe(NONE);
  });

  test.each([0, -1, 1.5, 2 ** 25 + 1, Number.NaN])('of %d rows is refused', (limit) => {
    expect(() => rowsFor(limit)).toThrow(RangeError);
  });

  test.each(['192.0.2.80', '2001:db8::80'])(
    'keeps thousands of connections of one client port to %s, and refuses what is too many for one client',
    (text) => {
      const rows = rowsFor(65_536);
      const vaddr = address(text);
      const caddr = text.includes(':') ? address('2001:db8::7') : client;
      const record = text.includes(':') ? RS6 : RS_ANY_PORT;
      const daddr = text.includes(':') ? address('fd00::1') : rs1;
      rows.records.set(RS6, address('fd00::1'), 0);
      const rowsMade: number[] = [];
      for (let vport = 1; vport <= NEAR + MAX_PER_HOME; vport++)
        rowsMade.push(
          rows.add(ends(TCP, caddr, 4000, vaddr, vport), made(KIND.LIVE, record, TRACK.SAME_PORT)),
        );
      expect(rowsMade).not.toContain(NONE);
      expect(new Set(rowsMade).size).toBe(rowsMade.length);
      expect(rows.spilled).toBe(MAX_PER_HOME);
      expect(rows.add(ends(TCP, caddr, 4000, vaddr, 60_000), made(KIND.LIVE, record, TRACK.SAME_PORT))).toBe(
        NONE,
      );
      expect(
        rows.add(ends(TCP, caddr, 4001, vaddr, 60_000), made(KIND.LIVE, record, TRACK.SAME_PORT)),
      ).not.toBe(NONE);
      for (const [i, row] of rowsMade.entries()) {
        expect(rows.findRequest(TCP, caddr, 4000, vaddr, i + 1)).toBe(row);
        expect(rows.findReply(TCP, daddr, i + 1, caddr, 4000)).toBe(row);
      }
      expect(rows.add(ends(TCP, caddr, 4000, vaddr, 4000), made(KIND.LIVE, record, TRACK.SAME_PORT))).toBe(
        NONE,
      );
      rows.remove(rowsMade[3999]!);
      expect(rows.add(ends(TCP, caddr, 4000, vaddr, 3999), made(KIND.LIVE, record, TRACK.SAME_PORT))).toBe(
        TAKEN,
      );
      for (const row of rowsMade.filter((each) => each !== rowsMade[3999])) rows.remove(row);
      expect([rows.size, rows.spilled]).toEqual([1, 0]);
      expect(rows.findRequest(TCP, caddr, 4000, vaddr, 4000)).toBe(NONE);
    },
  );

  test('makes no garbage: finding, making, ending', async () => {
    const rows = rowsFor(1024);
    const caddr = client.slice();
    const caddr6 = address('2001:db8::1');
    const vip6 = address('2001:db8::80');
    const its = { protocol: TCP, caddr, cport: 0, vaddr: vip, vport: 0xffff };
    const its6 = { protocol: TCP, caddr: caddr6, cport: 0, vaddr: vip6, vport: 0xffff };
    const newRow = made(KIND.LIVE, RS1);
    const newRow6 = made(KIND.LIVE, RS6);
    const work = () => {
      for (let i = 0; i < 150_000; i++) {
        caddr[3] = 0xc0000000 + i;
        caddr6[1] = 0xc0000000 + i;
        its.cport = its6.cport = i & 0xffff;
        const row = rows.add(its, newRow);
        const row6 = rows.add(its6, newRow6);
        rows.setSeen(row, i);
        rows.addPackets(row, 1);
        if (rows.findRequest(TCP, caddr, i & 0xffff, vip, 0xffff) !== row) throw new Error('lost');
        if (rows.findReply(TCP, rs1, 8080, caddr, i & 0xffff) !== row) throw new Error('lost');
        if (rows.findRequest(TCP, caddr6, i & 0xffff, vip6, 0xffff) !== row6) throw new Error('lost');
        rows.end(row, rows.track(row));
        rows.remove(row);
        rows.remove(row6);
      }
    };
    // On a busy machine it takes a while until all of it is optimized.
    let collections = 1;
    for (let round = 0; round < 20 && collections > 0; round++) collections = await collectionsDuring(work);
    expect(collections).toBe(0);
  });
});

/** What a table knows, in the plainest way: newest first. */
interface Entry {
  readonly row: number;
  readonly protocol: number;
  readonly caddr: string;
  cport: number;
  readonly vaddr: string;
  readonly vport: number;
  readonly destination: number;
  readonly method: number;
  readonly samePort: boolean;
  kind: number;
}

const ADDRESSES = [
  '10.0.0.1',
  '10.0.0.2',
  '10.1.0.1',
  '2001:db8::a00:1',
  '2001:db8::1',
  '::a00:1',
  '::ffff:0:a00:1',
];
const RECORDS = [
  ['10.0.0.1', 80],
  ['10.0.0.1', 443],
  ['2001:db8::1', 80],
  ['10.0.0.2', 0],
] as const;
const aPort = fc.constantFrom(1, 80, 443, 65535);
const isIpv6 = (text: string): boolean => text.includes(':');
const aTuple = fc
  .record({
    protocol: fc.constantFrom(TCP, UDP),
    caddr: fc.constantFrom(...ADDRESSES),
    cport: aPort,
    vaddr: fc.constantFrom(...ADDRESSES),
    vport: aPort,
    destination: fc.integer({ min: 1, max: RECORDS.length }),
    method: fc.constantFrom(NAT, NAT, DR),
    samePort: fc.boolean(),
  })
  // NAT keeps the IP version.
  .map((tuple) =>
    isIpv6(tuple.vaddr) === isIpv6(RECORDS[tuple.destination - 1]![0]) ? tuple : { ...tuple, method: DR },
  );
const aKind = fc.constantFrom(KIND.LIVE, KIND.LIVE, KIND.LIVE, KIND.OPEN, KIND.TEMPLATE, KIND.HIDDEN);
const aStep = fc.oneof(
  { weight: 6, arbitrary: fc.record({ do: fc.constant('add' as const), tuple: aTuple, kind: aKind }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('remove' as const), which: fc.nat() }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('replace' as const), which: fc.nat() }) },
  // Enough of one client to fill its home.
  {
    weight: 1,
    arbitrary: fc.record({ do: fc.constant('bulk' as const), count: fc.integer({ min: 1, max: 90 }) }),
  },
);

test('finds what a plain list finds, whatever was made, replaced, changed and removed', () => {
  fc.assert(
    fc.property(
      fc.array(aStep, { maxLength: 60 }),
      fc.nat(),
      fc.array(aTuple, { minLength: 5, maxLength: 20 }),
      (steps, seed, strangers) => {
        const rows = new Rows({
          limit: 2000,
          secrets: secretsFrom(seed),
          memory: ordinaryMemory,
          records: new DestinationRecords(ordinaryMemory),
        });
        for (const [i, [daddr, dport]] of RECORDS.entries()) rows.records.set(i + 1, address(daddr), dport);
        const entries: Entry[] = [];
        let bulk = 1000;
        const first = (matches: (entry: Entry) => boolean) => entries.find(matches)?.row ?? NONE;
        const hasKey = (kind: number, tuple: Omit<Entry, 'row' | 'kind'>, port: number) => (entry: Entry) =>
          entry.kind === kind &&
          entry.protocol === tuple.protocol &&
          entry.caddr === tuple.caddr &&
          entry.cport === port &&
          entry.vaddr === tuple.vaddr &&
          entry.vport === tuple.vport;
        const add = (tuple: Omit<Entry, 'row' | 'kind'>, kind: number) => {
          const cport = kind === KIND.OPEN || kind === KIND.TEMPLATE ? 0 : tuple.cport;
          const row = rows.add(
            ends(tuple.protocol, address(tuple.caddr), cport, address(tuple.vaddr), tuple.vport),
            made(
              kind,
              tuple.destination,
              (tuple.method << TRACK.method) | (tuple.samePort ? TRACK.SAME_PORT : 0),
            ),
          );
          if (kind === KIND.LIVE && first(hasKey(kind, tuple, cport)) !== NONE) {
            expect(row).toBe(TAKEN);
            return;
          }
          expect(row).toBeGreaterThanOrEqual(0);
          expect(entries.some((entry) => entry.row === row)).toBe(false);
          entries.unshift({ ...tuple, cport, kind, row });
        };
        for (const step of steps) {
          if (step.do === 'add') add(step.tuple, step.kind);
          else if (step.do === 'bulk') {
            for (let i = 0; i < step.count; i++, bulk++)
              add(
                {
                  protocol: TCP,
                  caddr: '10.0.0.1',
                  cport: 80,
                  vaddr: '10.0.0.1',
                  vport: bulk,
                  destination: 1,
                  method: NAT,
                  samePort: i % 3 === 0,
                },
                KIND.LIVE,
              );
          } else if (entries.length > 0) {
            const entry = entries[step.which % entries.length]!;
            if (step.do === 'remove') {
              rows.remove(entry.row);
              entries.splice(entries.indexOf(entry), 1);
            } else if (step.do === 'replace' && entry.kind === KIND.LIVE) {
              rows.replace(entry.row);
              entry.kind = KIND.REPLACED;
            }
          }
        }
        expect(rows.size).toBe(entries.length);
        const used = Array.from({ length: rows.capacity }, (_, row) => row).filter((row) => rows.has(row));
        expect(used).toEqual(entries.map((entry) => entry.row).sort((a, b) => a - b));
        for (const tuple of [...entries, ...strangers]) {
          const { protocol, cport, vport } = tuple;
          const [caddr, vaddr] = [address(tuple.caddr), address(tuple.vaddr)];
          const exact = first(hasKey(KIND.LIVE, tuple, cport));
          const found = rows.findRequest(protocol, caddr, cport, vaddr, vport);
          if (exact !== NONE) expect(found).toBe(exact);
          else if (first(hasKey(KIND.OPEN, tuple, 0)) === NONE) expect(found).toBe(NONE);
          else expect(entries.find((entry) => entry.row === found)).toSatisfy(hasKey(KIND.OPEN, tuple, 0));
          expect(rows.templates(protocol, caddr, vaddr, vport)).toEqual(
            entries.filter(hasKey(KIND.TEMPLATE, tuple, 0)).map((entry) => entry.row),
          );
          const [daddr, recordPort] = RECORDS[tuple.destination - 1]!;
          const dport = tuple.samePort ? vport : recordPort;
          expect(rows.findReply(protocol, address(daddr), dport, caddr, cport)).toBe(
            first((entry) => {
              const [its, port] = RECORDS[entry.destination - 1]!;
              return (
                (entry.kind === KIND.LIVE || entry.kind === KIND.REPLACED) &&
                entry.method === NAT &&
                entry.protocol === protocol &&
                entry.caddr === tuple.caddr &&
                entry.cport === cport &&
                its === daddr &&
                (entry.samePort ? entry.vport : port) === dport
              );
            }),
          );
        }
        for (const { row, protocol, cport, vport, caddr, vaddr, kind } of entries) {
          expect([rows.kind(row), rows.protocol(row), rows.cport(row), rows.vport(row)]).toEqual([
            kind,
            protocol,
            cport,
            vport,
          ]);
          expect(rows.copyCaddr(row, new Uint32Array(4))).toEqual(address(caddr));
          expect(rows.copyVaddr(row, new Uint32Array(4))).toEqual(address(vaddr));
        }
        for (const { row } of entries) rows.remove(row);
        expect([rows.size, rows.spilled]).toEqual([0, 0]);
      },
    ),
    { numRuns: 150 },
  );
});
