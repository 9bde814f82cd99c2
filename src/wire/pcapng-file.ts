/** The pcapng file format, as far as one needs it to write packets with comments (draft-ietf-opsawg-pcapng). */

const SECTION_HEADER = 0x0a0d0d0a;
const INTERFACE_DESCRIPTION = 1;
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
  const body = new Uint8Array(20 + padded(octets.length));
  const view = new DataView(body.buffer);
  const stamp = Math.round(at * MICROSECONDS);
  view.setUint32(0, interfaceNumber, true);
  view.setUint32(4, Math.floor(stamp / TWO_TO_32), true);
  view.setUint32(8, stamp % TWO_TO_32, true);
  view.setUint32(12, octets.length, true);
  view.setUint32(16, octets.length, true);
  body.set(octets, 20);
  return block(ENHANCED_PACKET, body, [option(COMMENT, comment)]);
}
