/** The UDP header (RFC 768). */
import type { Frame } from './frame.ts';
import { DST_PORT, dstPort, SRC_PORT, setDstPort, setSrcPort, srcPort } from './ports.ts';

/** IP protocol number of UDP. */
export const UDP = 17;
/** Bytes of the header. */
export const UDP_HEADER = 8;

/* Offsets from the header's first byte. */
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
  srcPort,
  dstPort,
  setSrcPort,
  setDstPort,
  /** Returns the bytes of header and payload. */
  length: (frame: Frame, at: number) => frame.view.getUint16(at + LENGTH),
  /** Returns the checksum; 0: the sender computed none (IPv4 only). */
  checksum: (frame: Frame, at: number) => frame.view.getUint16(at + UDP_CHECKSUM),
  setChecksum: (frame: Frame, at: number, checksum: number) =>
    frame.view.setUint16(at + UDP_CHECKSUM, checksum),

  /** Writes a header at `at`, with checksum 0; `length`: bytes of header and payload. */
  write(frame: Frame, at: number, srcPort: number, dstPort: number, length: number): void {
    const { view } = frame;
    view.setUint16(at + SRC_PORT, srcPort);
    view.setUint16(at + DST_PORT, dstPort);
    view.setUint16(at + LENGTH, length);
    view.setUint16(at + UDP_CHECKSUM, 0);
  },
} as const;
