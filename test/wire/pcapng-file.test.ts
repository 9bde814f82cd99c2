import fc from 'fast-check';
import { expect, test } from 'vitest';
import { LINKTYPE_RAW, PcapFileError } from '../../src/wire/pcap-file.ts';
import { isPcapng, pcapngHeader, pcapngPacket, readPcapng } from '../../src/wire/pcapng-file.ts';

interface Block {
  readonly type: number;
  readonly body: DataView;
}

/** The blocks of a file, read by the lengths before them, which have to be those behind them. */
function blocksOf(file: Uint8Array): Block[] {
  const view = new DataView(file.buffer, file.byteOffset, file.byteLength);
  const blocks: Block[] = [];
  for (let at = 0; at < file.length; ) {
    const length = view.getUint32(at + 4, true);
    expect(length % 4).toBe(0);
    expect(view.getUint32(at + length - 4, true)).toBe(length);
    blocks.push({
      type: view.getUint32(at, true),
      body: new DataView(file.buffer, file.byteOffset + at + 8, length - 12),
    });
    at += length;
  }
  return blocks;
}

test('a file has a header, then one block per interface', () => {
  const [section, ...interfaces] = blocksOf(pcapngHeader(LINKTYPE_RAW, ['received', 'sent']));
  expect([section!.type, section!.body.getUint32(0, true)]).toEqual([0x0a0d0d0a, 0x1a2b3c4d]);
  expect(interfaces.map(({ type, body }) => [type, body.getUint16(0, true)])).toEqual([
    [1, LINKTYPE_RAW],
    [1, LINKTYPE_RAW],
  ]);
});

test('packets of any length are written with any comment at any time', () => {
  fc.assert(
    fc.property(
      fc.uint8Array({ maxLength: 100 }),
      fc.string({ unit: 'grapheme' }),
      fc.integer({ min: 0, max: 4e12 }),
      (octets, comment, at) => {
        const [block, ...others] = blocksOf(pcapngPacket(octets, at, 1, comment));
        const { body, type } = block!;
        expect([type, others.length, body.getUint32(0, true)]).toEqual([6, 0, 1]);
        expect((body.getUint32(4, true) * 2 ** 32 + body.getUint32(8, true)) / 1000).toBe(at);
        const length = body.getUint32(12, true);
        const octetsAt = body.byteOffset + 20;
        expect(new Uint8Array(body.buffer, octetsAt, length)).toEqual(octets);
        const option = 20 + Math.ceil(length / 4) * 4;
        const text = new Uint8Array(
          body.buffer,
          body.byteOffset + option + 4,
          body.getUint16(option + 2, true),
        );
        expect(new TextDecoder('utf-8', { ignoreBOM: true }).decode(text)).toBe(comment);
      },
    ),
  );
});

test('a written file is read back', () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.uint8Array({ maxLength: 60 }), fc.string())), (packets) => {
      const file = Buffer.concat([
        pcapngHeader(LINKTYPE_RAW, ['a', 'b']),
        ...packets.map(([octets, comment], i) => pcapngPacket(octets, i, i % 2, comment)),
      ]);
      expect(isPcapng(file)).toBe(true);
      expect([...readPcapng(file)].map(({ octets }) => Uint8Array.from(octets))).toEqual(
        packets.map(([octets]) => octets),
      );
    }),
  );
});

test('simple packet blocks are read: of the first interface, truncated to its snaplen', () => {
  const header = pcapngHeader(LINKTYPE_RAW, ['a']);
  // The snaplen of the only interface, whose block follows a section's of 28 octets.
  new DataView(header.buffer).setUint32(28 + 12, 6, true);
  const simple = (originalLength: number, octets: string) => {
    const block = Buffer.alloc(24);
    block.writeUInt32LE(3, 0);
    block.writeUInt32LE(24, 4);
    block.writeUInt32LE(originalLength, 8);
    block.write(octets, 12);
    block.writeUInt32LE(24, 20);
    return block;
  };
  const file = Buffer.concat([header, simple(60, 'abcdef'), simple(3, 'xyz')]);
  const read = [...readPcapng(file)].map(({ octets, originalLength, linkType }) => ({
    text: Buffer.from(octets).toString(),
    originalLength,
    linkType,
  }));
  expect(read).toEqual([
    { text: 'abcdef', originalLength: 60, linkType: LINKTYPE_RAW },
    { text: 'xyz', originalLength: 3, linkType: LINKTYPE_RAW },
  ]);
});

test('a damaged file is read up to the damage, or refused', () => {
  const whole = Buffer.concat([
    pcapngHeader(LINKTYPE_RAW, ['a']),
    pcapngPacket(new Uint8Array(40), 0, 0, 'x'),
  ]);
  const place = fc.integer({ min: 0, max: whole.length - 1 });
  fc.assert(
    fc.property(fc.array(fc.tuple(place, fc.nat(255))), fc.nat(whole.length), (changes, length) => {
      const file = Uint8Array.from(whole).subarray(0, length);
      for (const [at, octet] of changes) if (at < length) file[at] = octet;
      try {
        for (const { octets } of readPcapng(file)) expect(octets.length).toBeLessThanOrEqual(length);
      } catch (error) {
        if (!(error instanceof PcapFileError)) throw error;
      }
    }),
    { numRuns: 2000 },
  );
});
