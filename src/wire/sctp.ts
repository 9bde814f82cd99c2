/** The SCTP common header and its first chunk (RFC 9260), and the CRC32c of a packet. */
import type { Frame } from './frame.ts';
import { DST_PORT, dstPort, SRC_PORT, srcPort } from './ports.ts';

/** IP protocol number of SCTP. */
export const SCTP = 132;
/** Bytes of the common header. */
export const SCTP_HEADER = 12;
/** Bytes of a chunk's header. */
export const SCTP_CHUNK_HEADER = 4;

/* Chunk types (RFC 9260 section 3.2). */
export const SCTP_DATA = 0;
export const SCTP_INIT = 1;
export const SCTP_INIT_ACK = 2;
export const SCTP_SACK = 3;
export const SCTP_HEARTBEAT = 4;
export const SCTP_HEARTBEAT_ACK = 5;
export const SCTP_ABORT = 6;
export const SCTP_SHUTDOWN = 7;
export const SCTP_SHUTDOWN_ACK = 8;
export const SCTP_ERROR = 9;
export const SCTP_COOKIE_ECHO = 10;
export const SCTP_COOKIE_ACK = 11;
export const SCTP_SHUTDOWN_COMPLETE = 14;

/* Offsets from the header's first byte. */
const VERIFICATION_TAG = 4;
/** Offset of the checksum. */
export const SCTP_CHECKSUM = 8;
const FIRST_CHUNK = 12;
/** Offset from a chunk's first byte. */
const CHUNK_LENGTH = 2;

/** Polynomial of CRC32c, bits reversed (RFC 9260 appendix A). */
const CASTAGNOLI = 0x82f63b78;

const CRC_TABLE = new Int32Array(256);
for (let octet = 0; octet < 256; octet++) {
  let crc = octet;
  for (let bit = 0; bit < 8; bit++) crc = (crc & 1) !== 0 ? (crc >>> 1) ^ CASTAGNOLI : crc >>> 1;
  CRC_TABLE[octet] = crc;
}

const advance = (crc: number, octet: number): number => CRC_TABLE[(crc ^ octet) & 0xff]! ^ (crc >>> 8);

/** Returns the CRC32c of bytes[from, to), 0..2^32-1. */
export function crc32c(bytes: Uint8Array, from = 0, to = bytes.length): number {
  let crc = -1;
  for (let i = from; i < to; i++) crc = advance(crc, bytes[i]!);
  return ~crc >>> 0;
}

/** Reports whether every accessor of `sctp` but the first chunk's is safe at `at`. */
export const isSctp = (at: number, end: number): boolean => end - at >= SCTP_HEADER;

/** Accessors; `at` is the offset of the common header in the frame. */
export const sctp = {
  srcPort,
  dstPort,
  verificationTag: (frame: Frame, at: number) => frame.view.getUint32(at + VERIFICATION_TAG),
  /**
   * Returns the checksum in the form of `computeChecksum`: this field is little endian, unlike all others.
   */
  checksum: (frame: Frame, at: number) => frame.view.getUint32(at + SCTP_CHECKSUM, true),
  /** Returns the type of the first chunk; -1 when none ends before `end`. */
  firstChunk: (frame: Frame, at: number, end: number): number =>
    end - at < SCTP_HEADER + SCTP_CHUNK_HEADER ? -1 : frame.view.getUint8(at + FIRST_CHUNK),

  /**
   * Returns the type of the chunk that decides the state: the first, or an ABORT behind a COOKIE ECHO or
   * COOKIE ACK (Linux 6.1, set_sctp_state); -1 when none ends before `end`.
   */
  decisiveChunk(frame: Frame, at: number, end: number): number {
    const first = sctp.firstChunk(frame, at, end);
    if (first !== SCTP_COOKIE_ECHO && first !== SCTP_COOKIE_ACK) return first;
    const length = frame.view.getUint16(at + FIRST_CHUNK + CHUNK_LENGTH);
    if (length < SCTP_CHUNK_HEADER) return first;
    const second = at + FIRST_CHUNK + ((length + 3) & ~3);
    return end - second >= SCTP_CHUNK_HEADER && frame.view.getUint8(second) === SCTP_ABORT
      ? SCTP_ABORT
      : first;
  },

  /** Sets the source port; the caller updates the checksum. */
  setSrcPort: (frame: Frame, at: number, port: number) => frame.view.setUint16(at + SRC_PORT, port),
  /** Sets the destination port; the caller updates the checksum. */
  setDstPort: (frame: Frame, at: number, port: number) => frame.view.setUint16(at + DST_PORT, port),

  /** Returns the checksum that the packet [at, end) should have. */
  computeChecksum(frame: Frame, at: number, end: number): number {
    let crc = -1;
    for (let i = at; i < at + SCTP_CHECKSUM; i++) crc = advance(crc, frame.bytes[i]!);
    for (let i = 0; i < 4; i++) crc = advance(crc, 0);
    for (let i = at + FIRST_CHUNK; i < end; i++) crc = advance(crc, frame.bytes[i]!);
    return ~crc >>> 0;
  },
  /** Writes the checksum of the packet [at, end). */
  setChecksum(frame: Frame, at: number, end: number): void {
    frame.view.setUint32(at + SCTP_CHECKSUM, sctp.computeChecksum(frame, at, end), true);
  },
  /** Writes a common header at `at`; the checksum is 0. */
  write(frame: Frame, at: number, srcPort: number, dstPort: number, verificationTag: number): void {
    const { view } = frame;
    view.setUint16(at + SRC_PORT, srcPort);
    view.setUint16(at + DST_PORT, dstPort);
    view.setUint32(at + VERIFICATION_TAG, verificationTag);
    view.setUint32(at + SCTP_CHECKSUM, 0);
  },
} as const;
