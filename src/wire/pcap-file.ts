/** The pcap file format (draft-ietf-opsawg-pcap): reading files of anybody's making, writing our own. */

/** Link types (the IANA registry of the draft): what the packets of a file begin with. */
export const LINKTYPE_ETHERNET = 1;
export const LINKTYPE_RAW = 101;
export const LINKTYPE_LINUX_SLL = 113;
export const LINKTYPE_IPV4 = 228;
export const LINKTYPE_IPV6 = 229;
export const LINKTYPE_LINUX_SLL2 = 276;

/** Octets of the file's header and of that of a packet. */
export const PCAP_FILE_HEADER = 24;
export const PCAP_PACKET_HEADER = 16;

/** Stamps in microseconds; the other in nanoseconds. Read in the wrong endianness they come out reversed. */
const MAGIC_MICROSECONDS = 0xa1b2c3d4;
const MAGIC_NANOSECONDS = 0xa1b23c4d;
const VERSION_MAJOR = 2;
const VERSION_MINOR = 4;
/** The longest capture that is believed, octets: what libpcap itself takes (MAXIMUM_SNAPLEN). */
const MAX_CAPTURE = 262_144;

/* Offsets in the file's header. */
const MAJOR = 4;
const MINOR = 6;
const SNAPLEN = 16;
const LINKTYPE = 20;
/** The low bits of the link type word; the rest tells of frame check sequences. */
const LINKTYPE_MASK = 0xffff;

/* Offsets in a packet's header. */
const SECONDS = 0;
const FRACTION = 4;
const CAPTURED = 8;
const ORIGINAL = 12;

/** What is wrong with a file, and where. */
export class PcapFileError extends Error {
  /** Octets from the beginning of the file. */
  readonly offset: number;
  constructor(reason: string, offset: number) {
    super(`pcap file: ${reason} at octet ${offset}`);
    this.name = 'PcapFileError';
    this.offset = offset;
  }
}

/** The file's header. */
export interface PcapFileHeader {
  readonly littleEndian: boolean;
  readonly nanoseconds: boolean;
  /** LINKTYPE_... */
  readonly linkType: number;
  /** Octets; packets were cut to this. */
  readonly snaplen: number;
}

/** One packet of a file. */
export interface PcapPacket {
  /** When it was heard, ms since 1970. */
  readonly at: number;
  /** What was captured of it: a view of the file's octets. */
  readonly octets: Uint8Array;
  /** Octets it had on the wire. */
  readonly originalLength: number;
}

const viewOf = (file: Uint8Array): DataView => new DataView(file.buffer, file.byteOffset, file.byteLength);

/** Reads the file's header; throws PcapFileError. */
export function readPcapHeader(file: Uint8Array): PcapFileHeader {
  if (file.length < PCAP_FILE_HEADER) throw new PcapFileError('the header is not whole', file.length);
  const view = viewOf(file);
  const littleEndian = isMagic(view.getUint32(0, true));
  const magic = view.getUint32(0, littleEndian);
  if (!isMagic(magic)) throw new PcapFileError('not a pcap file (pcapng is another format)', 0);
  const major = view.getUint16(MAJOR, littleEndian);
  if (major !== VERSION_MAJOR) throw new PcapFileError(`unknown version ${major}`, MAJOR);
  return {
    littleEndian,
    nanoseconds: magic === MAGIC_NANOSECONDS,
    linkType: view.getUint32(LINKTYPE, littleEndian) & LINKTYPE_MASK,
    snaplen: view.getUint32(SNAPLEN, littleEndian),
  };
}

const isMagic = (word: number): boolean => word === MAGIC_MICROSECONDS || word === MAGIC_NANOSECONDS;

/**
 * The packets of a file, one by one as they are asked for. Throws PcapFileError at the packet that is not whole or
 * claims an impossible length; those before it have been given.
 */
export function* readPcap(file: Uint8Array): Generator<PcapPacket, void, void> {
  const { littleEndian, nanoseconds } = readPcapHeader(file);
  const view = viewOf(file);
  const fractionsPerMs = nanoseconds ? 1e6 : 1e3;
  let at = PCAP_FILE_HEADER;
  while (at < file.length) {
    if (file.length - at < PCAP_PACKET_HEADER)
      throw new PcapFileError('the header of a packet is not whole', at);
    const captured = view.getUint32(at + CAPTURED, littleEndian);
    const octets = at + PCAP_PACKET_HEADER;
    if (captured > MAX_CAPTURE) throw new PcapFileError(`a packet of ${captured} octets is not believed`, at);
    if (captured > file.length - octets) throw new PcapFileError('a packet is not whole', at);
    yield {
      at:
        view.getUint32(at + SECONDS, littleEndian) * 1000 +
        view.getUint32(at + FRACTION, littleEndian) / fractionsPerMs,
      octets: file.subarray(octets, octets + captured),
      originalLength: view.getUint32(at + ORIGINAL, littleEndian),
    };
    at = octets + captured;
  }
}

/** The header of a file whose packets have this link type, in our own form: little endian, microseconds. */
export function pcapHeader(
  linkType: number,
  form: Partial<Omit<PcapFileHeader, 'linkType'>> = {},
): Uint8Array<ArrayBuffer> {
  const { littleEndian = true, nanoseconds = false, snaplen = MAX_CAPTURE } = form;
  const header = new Uint8Array(PCAP_FILE_HEADER);
  const view = viewOf(header);
  view.setUint32(0, nanoseconds ? MAGIC_NANOSECONDS : MAGIC_MICROSECONDS, littleEndian);
  view.setUint16(MAJOR, VERSION_MAJOR, littleEndian);
  view.setUint16(MINOR, VERSION_MINOR, littleEndian);
  view.setUint32(SNAPLEN, snaplen, littleEndian);
  view.setUint32(LINKTYPE, linkType, littleEndian);
  return header;
}

/** A packet as a file holds it, header and octets; `at`: ms since 1970. `form` has to be that of the file's header. */
export function pcapPacket(
  octets: Uint8Array,
  at: number,
  form: Partial<Pick<PcapFileHeader, 'littleEndian' | 'nanoseconds'>> = {},
  originalLength = octets.length,
): Uint8Array<ArrayBuffer> {
  const { littleEndian = true, nanoseconds = false } = form;
  const record = new Uint8Array(PCAP_PACKET_HEADER + octets.length);
  const view = viewOf(record);
  const perSecond = nanoseconds ? 1e9 : 1e6;
  let seconds = Math.floor(at / 1000);
  let fraction = Math.round(((at - seconds * 1000) / 1000) * perSecond);
  if (fraction === perSecond) {
    seconds++;
    fraction = 0;
  }
  view.setUint32(SECONDS, seconds, littleEndian);
  view.setUint32(FRACTION, fraction, littleEndian);
  view.setUint32(CAPTURED, octets.length, littleEndian);
  view.setUint32(ORIGINAL, originalLength, littleEndian);
  record.set(octets, PCAP_PACKET_HEADER);
  return record;
}
