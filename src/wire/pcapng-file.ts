/** The pcapng file format (draft-ietf-opsawg-pcapng): writes packets with comments, and reads packets. */
import { PcapFileError } from './pcap-file.ts';

const SECTION_HEADER = 0x0a0d0d0a;
const INTERFACE_DESCRIPTION = 1;
const SIMPLE_PACKET = 3;
const ENHANCED_PACKET = 6;
/** Indicates the byte order, here little endian. */
const BYTE_ORDER = 0x1a2b3c4d;
const VERSION_MAJOR = 1;
/** Length of a section that is not known in advance: -1 in 64 bits. */
const UNKNOWN = 0xffffffff;
/** Options: the end of options, a comment, an interface's name. */
const END_OF_OPTIONS = 0;
const COMMENT = 1;
const INTERFACE_NAME = 2;
/** Bytes of an option's code and length. */
const OPTION_HEADER = 4;
/** Bytes of the longest comment: an option's length is 16 bits, and the padded length must fit too. */
const MAX_COMMENT = 65_000;
/** Bytes around a block's body: type and length before, length after. */
const BLOCK_FRAME = 12;
/** Bytes of a packet block before the packet, and of a simple packet block. */
const PACKET_BODY = 20;
const SIMPLE_BODY = 4;
const MICROSECONDS = 1000;
const TWO_TO_32 = 2 ** 32;

const padded = (octets: number): number => (octets + 3) & ~3;

/** Returns an option: code, length, text, padding. */
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
  /** LINKTYPE_... of the interface that received the packet. */
  readonly linkType: number;
  /** The captured part: a view of the file's bytes. */
  readonly octets: Uint8Array;
  /** Length on the wire, bytes. */
  readonly originalLength: number;
}

export const isPcapng = (file: Uint8Array): boolean =>
  file.length >= 4 && viewOf(file).getUint32(0) === SECTION_HEADER;

const viewOf = (file: Uint8Array): DataView => new DataView(file.buffer, file.byteOffset, file.byteLength);

/** An interface of a section. */
interface Interface {
  readonly linkType: number;
  /** Bytes to which packets were truncated; 0: not truncated. */
  readonly snaplen: number;
}

/**
 * Yields the packets of enhanced and simple blocks, one by one. Throws PcapFileError at a truncated block.
 */
export function* readPcapng(file: Uint8Array): Generator<PcapngPacket, void, void> {
  const view = viewOf(file);
  let littleEndian = true;
  let interfaces: Interface[] = [];
  for (let at = 0; at < file.length; ) {
    if (file.length - at < BLOCK_FRAME) throw new PcapFileError('a block header is truncated', at);
    const type = view.getUint32(at, littleEndian);
    if (type === SECTION_HEADER) {
      littleEndian = view.getUint32(at + 8, true) === BYTE_ORDER;
      if (!littleEndian && view.getUint32(at + 8) !== BYTE_ORDER)
        throw new PcapFileError('a section has an invalid byte order mark', at);
      interfaces = [];
    }
    const length = view.getUint32(at + 4, littleEndian);
    if (length < BLOCK_FRAME || length % 4 !== 0 || length > file.length - at)
      throw new PcapFileError('a block is truncated', at);
    const room = length - BLOCK_FRAME;
    const word = (offset: number): number => view.getUint32(at + offset, littleEndian);
    if (type === INTERFACE_DESCRIPTION && room >= 8)
      interfaces.push({ linkType: view.getUint16(at + 8, littleEndian), snaplen: word(12) });
    const isSimple = type === SIMPLE_PACKET && room >= SIMPLE_BODY;
    if (isSimple || (type === ENHANCED_PACKET && room >= PACKET_BODY)) {
      // A simple block always belongs to the first interface, and does not state its captured length.
      const from = interfaces[isSimple ? 0 : word(8)];
      if (from === undefined)
        throw new PcapFileError('a packet refers to an interface that was not found', at);
      const originalLength = word(isSimple ? 8 : 24);
      const captured = isSimple ? Math.min(originalLength, from.snaplen || originalLength) : word(20);
      const body = isSimple ? SIMPLE_BODY : PACKET_BODY;
      if (captured > room - body) throw new PcapFileError('a packet is truncated', at);
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

/** Returns a file's first blocks: `interfaces` by name, numbered from 0, all with this link type. */
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

/** Returns a complete packet on an interface, with a comment. `at`: ms since 1970. */
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
