/** Generic routing encapsulation (RFC 2784): four bytes before the inner packet, eight with a checksum. */
import { complement, sum } from '../wire/checksum.ts';
import type { Frame } from '../wire/frame.ts';

/** IP protocol number of GRE. */
export const GRE = 47;

/* Ethernet types of the inner packet (RFC 2784 section 2.4, RFC 7676 section 3). */
const IPV4_TYPE = 0x0800;
const IPV6_TYPE = 0x86dd;

/** Bytes without and with a checksum. */
const SHORT = 4;
const LONG = 8;

/** Flag of the first two bytes: checksum and reserved bytes follow. */
const CHECKSUM_PRESENT = 0x8000;

/* Offsets from the header's first byte. */
const TYPE = 2;
const CHECKSUM = 4;

/** Returns the bytes between the outer IP header and the inner packet. */
export const greOverhead = (checksummed: boolean): number => (checksummed ? LONG : SHORT);

/** Writes a GRE header at `at`; the inner packet, of IP version `inner`, follows it up to `frame.end`. */
export function writeGre(frame: Frame, at: number, inner: 4 | 6, checksummed: boolean): void {
  const { view } = frame;
  view.setUint16(at, checksummed ? CHECKSUM_PRESENT : 0);
  view.setUint16(at + TYPE, inner === 4 ? IPV4_TYPE : IPV6_TYPE);
  if (!checksummed) return;
  view.setInt32(at + CHECKSUM, 0);
  view.setUint16(at + CHECKSUM, complement(sum(view, at, frame.end)));
}

/** Returns the IP version of the packet after a valid GRE header at `at`. */
export const greVersion = (frame: Frame, at: number): 4 | 6 =>
  frame.view.getUint16(at + TYPE) === IPV4_TYPE ? 4 : 6;

/** Returns the length of the GRE header at `at`, bytes; -1: not supported, or longer than up to `end`. */
export function greHeaderLength(frame: Frame, at: number, end: number): number {
  if (end - at < SHORT) return -1;
  const flags = frame.view.getUint16(at);
  const type = frame.view.getUint16(at + TYPE);
  if ((flags & ~CHECKSUM_PRESENT) !== 0 || (type !== IPV4_TYPE && type !== IPV6_TYPE)) return -1;
  const length = greOverhead(flags !== 0);
  return length <= end - at ? length : -1;
}
