import fc from 'fast-check';
import { expect, test } from 'vitest';
import {
  LINKTYPE_ETHERNET,
  LINKTYPE_RAW,
  PCAP_FILE_HEADER,
  PcapFileError,
  pcapHeader,
  pcapPacket,
  readPcap,
  readPcapHeader,
} from '../../src/wire/pcap-file.ts';

const hex = (text: string): Uint8Array =>
  Uint8Array.from(text.match(/../g)!, (octet) => Number.parseInt(octet, 16));
const concat = (parts: readonly Uint8Array[]): Uint8Array => {
  const whole = new Uint8Array(parts.reduce((length, part) => length + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
};

test.each<[string, string, boolean]>([
  ['little endian, as written on a PC', 'd4c3b2a1020004000000000000000000ffff000001000000', true],
  ['big endian', 'a1b2c3d400020004000000000000000000 00ffff00000001'.replaceAll(' ', ''), false],
])('the header of a file is read, %s', (_name, octets, littleEndian) =>
  expect(readPcapHeader(hex(octets))).toEqual({
    littleEndian,
    nanoseconds: false,
    linkType: LINKTYPE_ETHERNET,
    snaplen: 65535,
  }),
);

const form = fc.record({ littleEndian: fc.boolean(), nanoseconds: fc.boolean() });
const packets = fc.array(
  fc.record({
    at: fc.nat(4_000_000_000_000), // ms: before 2^32 s
    octets: fc.uint8Array({ maxLength: 100 }),
    more: fc.nat(2000),
  }),
  { maxLength: 8 },
);

test('a written file is read back, in every format', () =>
  fc.assert(
    fc.property(form, packets, (written, list) => {
      const file = concat([
        pcapHeader(LINKTYPE_RAW, { ...written, snaplen: 9000 }),
        ...list.map(({ at, octets, more }) => pcapPacket(octets, at, written, octets.length + more)),
      ]);
      expect(readPcapHeader(file)).toEqual({ ...written, linkType: LINKTYPE_RAW, snaplen: 9000 });
      const read = [...readPcap(file)];
      expect(read.map((packet) => [...packet.octets])).toEqual(list.map((packet) => [...packet.octets]));
      expect(read.map((packet) => packet.at)).toEqual(list.map((packet) => packet.at));
      expect(read.map((packet) => packet.originalLength)).toEqual(
        list.map((packet) => packet.octets.length + packet.more),
      );
    }),
  ));

test('fractions of a ms keep the precision of the format', () => {
  const read = (nanoseconds: boolean, at: number) => {
    const written = { nanoseconds };
    return [...readPcap(concat([pcapHeader(LINKTYPE_RAW, written), pcapPacket(hex('45'), at, written)]))][0]!
      .at;
  };
  expect(read(false, 1234.567)).toBe(1234.567);
  expect(read(true, 1234.567891)).toBe(1234.567891);
  expect(read(false, 1999.9999)).toBe(2000); // rounds up into the next second
});

test('a truncated file yields its whole packets, then the place of the truncation', () => {
  const file = concat([pcapHeader(LINKTYPE_RAW), pcapPacket(hex('450000'), 1), pcapPacket(hex('450001'), 2)]);
  const seen: number[] = [];
  const readAll = () => {
    for (const packet of readPcap(file.subarray(0, file.length - 1))) seen.push(packet.at);
  };
  expect(readAll).toThrow(PcapFileError);
  expect(readAll).toThrow(`a packet is truncated (at byte ${PCAP_FILE_HEADER + 16 + 3})`);
  expect(seen).toEqual([1, 1]);
});

test('an excessive length is refused, and no memory is allocated for it', () => {
  const file = concat([pcapHeader(LINKTYPE_RAW), pcapPacket(hex('45'), 0)]);
  new DataView(file.buffer).setUint32(PCAP_FILE_HEADER + 8, 0xffffffff, true);
  expect(() => [...readPcap(file)]).toThrow('invalid packet length 4294967295');
});

test('random bytes yield packets within the file or a PcapFileError', () =>
  fc.assert(
    fc.property(form, fc.uint8Array({ maxLength: 300 }), fc.boolean(), (written, noise, headed) => {
      const file = headed ? concat([pcapHeader(LINKTYPE_RAW, written), noise]) : noise;
      try {
        for (const { octets } of readPcap(file)) expect(octets.length).toBeLessThanOrEqual(file.length);
      } catch (error) {
        expect(error).toBeInstanceOf(PcapFileError);
      }
    }),
  ));

test('a file that is not pcap is recognized', () => {
  expect(() => readPcapHeader(hex('0a0d0d0a1c0000004d3c2b1a01000000ffffffffffffffff'))).toThrow('pcapng');
  expect(() => readPcapHeader(hex('d4c3b2a1'))).toThrow('the file header is truncated');
  expect(() => readPcapHeader(hex('d4c3b2a1030004000000000000000000ffff000001000000'))).toThrow('version 3');
});
