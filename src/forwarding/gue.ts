/** Generic UDP encapsulation (draft-ietf-intarea-gue-09): a UDP header and four octets in front of the inner packet. */
import type { Connection } from '../model/connection.ts';
import type { Address } from '../wire/address.ts';
import { complement, neverZero, pseudoSum, sum } from '../wire/checksum.ts';
import type { Frame } from '../wire/frame.ts';
import { UDP, UDP_HEADER, udp } from '../wire/udp.ts';

/** Octets of the GUE header without optional fields. */
export const GUE_HEADER = 4;

/* Offsets from the GUE header's first octet, which holds version, control flag and header length, all 0 here. */
const PROTOCOL = 1;

/** Mask of the header's optional fields' length, in words. */
const OPTIONS_LENGTH = 0x1f;

/** The first dynamic port (RFC 6335 section 6): source ports carry 14 bits of the flow above it. */
const FIRST_DYNAMIC_PORT = 0xc000;
/** 2^32 divided by the golden ratio: multiplicative hashing (Knuth, volume 3, section 6.4). */
const GOLDEN = 0x9e3779b1;

/** Octets between the outer IP header and the inner packet. */
export const gueOverhead = UDP_HEADER + GUE_HEADER;

/**
 * Writes UDP and GUE headers at `at`; the inner packet lies behind them, up to `frame.end`. `checksummed`: with a UDP
 * checksum. Checksum offload to the receiver (remcsum) adds nothing to a packet whose inner checksum is whole, and all
 * are here: it looks like `csum`, as it does in Linux 6.1.
 */
export function writeGue(
  frame: Frame,
  at: number,
  protocol: number,
  connection: Connection,
  port: number,
  checksummed: boolean,
  src: Address,
  dst: Address,
): void {
  const length = frame.end - at;
  udp.write(frame, at, flowPort(connection), port, length);
  frame.view.setInt32(at + UDP_HEADER, 0);
  frame.view.setUint8(at + UDP_HEADER + PROTOCOL, protocol);
  if (!checksummed) return;
  const total = sum(frame.view, at, frame.end, pseudoSum(src, dst, UDP, length));
  udp.setChecksum(frame, at, neverZero(complement(total)));
}

/** Source port by which routers and network cards tell flows apart: the same for all packets of a connection. */
export function flowPort(connection: Connection): number {
  const { caddr, vaddr } = connection;
  let mixed = (connection.cport << 16) | connection.vport;
  for (let i = 0; i < 4; i++) mixed ^= caddr[i]! ^ vaddr[i]!;
  mixed = Math.imul(mixed ^ (mixed >>> 15), GOLDEN);
  return FIRST_DYNAMIC_PORT | (mixed >>> 18);
}

/** Returns the protocol number of what the GUE packet carries whose UDP header is at `at`. */
export const gueProtocol = (frame: Frame, at: number): number =>
  frame.view.getUint8(at + UDP_HEADER + PROTOCOL);

/** Offset of the packet inside the GUE packet whose UDP header is at `at`; -1 when there is none before `end`. */
export function gueInnerOffset(frame: Frame, at: number, end: number): number {
  const header = at + UDP_HEADER;
  if (end - header < GUE_HEADER || (frame.view.getUint8(header) & ~OPTIONS_LENGTH) !== 0) return -1;
  return header + GUE_HEADER + frame.view.getUint8(header) * 4;
}
