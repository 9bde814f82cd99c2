/** The ICMP header (RFC 792). */
import { complement, sum } from './checksum.ts';
import type { Frame } from './frame.ts';

/** IP protocol number of ICMP. */
export const ICMP = 1;
/** Bytes of the header; in an error message the quoted packet follows it. */
export const ICMP_HEADER = 8;

/* Types (RFC 792). */
export const ECHO_REPLY = 0;
export const UNREACHABLE = 3;
export const SOURCE_QUENCH = 4;
export const REDIRECT = 5;
export const ECHO_REQUEST = 8;
export const TIME_EXCEEDED = 11;
export const PARAMETER_PROBLEM = 12;

/* Codes of UNREACHABLE (RFC 792, RFC 1122 section 3.2.2.1). */
export const HOST_UNREACHABLE = 1;
export const PORT_UNREACHABLE = 3;
export const FRAGMENTATION_NEEDED = 4;
/** Code of TIME_EXCEEDED: in transit. */
export const TTL_EXCEEDED = 0;

/* Offsets from the header's first byte. */
const TYPE = 0;
const CODE = 1;
/** Offset of the checksum; ICMPv6 has it in the same place. */
export const ICMP_CHECKSUM = 2;
const REST = 4;
const ID = 4;
const SEQUENCE = 6;
const NEXT_HOP_MTU = 6;

/** Reports whether every accessor of `icmp` is safe at `at`. */
export const isIcmp = (at: number, end: number): boolean => end - at >= ICMP_HEADER;

/** Reports whether the type is an error, whose message quotes a packet. */
export const isIcmpError = (type: number): boolean =>
  type === UNREACHABLE ||
  type === TIME_EXCEEDED ||
  type === SOURCE_QUENCH ||
  type === PARAMETER_PROBLEM ||
  type === REDIRECT;

/** Accessors; `at` is the offset of the header in the frame. */
export const icmp = {
  type: (frame: Frame, at: number) => frame.view.getUint8(at + TYPE),
  code: (frame: Frame, at: number) => frame.view.getUint8(at + CODE),
  checksum: (frame: Frame, at: number) => frame.view.getUint16(at + ICMP_CHECKSUM),
  /** Return the identifier and the sequence number of an echo. */
  id: (frame: Frame, at: number) => frame.view.getUint16(at + ID),
  sequence: (frame: Frame, at: number) => frame.view.getUint16(at + SEQUENCE),
  /**
   * Returns the bytes that fit, of "fragmentation needed" (RFC 1191); 0 when the router does not report them.
   */
  nextHopMtu: (frame: Frame, at: number) => frame.view.getUint16(at + NEXT_HOP_MTU),

  /** Writes the checksum of the message [at, end). */
  recompute(frame: Frame, at: number, end: number): void {
    frame.view.setUint16(at + ICMP_CHECKSUM, 0);
    frame.view.setUint16(at + ICMP_CHECKSUM, complement(sum(frame.view, at, end)));
  },
  /** Writes a header at `at`, checksum 0. `rest`: the 32 bits whose meaning depends on the type. */
  write(frame: Frame, at: number, type: number, code: number, rest: number): void {
    frame.view.setUint8(at + TYPE, type);
    frame.view.setUint8(at + CODE, code);
    frame.view.setUint16(at + ICMP_CHECKSUM, 0);
    frame.view.setInt32(at + REST, rest);
  },
} as const;
