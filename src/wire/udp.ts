/** The UDP header (RFC 768). */
import { change16 } from './checksum.ts';
import type { Frame } from './frame.ts';

/** IP protocol number of UDP. */
export const UDP = 17;
/** Bytes of the header. */
export const UDP_HEADER = 8;

/* Offsets from the header's first byte. */
const SRC_PORT = 0;
const DST_PORT = 2;
const LENGTH = 4;
/** Offset of the checksum. */
export const UDP_CHECKSUM = 6;

/** Reports whether every accessor of `udp` is safe at `at`, and the datagram ends by `end`. */
export function isUdp(frame: Frame, at: number, end: number): boolean {
  if (end - at < UDP_HEADER) return false;
  const length = udp.length(frame, at);
  return length >= UDP_HEADER && length <= end - at;
}

/** Accessors; `at` is the offset of the header in the frame. */
export const udp = {
  srcPort: (frame: Frame, at: number) => frame.view.getUint16(at + SRC_PORT),
  dstPort: (frame: Frame, at: number) => frame.view.getUint16(at + DST_PORT),
  /** Returns the bytes of header and payload. */
  length: (frame: Frame, at: number) => frame.view.getUint16(at + LENGTH),
  /** Returns the checksum; 0: the sender computed none (IPv4 only). */
  checksum: (frame: Frame, at: number) => frame.view.getUint16(at + UDP_CHECKSUM),
  setChecksum: (frame: Frame, at: number, checksum: number) =>
    frame.view.setUint16(at + UDP_CHECKSUM, checksum),

  /** Sets the source port; returns the change, with which the caller updates the checksum. */
  setSrcPort(frame: Frame, at: number, port: number): number {
    const change = change16(frame.view.getUint16(at + SRC_PORT), port);
    frame.view.setUint16(at + SRC_PORT, port);
    return change;
  },
  /** Sets the destination port; returns the change, with which the caller updates the checksum. */
  setDstPort(frame: Frame, at: number, port: number): number {
    const change = change16(frame.view.getUint16(at + DST_PORT), port);
    frame.view.setUint16(at + DST_PORT, port);
    return change;
  },

  /** Writes a header at `at`, with checksum 0; `length`: bytes of header and payload. */
  write(frame: Frame, at: number, srcPort: number, dstPort: number, length: number): void {
    const { view } = frame;
    view.setUint16(at + SRC_PORT, srcPort);
    view.setUint16(at + DST_PORT, dstPort);
    view.setUint16(at + LENGTH, length);
    view.setUint16(at + UDP_CHECKSUM, 0);
  },
} as const;
