import fc from 'fast-check';
import { expect, test } from 'vitest';
import { LINKTYPE_RAW } from '../../src/wire/pcap-file.ts';
import { pcapngHeader, pcapngPacket } from '../../src/wire/pcapng-file.ts';

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

test('a header, then one block an interface', () => {
  const [section, ...interfaces] = blocksOf(pcapngHeader(LINKTYPE_RAW, ['received', 'sent']));
  expect([section!.type, section!.body.getUint32(0, true)]).toEqual([0x0a0d0d0a, 0x1a2b3c4d]);
  expect(interfaces.map(({ type, body }) => [type, body.getUint16(0, true)])).toEqual([
    [1, LINKTYPE_RAW],
    [1, LINKTYPE_RAW],
  ]);
});

test('packets of any length with any comment at any time', () => {
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
