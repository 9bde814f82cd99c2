/** The pcapng file format, as far as one needs it to write packets with comments and to read packets (draft-ietf-opsawg-pcapng). */
import { PcapFileError } from './pcap-file.ts';

const SECTION_HEADER = 0x0a0d0d0a;
const INTERFACE_DESCRIPTION = 1;
const SIMPLE_PACKET = 3;
const ENHANCED_PACKET = 6;
/** Tells the reader our byte order, which is little endian. */
const BYTE_ORDER = 0x1a2b3c4d;
const VERSION_MAJOR = 1;
/** Length of a section that is not known beforehand: -1 in 64 bits. */
const UNKNOWN = 0xffffffff;
/** Options: the end of them, a comment on anything, an interface's name. */
const END_OF_OPTIONS = 0;
const COMMENT = 1;
const INTERFACE_NAME = 2;
/** Octets of an option's code and length. */
const OPTION_HEADER = 4;
/** The longest comment, octets: an option's length is 16 bits, and a multiple of 4 has to be below that. */
const MAX_COMMENT = 65_000;
/** Octets around a block's body: type and length before, length after. */
const BLOCK_FRAME = 12;
/** Octets of a packet's block before the packet, and of a simple one's. */
const PACKET_BODY = 20;
const SIMPLE_BODY = 4;
const MICROSECONDS = 1000;
const TWO_TO_32 = 2 ** 32;

const padded = (octets: number): number => (octets + 3) & ~3;

/** An option: code, length, text, padding. */
function option(code: number, text: string): Uint8Array {
  const octets = new TextEncoder().encode(text).subarray(0, MAX_COMMENT);
  const whole = new Uint8Array(OPTION_HEADER + padded(octets.length));
  const view = new DataView(whole.buffer);
  view.setUint16(0, code, true);
  view.setUint16(2, octets.length, true);
  whole.set(octets, OPTION_HEADER);
  return whole;
}

function block(type: number, body: Uint8Array, options: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const all = options.length > 0 ? [...options, option(END_OF_OPTIONS, '')] : [];
  const length = BLOCK_FRAME + body.length + all.reduce((sum, each) => sum + each.length, 0);
  const whole = new Uint8Array(length);
  const view = new DataView(whole.buffer);
  view.setUint32(0, type, true);
  view.setUint32(4, length, true);
  let at = 8;
  for (const part of [body, ...all]) {
    whole.set(part, at);
    at += part.length;
  }
  view.setUint32(at, length, true);
  return whole;
}

/** One packet of a file. */
export interface PcapngPacket {
  /** LINKTYPE_... of the interface that it was heard at. */
  readonly linkType: number;
  /** What was captured of it: a view of the file's octets. */
  readonly octets: Uint8Array;
  /** Octets it had on the wire. */
  readonly originalLength: number;
}

export const isPcapng = (file: Uint8Array): boolean =>
  file.length >= 4 && viewOf(file).getUint32(0) === SECTION_HEADER;

const viewOf = (file: Uint8Array): DataView => new DataView(file.buffer, file.byteOffset, file.byteLength);

/** An interface of a section. */
interface Interface {
  readonly linkType: number;
  /** Most octets of a packet that were kept; 0: all. */
  readonly snaplen: number;
}

/** The packets of enhanced and simple blocks, one by one. Throws PcapFileError where a block is not whole. */
export function* readPcapng(file: Uint8Array): Generator<PcapngPacket, void, void> {
  const view = viewOf(file);
  let littleEndian = true;
  let interfaces: Interface[] = [];
  for (let at = 0; at < file.length; ) {
    if (file.length - at < BLOCK_FRAME) throw new PcapFileError('the header of a block is not whole', at);
    const type = view.getUint32(at, littleEndian);
    if (type === SECTION_HEADER) {
      littleEndian = view.getUint32(at + 8, true) === BYTE_ORDER;
      if (!littleEndian && view.getUint32(at + 8) !== BYTE_ORDER)
        throw new PcapFileError('a section of no byte order', at);
      interfaces = [];
    }
    const length = view.getUint32(at + 4, littleEndian);
    if (length < BLOCK_FRAME || length % 4 !== 0 || length > file.length - at)
      throw new PcapFileError('a block is not whole', at);
    const room = length - BLOCK_FRAME;
    const word = (offset: number): number => view.getUint32(at + offset, littleEndian);
    if (type === INTERFACE_DESCRIPTION && room >= 8)
      interfaces.push({ linkType: view.getUint16(at + 8, littleEndian), snaplen: word(12) });
    const isSimple = type === SIMPLE_PACKET && room >= SIMPLE_BODY;
    if (isSimple || (type === ENHANCED_PACKET && room >= PACKET_BODY)) {
      // A simple block is always of the first interface, and does not say what was kept.
      const from = interfaces[isSimple ? 0 : word(8)];
      if (from === undefined) throw new PcapFileError('a packet of no interface', at);
      const originalLength = word(isSimple ? 8 : 24);
      const captured = isSimple ? Math.min(originalLength, from.snaplen || originalLength) : word(20);
      const body = isSimple ? SIMPLE_BODY : PACKET_BODY;
      if (captured > room - body) throw new PcapFileError('a packet is not whole', at);
      const octets = at + 8 + body;
      yield {
        linkType: from.linkType,
        octets: file.subarray(octets, octets + captured),
        originalLength,
      };
    }
    at += length;
  }
}

/** A file's beginning: `interfaces` by name, numbered from 0, all with packets of this link type. */
export function pcapngHeader(linkType: number, interfaces: readonly string[]): Uint8Array<ArrayBuffer> {
  const section = new DataView(new ArrayBuffer(16));
  section.setUint32(0, BYTE_ORDER, true);
  section.setUint16(4, VERSION_MAJOR, true);
  section.setUint32(8, UNKNOWN, true);
  section.setUint32(12, UNKNOWN, true);
  const description = new DataView(new ArrayBuffer(8));
  description.setUint16(0, linkType, true);
  const blocks = [
    block(SECTION_HEADER, new Uint8Array(section.buffer), []),
    ...interfaces.map((name) =>
      block(INTERFACE_DESCRIPTION, new Uint8Array(description.buffer), [option(INTERFACE_NAME, name)]),
    ),
  ];
  return new Uint8Array(Buffer.concat(blocks));
}

/** A whole packet on an interface, with a comment. `at`: ms since 1970. */
export function pcapngPacket(
  octets: Uint8Array,
  at: number,
  interfaceNumber: number,
  comment: string,
): Uint8Array<ArrayBuffer> {
  const body = new Uint8Array(PACKET_BODY + padded(octets.length));
  const view = new DataView(body.buffer);
  const stamp = Math.round(at * MICROSECONDS);
  view.setUint32(0, interfaceNumber, true);
  view.setUint32(4, Math.floor(stamp / TWO_TO_32), true);
  view.setUint32(8, stamp % TWO_TO_32, true);
  view.setUint32(12, octets.length, true);
  view.setUint32(16, octets.length, true);
  body.set(octets, PACKET_BODY);
  return block(ENHANCED_PACKET, body, [option(COMMENT, comment)]);
}
