import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { DEFAULT_SETTINGS } from '../../src/model/settings.ts';
import { ProcessorCounters } from '../../src/table/counters.ts';
import { DestinationRecords, MAX_DESTINATIONS } from '../../src/table/destination-records.ts';
import { layoutDigest } from '../../src/table/layout.ts';
import { ordinaryMemory, type Region, type RegionName, type TableMemory } from '../../src/table/memory.ts';
import { NO_LIST, NumberLists } from '../../src/table/number-lists.ts';
import {
  COUNTERS,
  DESTINATION,
  MAX_LIST_ENTRIES,
  MAX_LISTED,
  SERVICE,
  SETTINGS,
} from '../../src/table/record-layout.ts';
import { ServiceRecords } from '../../src/table/service-records.ts';
import { SettingsRecord, serverBit, sysctlOffset } from '../../src/table/settings-record.ts';
import { Ticks } from '../../src/table/ticks.ts';
import { type Address, parseAddress } from '../../src/wire/address.ts';

const address = (text: string): Address => parseAddress(text)!;

/** Memory that shows its regions, as a program of the kernel would see them. */
class WatchedMemory implements TableMemory {
  readonly regions = new Map<RegionName, Region>();
  /** Fails the reservations of this array. */
  short: RegionName | undefined;

  reserve(name: RegionName, bytes: number): Region {
    if (name === this.short) throw new RangeError('Array buffer allocation failed');
    const region = ordinaryMemory.reserve(name, bytes);
    this.regions.set(name, region);
    return region;
  }

  longs(name: RegionName): BigUint64Array<ArrayBuffer> {
    const { buffer, offset } = this.regions.get(name)!;
    return new BigUint64Array(buffer, offset);
  }
}

describe('destinations', () => {
  test('keep their fields when there are more of them', () => {
    const records = new DestinationRecords(ordinaryMemory);
    records.set(1, address('10.0.0.1'), 8080);
    records.setWord(1, DESTINATION.weight, 7);
    records.set(MAX_DESTINATIONS, address('2001:db8::1'), 80);
    expect(records.copyAddress(1, new Uint32Array(4))).toEqual(address('10.0.0.1'));
    expect([records.port(1), records.word(1, DESTINATION.weight)]).toEqual([8080, 7]);
    expect(records.copyAddress(MAX_DESTINATIONS, new Uint32Array(4))).toEqual(address('2001:db8::1'));
    expect(() => records.set(MAX_DESTINATIONS + 1, address('10.0.0.1'), 80)).toThrow(RangeError);
  });

  test('lose nothing of what a program counts in the former array while they grow', () => {
    const records = new DestinationRecords(ordinaryMemory);
    records.set(1, address('10.0.0.1'), 8080);
    records.addWord(1, DESTINATION.active, 5);
    const former = records.words;
    const active = (1 << 5) + (DESTINATION.active >> 2);
    records.set(1000, address('10.0.0.2'), 8080);
    records.addWord(1, DESTINATION.active, 1);
    former[active]! += 3;
    records.set(5000, address('10.0.0.3'), 8080);
    former[active]! -= 1;
    records.settle();
    expect(records.word(1, DESTINATION.active)).toBe(5 + 1 + 3 - 1);
    former[active]! += 100;
    records.settle();
    expect(records.word(1, DESTINATION.active)).toBe(8);
  });

  test('grow in place where their memory has room for all of them', () => {
    const buffer = new ArrayBuffer(65_536 * 128);
    const records = new DestinationRecords({ reserve: () => ({ buffer, offset: 0 }) });
    records.set(1, address('10.0.0.1'), 8080);
    records.addWord(1, DESTINATION.active, 5);
    records.set(1000, address('10.0.0.2'), 8080);
    records.addWord(1, DESTINATION.active, 1);
    records.settle();
    expect([records.port(1), records.word(1, DESTINATION.active)]).toEqual([8080, 6]);
  });

  test('of a number that is used again have no fields of the former one', () => {
    const records = new DestinationRecords(ordinaryMemory);
    records.set(1, address('10.0.0.1'), 8080);
    records.setWord(1, DESTINATION.overloaded, 1);
    records.set(1, address('10.0.0.2'), 0);
    expect(records.word(1, DESTINATION.overloaded)).toBe(0);
  });

  test('are refused where memory is short, and the others stay', () => {
    const memory = new WatchedMemory();
    const records = new DestinationRecords(memory);
    records.set(1, address('10.0.0.1'), 8080);
    memory.short = 'destinations';
    expect(() => records.set(64, address('10.0.0.2'), 80)).toThrow(
      /^destinations: no memory for 16384 bytes/,
    );
    expect(records.port(1)).toBe(8080);
    memory.short = undefined;
    records.set(64, address('10.0.0.2'), 80);
    expect(records.port(64)).toBe(80);
  });
});

describe('services', () => {
  const key = { protocol: 6, family: 4, address: address('192.0.2.80'), port: 80, mark: 0 } as const;
  const numbered = (length: number, first = 1) => Array.from({ length }, (_, i) => ({ index: first + i }));

  /** The list as a program reads it. */
  function listed(memory: WatchedMemory, service: number, field: number): number[] {
    const word = memory.longs('services')[(service * 128 + field) / 8]!;
    const { buffer, offset } = memory.regions.get('lists')!;
    const first = Number(word & 0xffff_ffffn);
    return [...new Uint16Array(buffer, offset).subarray(first, first + Number(word >> 32n))];
  }

  test('show programs their lists and tables', () => {
    const memory = new WatchedMemory();
    const records = new ServiceRecords(memory);
    const [a, b] = [records.make(key), records.make(key)];
    records.setList(a, numbered(3));
    records.setList(b, numbered(MAX_LISTED, 5000));
    records.setTable(b, numbered(256));
    records.setList(a, numbered(9));
    expect(listed(memory, a, SERVICE.list)).toEqual(numbered(9).map(({ index }) => index));
    expect(listed(memory, b, SERVICE.list)).toHaveLength(MAX_LISTED);
    expect(listed(memory, b, SERVICE.table)[255]).toBe(256);
    records.setList(b, numbered(MAX_LISTED + 1));
    expect(listed(memory, b, SERVICE.list)).toEqual([]);
  });

  test('have a number that another one had, but not before a program may have forgotten that', () => {
    const records = new ServiceRecords(ordinaryMemory);
    const first = records.make(key);
    records.release(first);
    expect(records.make(key)).not.toBe(first);
    records.recycle();
    expect(records.make(key)).not.toBe(first);
    records.recycle();
    expect(records.make(key)).toBe(first);
    expect(records.word(first, SERVICE.last)).toBe(-1);
  });

  test('are at most 65,535', () => {
    const records = new ServiceRecords(ordinaryMemory);
    for (let i = 1; i <= 65_535; i++) records.make(key);
    expect(() => records.make(key)).toThrow('services: no more than 65535');
  });
});

test('a list without room is empty until room is released', () => {
  const lists = new NumberLists(ordinaryMemory);
  const numbers = Array.from({ length: 4096 }, (_, i) => i + 1);
  const known = [lists.replace(NO_LIST, numbers)];
  while (known.at(-1) !== NO_LIST) known.push(lists.replace(NO_LIST, numbers));
  expect(lists.entries).toHaveLength(MAX_LIST_ENTRIES);
  const small = lists.replace(NO_LIST, [7]);
  expect(lists.entries[small.first]).toBe(7);
  expect(lists.replace(small, numbers)).toBe(NO_LIST);
  lists.release(known[0]!);
  for (let second = 0; second < 2; second++) lists.recycle();
  expect(lists.replace(NO_LIST, numbers).count).toBe(4096);
});

test('a list stays as it was until the next but one takes its place, whatever other lists do', () => {
  const aStep = fc.record({ list: fc.nat(5), length: fc.nat(40), recycle: fc.boolean() });
  fc.assert(
    fc.property(fc.array(aStep, { maxLength: 60 }), (steps) => {
      const lists = new NumberLists(ordinaryMemory);
      const known = Array.from({ length: 6 }, () => ({ at: NO_LIST, numbers: [] as number[] }));
      let next = 1;
      for (const { list, length, recycle } of steps) {
        const former = known[list]!;
        const before = lists.entries;
        const numbers = Array.from({ length }, () => next++ & 0xffff);
        known[list] = { at: lists.replace(former.at, numbers), numbers };
        // A program that has read the former place reads the former list.
        const { first, count } = former.at;
        expect([...before.subarray(first, first + count)]).toEqual(former.numbers);
        if (recycle) lists.recycle();
        for (const { at, numbers } of known)
          expect([...lists.entries.subarray(at.first, at.first + at.count)]).toEqual(numbers);
      }
    }),
  );
});

test('the settings name their layout, and have timeouts in ticks, states in nibbles and addresses in bits', () => {
  const memory = new WatchedMemory();
  const settings = new SettingsRecord(memory);
  const { buffer, offset } = memory.regions.get('settings')!;
  const bytes = Buffer.from(buffer, offset, 4096);
  expect(bytes.toString('latin1', SETTINGS.digest, SETTINGS.digest + 8)).toBe(layoutDigest().slice(0, 8));
  settings.setTimeouts({ tcp: [2000, 900_000], udp: [300_000] }, new Ticks(4));
  expect(settings.get(SETTINGS.tcpTimeouts + 4)).toBe(225_000);
  expect(settings.get(SETTINGS.udpTimeout)).toBe(75_000);
  settings.setSysctls({ ...DEFAULT_SETTINGS, sloppy_tcp: 1 });
  expect(settings.get(sysctlOffset('sloppy_tcp'))).toBe(1);
  settings.setTransitions(SETTINGS.transitions, 11, (state, sender, event) => (state + sender + event) % 11);
  const word = bytes.readBigUInt64LE(SETTINGS.transitions + 8 * (4 * 2 + 1));
  expect(Number((word >> 40n) & 15n)).toBe((10 + 2 + 1) % 11);
  expect(Number(word >> 60n)).toBe(15);
  const server = address('10.0.0.1');
  settings.setServers([server]);
  const bit = serverBit(server);
  expect(bytes[SETTINGS.servers + (bit >> 3)]).toBe(1 << (bit & 7));
});

test('what processors count is collected once', () => {
  const memory = new WatchedMemory();
  const counters = new ProcessorCounters(memory, 2, 64);
  const longs = memory.longs('counters');
  const field = (processor: number, destination: number, offset: number) =>
    ((processor * 64 + destination) * 64 + offset) / 8;
  const collected = () => {
    const all: (readonly [number, number[]])[] = [];
    for (let destination = 1; destination < 64; destination++)
      counters.collect(destination, (_, gained) => all.push([destination, [...gained]]));
    return all;
  };
  longs[field(0, 5, COUNTERS.inPackets)] = 3n;
  longs[field(1, 5, COUNTERS.inPackets)] = 4n;
  longs[field(1, 63, COUNTERS.outOctets)] = 2n ** 40n;
  expect(collected()).toEqual([
    [5, [0, 7, 0, 0, 0, 0, 0, 0]],
    [63, [0, 0, 0, 0, 2 ** 40, 0, 0, 0]],
  ]);
  longs[field(0, 5, COUNTERS.connections)] = 1n;
  expect(collected()).toEqual([[5, [1, 0, 0, 0, 0, 0, 0, 0]]]);
  expect(collected()).toEqual([]);
});
