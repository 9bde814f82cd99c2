/** Synchronization messages: what is written is read, and nothing can make a reader fail. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { SyncEntry } from '../../src/sync/entry.ts';
import * as v0 from '../../src/sync/message-v0.ts';
import * as v1 from '../../src/sync/message-v1.ts';
import { formatAddress, parseAddress } from '../../src/wire/address.ts';

const word = fc.integer({ min: 0, max: 0xffff_ffff });
const half = fc.integer({ min: 0, max: 0xffff });
const octet = fc.integer({ min: 0, max: 0xff });
const latin = (max: number) =>
  fc.array(octet, { minLength: 1, maxLength: max }).map((all) => String.fromCharCode(...all));
const ports = { cport: half, vport: half, dport: half };
const addresses = (family: 4 | 6) => {
  const address =
    family === 4 ? word.map((last) => [0, 0, 0xffff, last]) : fc.array(word, { minLength: 4, maxLength: 4 });
  return { caddr: address, vaddr: address, daddr: address };
};
const sequences = fc.array(word, { minLength: 6, maxLength: 6 });
const engines = fc.option(fc.record({ engine: latin(16), engineData: latin(255) }), { nil: undefined });
const entryV1 = fc.constantFrom(4 as const, 6 as const).chain((family) =>
  fc.record({
    ...{ family: fc.constant(family), protocol: octet, flags: word, state: half, mark: word, timeout: word },
    ...ports,
    ...addresses(family),
    ...{ sequences, engines },
  }),
);
const entryV0 = fc.record({
  ...{ family: fc.constant(4 as const), protocol: octet, flags: half, state: half },
  ...{ mark: fc.constant(0), timeout: fc.constant(0) },
  ...ports,
  ...addresses(4),
  ...{ sequences, engines: fc.constant(undefined) },
});

type Values = typeof entryV1 extends fc.Arbitrary<infer T> ? T : never;

function entryOf({ engines: engine, caddr, vaddr, daddr, sequences: numbers, ...rest }: Values): SyncEntry {
  const entry = Object.assign(new SyncEntry(), rest, engine);
  entry.caddr.set(caddr);
  entry.vaddr.set(vaddr);
  entry.daddr.set(daddr);
  if ((rest.flags & 0x600) !== 0) entry.sequences.set(numbers);
  return entry;
}

function write(codec: typeof v0 | typeof v1, entries: readonly SyncEntry[]): Buffer {
  const into = Buffer.alloc(65_507);
  let at: number = codec.HEADER_BYTES;
  for (const entry of entries) {
    if (codec === v1) at += v1.paddingAfter(at);
    codec.writeEntry(into, at, entry);
    at += codec.entryBytes(entry);
  }
  codec.writeHeader(into, 7, at, entries.length);
  return into.subarray(0, at);
}

/** Reads all entries of a message. */
function read(message: Buffer) {
  const taken: SyncEntry[] = [];
  let skipped = 0;
  const entry = new SyncEntry();
  const take = () => {
    const copy = Object.assign(new SyncEntry(), entry, {
      caddr: entry.caddr.slice(),
      vaddr: entry.vaddr.slice(),
      daddr: entry.daddr.slice(),
      sequences: (entry.flags & 0x600) !== 0 ? entry.sequences.slice() : new Uint32Array(6),
    });
    taken.push(copy);
  };
  const isWhole =
    message[0] === 0
      ? v1.readEntries(message, entry, take, () => skipped++)
      : v0.readEntries(message, entry, take);
  return { taken, skipped, isWhole };
}

describe('version 1', () => {
  test('an entry of the kernel is read', () => {
    const message = Buffer.from(
      '0007002c010100000006002400000000000103e800501f9000000000000003840a00000a0a0900010a01000b',
      'hex',
    );
    const [entry] = read(message).taken;
    expect(entry).toMatchObject({ family: 4, protocol: 6, flags: 0, state: 1, cport: 1000, vport: 80 });
    expect(entry).toMatchObject({ dport: 8080, mark: 0, timeout: 900 });
    expect([entry!.caddr, entry!.vaddr, entry!.daddr].map(formatAddress)).toEqual([
      '10.0.0.10',
      '10.9.0.1',
      '10.1.0.11',
    ]);
    expect(write(v1, [entry!]).toString('hex')).toBe(message.toString('hex'));
  });

  test('what is written is read', () => {
    fc.assert(
      fc.property(fc.array(entryV1, { maxLength: 40 }), (values) => {
        const entries = values.map(entryOf);
        expect(read(write(v1, entries))).toEqual({ taken: entries, skipped: 0, isWhole: true });
      }),
    );
  });

  test('an entry with an unknown option is skipped alone, one that may be ignored is taken', () => {
    const entry = new SyncEntry();
    for (const address of [entry.caddr, entry.vaddr, entry.daddr]) address.set(parseAddress('10.0.0.1')!);
    const plain = write(v1, [entry, entry]);
    const withOption = (type: number) => {
      const message = Buffer.concat([
        plain.subarray(0, 44),
        Buffer.from([type, 2, 0, 0]),
        plain.subarray(44),
      ]);
      message.writeUInt16BE(40, v1.HEADER_BYTES + 2);
      return read(message);
    };
    expect(withOption(9)).toMatchObject({ taken: [entry], skipped: 1, isWhole: true });
    expect(withOption(0x49)).toMatchObject({ taken: [entry, entry], skipped: 0, isWhole: true });
  });
});

test('version 0: what is written is read', () => {
  fc.assert(
    fc.property(fc.array(entryV0, { minLength: 1, maxLength: 40 }), (values) => {
      const entries = values.map(entryOf);
      expect(read(write(v0, entries))).toEqual({ taken: entries, skipped: 0, isWhole: true });
    }),
  );
});

test('no bytes make a reader fail or read more entries than the header counts', () => {
  const header = fc.constantFrom('', '0007002c01010000', '0007ffffff010000', 'ff07ffff', '02070034');
  const bytes = fc.tuple(header, fc.uint8Array({ maxLength: 400 }));
  fc.assert(
    fc.property(bytes, ([head, rest]) => {
      const message = Buffer.concat([Buffer.from(head, 'hex'), rest]);
      if (message.length < v1.HEADER_BYTES) return;
      const { taken, skipped } = read(message);
      expect(taken.length + skipped).toBeLessThanOrEqual(message[0] === 0 ? message[4]! : message[0]!);
    }),
    { numRuns: 2000 },
  );
});
