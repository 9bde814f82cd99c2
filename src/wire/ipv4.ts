/** The IPv4 header (RFC 791): accessors, setters that update the checksum, and a writer. */
import type { Address } from './address.ts';
import { change16, change32, complement, sum, update } from './checksum.ts';
import type { Frame } from './frame.ts';

/** Bytes of the header without options. */
export const IPV4_HEADER = 20;
/** Flags and fragment offset, in the header's bytes 6 and 7. */
export const DONT_FRAGMENT = 0x4000;
export const MORE_FRAGMENTS = 0x2000;
/** Mask of the fragment offset, in units of 8 bytes. */
export const FRAGMENT_OFFSET = 0x1fff;

/* Offsets from the header's first byte. */
const VERSION_IHL = 0;
const TOS = 1;
const TOTAL_LENGTH = 2;
const ID = 4;
const FRAGMENT = 6;
const TTL = 8;
const PROTOCOL = 9;
const CHECKSUM = 10;
const SRC = 12;
const DST = 16;

/** Reports whether every accessor of `ipv4` is safe at `at`, and the packet ends by `end`. */
export function isIpv4(frame: Frame, at: number, end = frame.end): boolean {
  if (end - at < IPV4_HEADER || ipv4.version(frame, at) !== 4) return false;
  const headerLength = ipv4.headerLength(frame, at);
  const totalLength = ipv4.totalLength(frame, at);
  return headerLength >= IPV4_HEADER && headerLength <= totalLength && totalLength <= end - at;
}

/** Writes a 16-bit word of the header and updates the header checksum. */
function setWord(frame: Frame, at: number, field: number, word: number): void {
  const { view } = frame;
  update(view, at + CHECKSUM, change16(view.getUint16(at + field), word));
  view.setUint16(at + field, word);
}

function setAddress(frame: Frame, at: number, field: number, address: Address): number {
  const { view } = frame;
  const word = address[3]! | 0;
  const change = change32(view.getInt32(at + field), word);
  update(view, at + CHECKSUM, change);
  view.setInt32(at + field, word);
  return change;
}

/** Fields of an IPv4 header without options. */
export interface Ipv4Fields {
  /** Bytes, the header included. */
  readonly totalLength: number;
  /** Default 0. */
  readonly tos?: number;
  /** Identification; default 0. */
  readonly id?: number;
  /** DONT_FRAGMENT, MORE_FRAGMENTS and the offset in units of 8 bytes; default 0. */
  readonly fragment?: number;
  readonly ttl: number;
  readonly protocol: number;
  readonly src: Address;
  readonly dst: Address;
}

/** Accessors; `at` is the offset of the header in the frame. Every setter updates the header checksum. */
export const ipv4 = {
  version: (frame: Frame, at: number) => frame.view.getUint8(at + VERSION_IHL) >> 4,
  /** Returns the header's bytes, options included. */
  headerLength: (frame: Frame, at: number) => (frame.view.getUint8(at + VERSION_IHL) & 0x0f) * 4,
  tos: (frame: Frame, at: number) => frame.view.getUint8(at + TOS),
  /** Returns the bytes of header and payload. */
  totalLength: (frame: Frame, at: number) => frame.view.getUint16(at + TOTAL_LENGTH),
  id: (frame: Frame, at: number) => frame.view.getUint16(at + ID),
  /** Returns DONT_FRAGMENT, MORE_FRAGMENTS and the offset in units of 8 bytes, together. */
  fragment: (frame: Frame, at: number) => frame.view.getUint16(at + FRAGMENT),
  ttl: (frame: Frame, at: number) => frame.view.getUint8(at + TTL),
  protocol: (frame: Frame, at: number) => frame.view.getUint8(at + PROTOCOL),
  checksum: (frame: Frame, at: number) => frame.view.getUint16(at + CHECKSUM),
  /** Return the 32 bits of an address, of either sign. */
  src: (frame: Frame, at: number) => frame.view.getInt32(at + SRC),
  dst: (frame: Frame, at: number) => frame.view.getInt32(at + DST),

  setTos(frame: Frame, at: number, tos: number): void {
    setWord(frame, at, VERSION_IHL, (frame.view.getUint8(at) << 8) | tos);
  },
  /** Sets the octets of the header, after options were written behind a header without any. */
  setHeaderLength(frame: Frame, at: number, octets: number): void {
    frame.view.setUint8(at + VERSION_IHL, 0x40 | (octets / 4));
    ipv4.recompute(frame, at);
  },
  setTotalLength: (frame: Frame, at: number, octets: number) => setWord(frame, at, TOTAL_LENGTH, octets),
  setId: (frame: Frame, at: number, id: number) => setWord(frame, at, ID, id),
  setFragment: (frame: Frame, at: number, fragment: number) => setWord(frame, at, FRAGMENT, fragment),
  setTtl(frame: Frame, at: number, ttl: number): void {
    setWord(frame, at, TTL, (ttl << 8) | frame.view.getUint8(at + PROTOCOL));
  },
  setProtocol(frame: Frame, at: number, protocol: number): void {
    setWord(frame, at, TTL, (frame.view.getUint8(at + TTL) << 8) | protocol);
  },
  /** Sets the source address; returns the change, for the transport checksum that also covers it. */
  setSrc: (frame: Frame, at: number, address: Address): number => setAddress(frame, at, SRC, address),
  /** Sets the destination address; returns the change, for the transport checksum that also covers it. */
  setDst: (frame: Frame, at: number, address: Address): number => setAddress(frame, at, DST, address),

  /** Reports whether the header checksum is right. */
  checksumHolds: (frame: Frame, at: number): boolean =>
    sum(frame.view, at, at + ipv4.headerLength(frame, at)) === 0xffff,

  /** Computes and writes the header checksum. */
  recompute(frame: Frame, at: number): void {
    frame.view.setUint16(at + CHECKSUM, 0);
    frame.view.setUint16(at + CHECKSUM, complement(sum(frame.view, at, at + ipv4.headerLength(frame, at))));
  },

  /** Writes a header without options, with its checksum, at `at`. */
  write(frame: Frame, at: number, fields: Ipv4Fields): void {
    const { view } = frame;
    const { totalLength, tos = 0, id = 0, fragment = 0, ttl, protocol, src, dst } = fields;
    view.setUint8(at + VERSION_IHL, 0x45);
    view.setUint8(at + TOS, tos);
    view.setUint16(at + TOTAL_LENGTH, totalLength);
    view.setUint16(at + ID, id);
    view.setUint16(at + FRAGMENT, fragment);
    view.setUint8(at + TTL, ttl);
    view.setUint8(at + PROTOCOL, protocol);
    view.setInt32(at + SRC, src[3]! | 0);
    view.setInt32(at + DST, dst[3]! | 0);
    ipv4.recompute(frame, at);
  },
} as const;
