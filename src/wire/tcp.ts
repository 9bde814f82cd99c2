/** The TCP header (RFC 9293) and its maximum segment size option. */
import { change16, update } from './checksum.ts';
import type { Frame } from './frame.ts';
import { DST_PORT, dstPort, SRC_PORT, setDstPort, setSrcPort, srcPort } from './ports.ts';

/** IP protocol number of TCP. */
export const TCP = 6;
/** Bytes of the header without options. */
export const TCP_HEADER = 20;

/* Bits of the flags byte. */
export const FIN = 0x01;
export const SYN = 0x02;
export const RST = 0x04;
export const PSH = 0x08;
export const ACK = 0x10;
export const URG = 0x20;
export const ECE = 0x40;
export const CWR = 0x80;

/* Offsets from the header's first byte. */
const SEQUENCE = 4;
const ACKNOWLEDGEMENT = 8;
const DATA_OFFSET = 12;
export const TCP_FLAGS = 13;
const WINDOW = 14;
/** Offset of the checksum. */
export const TCP_CHECKSUM = 16;
const URGENT = 18;

/* Option kinds, and the length of the MSS option in bytes (RFC 9293 section 3.2, RFC 2018 section 3). */
const OPTION_END = 0;
const OPTION_NOP = 1;
const OPTION_MSS = 2;
const OPTION_SACK = 5;
/** Bytes of kind and length, and of both edges of a block. */
const SACK_HEAD = 2;
const SACK_BLOCK = 8;
const OPTION_MSS_LENGTH = 4;

/** Reports whether every accessor of `tcp` is safe at `at`, and the header ends by `end`. */
export function isTcp(frame: Frame, at: number, end: number): boolean {
  if (end - at < TCP_HEADER) return false;
  const length = tcp.headerLength(frame, at);
  return length >= TCP_HEADER && length <= end - at;
}

/** Returns the offset of the first option of that kind, which is complete; -1 without one. */
function optionOffset(frame: Frame, at: number, wanted: number): number {
  const end = at + tcp.headerLength(frame, at);
  let option = at + TCP_HEADER;
  while (option < end) {
    const kind = frame.view.getUint8(option);
    if (kind === OPTION_END) return -1;
    if (kind === OPTION_NOP) {
      option++;
      continue;
    }
    if (option + 2 > end) return -1;
    const length = frame.view.getUint8(option + 1);
    if (length < 2 || option + length > end) return -1;
    if (kind === wanted) return option;
    option += length;
  }
  return -1;
}

/** Returns the offset of the 16-bit value of the MSS option; -1 without one. */
function mssOffset(frame: Frame, at: number): number {
  const option = optionOffset(frame, at, OPTION_MSS);
  return option >= 0 && frame.view.getUint8(option + 1) === OPTION_MSS_LENGTH ? option + 2 : -1;
}

/** Fields of a TCP header, with checksum and urgent pointer 0. */
export interface TcpFields {
  readonly srcPort: number;
  readonly dstPort: number;
  readonly sequence: number;
  readonly acknowledgement: number;
  readonly flags: number;
  readonly window: number;
  /** Bytes, with options; default: without. */
  readonly headerLength?: number;
}

/** Accessors; `at` is the offset of the header in the frame. */
export const tcp = {
  srcPort,
  dstPort,
  setSrcPort,
  setDstPort,
  /** Sequence number, 0..2^32-1. */
  sequence: (frame: Frame, at: number) => frame.view.getUint32(at + SEQUENCE),
  acknowledgement: (frame: Frame, at: number) => frame.view.getUint32(at + ACKNOWLEDGEMENT),
  /** Bytes, options included. */
  headerLength: (frame: Frame, at: number) => (frame.view.getUint8(at + DATA_OFFSET) >> 4) * 4,
  flags: (frame: Frame, at: number) => frame.view.getUint8(at + TCP_FLAGS),
  window: (frame: Frame, at: number) => frame.view.getUint16(at + WINDOW),
  checksum: (frame: Frame, at: number) => frame.view.getUint16(at + TCP_CHECKSUM),
  urgent: (frame: Frame, at: number) => frame.view.getUint16(at + URGENT),
  setChecksum: (frame: Frame, at: number, checksum: number) =>
    frame.view.setUint16(at + TCP_CHECKSUM, checksum),

  /* The caller recomputes the checksum. */
  setSequence: (frame: Frame, at: number, sequence: number) => frame.view.setUint32(at + SEQUENCE, sequence),
  setAcknowledgement: (frame: Frame, at: number, acknowledgement: number) =>
    frame.view.setUint32(at + ACKNOWLEDGEMENT, acknowledgement),
  setFlags: (frame: Frame, at: number, flags: number) => frame.view.setUint8(at + TCP_FLAGS, flags),
  setUrgent: (frame: Frame, at: number, pointer: number) => frame.view.setUint16(at + URGENT, pointer),

  /**
   * Replaces the edges of blocks that were received out of order (RFC 2018). Removes the option if a block becomes empty.
   * Returns true if there is one; the caller recomputes the checksum then.
   */
  mapSack(
    frame: Frame,
    at: number,
    left: (edge: number) => number,
    right: (edge: number) => number,
  ): boolean {
    const option = optionOffset(frame, at, OPTION_SACK);
    if (option < 0) return false;
    const { view } = frame;
    const end = option + view.getUint8(option + 1);
    let isEmpty = (end - option - SACK_HEAD) % SACK_BLOCK !== 0;
    for (let block = option + SACK_HEAD; !isEmpty && block < end; block += SACK_BLOCK) {
      const [from, to] = [left(view.getUint32(block)), right(view.getUint32(block + 4))];
      isEmpty = ((to - from) | 0) <= 0;
      view.setUint32(block, from);
      view.setUint32(block + 4, to);
    }
    if (isEmpty) frame.bytes.fill(OPTION_NOP, option, end);
    return true;
  },

  /** Returns the maximum segment size that a SYN announces, bytes; -1 when it announces none. */
  mss(frame: Frame, at: number): number {
    const value = mssOffset(frame, at);
    return value < 0 ? -1 : frame.view.getUint16(value);
  },
  /**
   * Lowers the announced maximum segment size to `most` bytes and updates the checksum; returns true when it
   * was higher.
   */
  clampMss(frame: Frame, at: number, most: number): boolean {
    const value = mssOffset(frame, at);
    if (value < 0) return false;
    const mss = frame.view.getUint16(value);
    if (mss <= most) return false;
    // The bytes of a word at an odd offset of the header are swapped in the sum (RFC 1071 section 2).
    const swap = ((value - at) & 1) === 1;
    update(frame.view, at + TCP_CHECKSUM, swap ? change16(swapped(mss), swapped(most)) : change16(mss, most));
    frame.view.setUint16(value, most);
    return true;
  },

  /** Writes a header at `at`; the caller writes the options. */
  write(frame: Frame, at: number, fields: TcpFields): void {
    const { view } = frame;
    const { srcPort, dstPort, sequence, acknowledgement, flags, window, headerLength = TCP_HEADER } = fields;
    view.setUint16(at + SRC_PORT, srcPort);
    view.setUint16(at + DST_PORT, dstPort);
    view.setUint32(at + SEQUENCE, sequence);
    view.setUint32(at + ACKNOWLEDGEMENT, acknowledgement);
    view.setUint8(at + DATA_OFFSET, (headerLength / 4) << 4);
    view.setUint8(at + TCP_FLAGS, flags);
    view.setUint16(at + WINDOW, window);
    view.setUint16(at + TCP_CHECKSUM, 0);
    view.setUint16(at + URGENT, 0);
  },
} as const;

const swapped = (word: number): number => ((word & 0xff) << 8) | (word >> 8);
