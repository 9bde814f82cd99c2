/** The ICMPv6 header (RFC 4443): like ICMP, with other numbers and a checksum that covers the addresses. */
import type { Address } from './address.ts';
import { complement, pseudoSum, sum } from './checksum.ts';
import type { Frame } from './frame.ts';
import { ICMP_CHECKSUM, icmp } from './icmp.ts';

/** IP protocol number of ICMPv6. */
export const ICMP6 = 58;
/** Bytes of the header; in an error message the quoted packet follows it. */
export const ICMP6_HEADER = 8;

/* Types (RFC 4443). */
export const UNREACHABLE6 = 1;
export const PACKET_TOO_BIG = 2;
export const TIME_EXCEEDED6 = 3;
export const PARAMETER_PROBLEM6 = 4;
/** Lower types are errors (section 2.1). */
export const FIRST_INFORMATIONAL = 128;
export const ECHO_REQUEST6 = 128;
export const ECHO_REPLY6 = 129;

/* Codes of UNREACHABLE6 (RFC 4443 section 3.1). */
export const ADDRESS_UNREACHABLE6 = 3;
export const PORT_UNREACHABLE6 = 4;

/** Offset of the 32-bit MTU of "packet too big". */
const MTU = 4;

/**
 * Reports whether the type is an error, whose message quotes a packet (RFC 4443 section 2.1: the high bit is
 * clear).
 */
export const isIcmp6Error = (type: number): boolean => type < FIRST_INFORMATIONAL;

/** Accessors; `at` is the offset of the header in the frame. */
export const icmp6 = {
  type: icmp.type,
  code: icmp.code,
  checksum: icmp.checksum,
  id: icmp.id,
  sequence: icmp.sequence,
  write: icmp.write,
  /** Returns the bytes that fit, of "packet too big". */
  mtu: (frame: Frame, at: number) => frame.view.getUint32(at + MTU),

  /** Writes the checksum of the message [at, end) between these addresses. */
  recompute(frame: Frame, at: number, end: number, src: Address, dst: Address): void {
    const { view } = frame;
    view.setUint16(at + ICMP_CHECKSUM, 0);
    view.setUint16(at + ICMP_CHECKSUM, complement(sum(view, at, end, pseudoSum(src, dst, ICMP6, end - at))));
  },
} as const;
