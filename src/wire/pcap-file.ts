/** The pcap file format (draft-ietf-opsawg-pcap): reads files of any byte order, writes little endian. */

/** Link types (the IANA registry of the draft): the header with which packets begin. */
export const LINKTYPE_ETHERNET = 1;
export const LINKTYPE_RAW = 101;
export const LINKTYPE_LINUX_SLL = 113;
export const LINKTYPE_IPV4 = 228;
export const LINKTYPE_IPV6 = 229;
export const LINKTYPE_LINUX_SLL2 = 276;

/** Bytes of the file header and of a packet header. */
export const PCAP_FILE_HEADER = 24;
export const PCAP_PACKET_HEADER = 16;

/** Timestamps in microseconds, and in nanoseconds. Read with the wrong byte order they appear reversed. */
const MAGIC_MICROSECONDS = 0xa1b2c3d4;
const MAGIC_NANOSECONDS = 0xa1b23c4d;
const VERSION_MAJOR = 2;
const VERSION_MINOR = 4;
/** Bytes of the longest packet that is accepted, as in libpcap (MAXIMUM_SNAPLEN). */
const MAX_CAPTURE = 262_144;

/* Offsets in the file header. */
const MAJOR = 4;
const MINOR = 6;
const SNAPLEN = 16;
const LINKTYPE = 20;
/** The low bits of the link type word; the others describe frame check sequences. */
const LINKTYPE_MASK = 0xffff;

/* Offsets in a packet header. */
const SECONDS = 0;
const FRACTION = 4;
const CAPTURED = 8;
const ORIGINAL = 12;

/** An invalid pcap file, with the offset of the problem. */
export class PcapFileError extends Error {
  /** Bytes from the beginning of the file. */
  readonly offset: number;
  constructor(reason: string, offset: number) {
    super(`pcap file: ${reason} (at byte ${offset})`);
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
  /** Bytes; longer packets were truncated to this. */
  readonly snaplen: number;
}

/** One packet of a file. */
export interface PcapPacket {
  /** When the packet was received, ms since 1970. */
  readonly at: number;
  /** The captured part: a view of the file's bytes. */
  readonly octets: Uint8Array;
  /** Length on the wire, bytes. */
  readonly originalLength: number;
}

const viewOf = (file: Uint8Array): DataView => new DataView(file.buffer, file.byteOffset, file.byteLength);

/** Reads the file header; throws PcapFileError. */
export function readPcapHeader(file: Uint8Array): PcapFileHeader {
  if (file.length < PCAP_FILE_HEADER) throw new PcapFileError('the file header is truncated', file.length);
  const view = viewOf(file);
  const littleEndian = isMagic(view.getUint32(0, true));
  const magic = view.getUint32(0, littleEndian);
  if (!isMagic(magic)) throw new PcapFileError('not a pcap file (pcapng is another format)', 0);
  const major = view.getUint16(MAJOR, littleEndian);
  if (major !== VERSION_MAJOR) throw new PcapFileError(`version ${major} is not supported`, MAJOR);
  return {
    littleEndian,
    nanoseconds: magic === MAGIC_NANOSECONDS,
    linkType: view.getUint32(LINKTYPE, littleEndian) & LINKTYPE_MASK,
    snaplen: view.getUint32(SNAPLEN, littleEndian),
  };
}

const isMagic = (word: number): boolean => word === MAGIC_MICROSECONDS || word === MAGIC_NANOSECONDS;

/**
 * Yields the packets of a file, one by one. Throws PcapFileError at a packet that is truncated or has an
 * impossible length, after it yielded those before it.
 */
export function* readPcap(file: Uint8Array): Generator<PcapPacket, void, void> {
  const { littleEndian, nanoseconds } = readPcapHeader(file);
  const view = viewOf(file);
  const fractionsPerMs = nanoseconds ? 1e6 : 1e3;
  let at = PCAP_FILE_HEADER;
  while (at < file.length) {
    if (file.length - at < PCAP_PACKET_HEADER) throw new PcapFileError('a packet header is truncated', at);
    const captured = view.getUint32(at + CAPTURED, littleEndian);
    const octets = at + PCAP_PACKET_HEADER;
    if (captured > MAX_CAPTURE)
      throw new PcapFileError(`invalid packet length ${captured}: expected at most ${MAX_CAPTURE}`, at);
    if (captured > file.length - octets) throw new PcapFileError('a packet is truncated', at);
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

/** Returns the file header for this link type, by default little endian with microseconds. */
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

/**
 * Returns a packet as stored in a file, header and bytes; `at`: ms since 1970. `form` must match the file
 * header.
 */
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
