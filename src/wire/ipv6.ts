/** The IPv6 header and its extension headers (RFC 8200): accessors, setters and writers. */
import type { Address } from './address.ts';
import { change32 } from './checksum.ts';
import type { Frame } from './frame.ts';

/** Bytes of the fixed header. */
export const IPV6_HEADER = 40;
/** Bytes that every IPv6 link can carry in one packet (RFC 8200 section 5). */
export const MIN_MTU6 = 1280;
/** Bytes of the fragment header. */
export const FRAGMENT_HEADER = 8;

/* Protocol numbers of the extension headers (IANA, "IPv6 Extension Header Types"). */
export const HOP_BY_HOP = 0;
export const ROUTING = 43;
export const FRAGMENT = 44;
export const AUTHENTICATION = 51;
export const DESTINATION_OPTIONS = 60;

/** Packets with more extension headers are rejected; legitimate ones have few. */
export const MAX_EXTENSION_HEADERS = 12;

/* Offsets from the header's first byte. */
const VERSION_CLASS_LABEL = 0;
const PAYLOAD_LENGTH = 4;
const NEXT_HEADER = 6;
const HOP_LIMIT = 7;
const SRC = 8;
const DST = 24;

/* Offsets from an extension header's first byte. */
const EXTENSION_NEXT = 0;
const EXTENSION_LENGTH = 1;
const FRAGMENT_OFFSET = 2;
const FRAGMENT_ID = 4;

/** Reports whether every accessor of `ipv6` is safe at `at`, and the packet ends by `end`. */
export function isIpv6(frame: Frame, at: number, end = frame.end): boolean {
  return (
    end - at >= IPV6_HEADER &&
    ipv6.version(frame, at) === 6 &&
    IPV6_HEADER + ipv6.payloadLength(frame, at) <= end - at
  );
}

/**
 * Reports whether the protocol is an extension header with a length, between IPv6 and transport header. ESP
 * is not.
 */
export const isExtension = (protocol: number): boolean =>
  protocol === HOP_BY_HOP ||
  protocol === ROUTING ||
  protocol === FRAGMENT ||
  protocol === AUTHENTICATION ||
  protocol === DESTINATION_OPTIONS;

/** Returns the bytes of the extension header at `at`; -1 when it does not end by `end`. */
export function extensionLength(frame: Frame, at: number, protocol: number, end: number): number {
  if (end - at < 8) return -1;
  if (protocol === FRAGMENT) return FRAGMENT_HEADER;
  const units = frame.view.getUint8(at + EXTENSION_LENGTH);
  // RFC 4302 section 2.2: the authentication header counts words, minus two.
  const length = protocol === AUTHENTICATION ? (units + 2) * 4 : (units + 1) * 8;
  return length <= end - at ? length : -1;
}

/**
 * Returns the offset of the next-header byte that announces the header at `header`; -1 when no header of the
 * chain begins there. `at` is the fixed header of a packet that was decoded.
 */
export function nextHeaderOctet(frame: Frame, at: number, header: number): number {
  let field = at + NEXT_HEADER;
  let position = at + IPV6_HEADER;
  for (let i = 0; i <= MAX_EXTENSION_HEADERS && position <= header; i++) {
    if (position === header) return field;
    const protocol = frame.view.getUint8(field);
    if (!isExtension(protocol)) return -1;
    const length = extensionLength(frame, position, protocol, frame.end);
    if (length < 0) return -1;
    field = position + EXTENSION_NEXT;
    position += length;
  }
  return -1;
}

function readAddress(frame: Frame, at: number, into: Address): void {
  for (let i = 0; i < 4; i++) into[i] = frame.view.getInt32(at + 4 * i);
}

function writeAddress(frame: Frame, at: number, address: Address): number {
  const { view } = frame;
  let change = 0;
  for (let i = 0; i < 4; i++) {
    const word = address[i]! | 0;
    change += change32(view.getInt32(at + 4 * i), word);
    view.setInt32(at + 4 * i, word);
  }
  return change;
}

/** Fields of a fixed IPv6 header. */
export interface Ipv6Fields {
  /** Bytes after the fixed header. */
  readonly payloadLength: number;
  /** Default 0. */
  readonly trafficClass?: number;
  readonly nextHeader: number;
  readonly hopLimit: number;
  readonly src: Address;
  readonly dst: Address;
}

/** Accessors; `at` is the offset of the fixed header in the frame. */
export const ipv6 = {
  version: (frame: Frame, at: number) => frame.view.getUint8(at + VERSION_CLASS_LABEL) >> 4,
  trafficClass: (frame: Frame, at: number) => (frame.view.getUint16(at + VERSION_CLASS_LABEL) >> 4) & 0xff,
  flowLabel: (frame: Frame, at: number) => frame.view.getUint32(at + VERSION_CLASS_LABEL) & 0xfffff,
  /** Returns the bytes after the fixed header, extension headers included. */
  payloadLength: (frame: Frame, at: number) => frame.view.getUint16(at + PAYLOAD_LENGTH),
  nextHeader: (frame: Frame, at: number) => frame.view.getUint8(at + NEXT_HEADER),
  hopLimit: (frame: Frame, at: number) => frame.view.getUint8(at + HOP_LIMIT),
  readSrc: (frame: Frame, at: number, into: Address): void => readAddress(frame, at + SRC, into),
  readDst: (frame: Frame, at: number, into: Address): void => readAddress(frame, at + DST, into),

  setTrafficClass(frame: Frame, at: number, trafficClass: number): void {
    const word = frame.view.getUint16(at + VERSION_CLASS_LABEL);
    frame.view.setUint16(at + VERSION_CLASS_LABEL, (word & 0xf00f) | (trafficClass << 4));
  },
  setPayloadLength: (frame: Frame, at: number, octets: number) =>
    frame.view.setUint16(at + PAYLOAD_LENGTH, octets),
  setNextHeader: (frame: Frame, at: number, protocol: number) =>
    frame.view.setUint8(at + NEXT_HEADER, protocol),
  setHopLimit: (frame: Frame, at: number, hopLimit: number) => frame.view.setUint8(at + HOP_LIMIT, hopLimit),
  /** Sets the source address; returns the change, for the transport checksum that covers it. */
  setSrc: (frame: Frame, at: number, address: Address): number => writeAddress(frame, at + SRC, address),
  /** Sets the destination address; returns the change, for the transport checksum that covers it. */
  setDst: (frame: Frame, at: number, address: Address): number => writeAddress(frame, at + DST, address),

  /** Writes a fixed header at `at`. */
  write(frame: Frame, at: number, fields: Ipv6Fields): void {
    const { view } = frame;
    const { payloadLength, trafficClass = 0, nextHeader, hopLimit, src, dst } = fields;
    view.setInt32(at + VERSION_CLASS_LABEL, 0x60000000 | (trafficClass << 20));
    view.setUint16(at + PAYLOAD_LENGTH, payloadLength);
    view.setUint8(at + NEXT_HEADER, nextHeader);
    view.setUint8(at + HOP_LIMIT, hopLimit);
    writeAddress(frame, at + SRC, src);
    writeAddress(frame, at + DST, dst);
  },

  /* Extension headers; `at` is the offset of the extension header. */
  extensionNext: (frame: Frame, at: number) => frame.view.getUint8(at + EXTENSION_NEXT),
  /** Returns the bytes of the datagram's fragmentable part before this fragment. */
  fragmentOffset: (frame: Frame, at: number) => frame.view.getUint16(at + FRAGMENT_OFFSET) & 0xfff8,
  moreFragments: (frame: Frame, at: number) => (frame.view.getUint16(at + FRAGMENT_OFFSET) & 1) !== 0,
  /** Returns the identification, 32 bits of either sign. */
  fragmentId: (frame: Frame, at: number) => frame.view.getInt32(at + FRAGMENT_ID),
  /** Writes a fragment header; `offset`: bytes, a multiple of 8. */
  writeFragment(
    frame: Frame,
    at: number,
    nextHeader: number,
    offset: number,
    more: boolean,
    id: number,
  ): void {
    frame.view.setUint16(at + EXTENSION_NEXT, nextHeader << 8);
    frame.view.setUint16(at + FRAGMENT_OFFSET, offset | (more ? 1 : 0));
    frame.view.setInt32(at + FRAGMENT_ID, id);
  },
} as const;
