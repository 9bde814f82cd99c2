/**
 * Generic UDP encapsulation (draft-ietf-intarea-gue-09): a UDP header and four bytes before the inner packet.
 */
import type { Connection } from '../model/connection.ts';
import type { Address } from '../wire/address.ts';
import { complement, neverZero, pseudoSum, sum } from '../wire/checksum.ts';
import type { Frame } from '../wire/frame.ts';
import { mix } from '../wire/hash.ts';
import { UDP, UDP_HEADER, udp } from '../wire/udp.ts';

/** Bytes of the GUE header without optional fields. */
export const GUE_HEADER = 4;

/* Offsets from the GUE header's first byte, which holds version, control flag and header length, all 0 here. */
const PROTOCOL = 1;

/** Mask of the header's optional fields' length, in words. */
const OPTIONS_LENGTH = 0x1f;

/** The first dynamic port (RFC 6335 section 6): source ports encode 14 bits of the flow above it. */
const FIRST_DYNAMIC_PORT = 0xc000;

/** Bytes between the outer IP header and the inner packet. */
export const gueOverhead = UDP_HEADER + GUE_HEADER;

/**
 * Writes UDP and GUE headers at `at`, without a checksum; the inner packet, of protocol `inner`, follows them up to
 * `frame.end`. The source port identifies the flow, the destination is `port`.
 */
export function writeGue(
  frame: Frame,
  at: number,
  inner: number,
  connection: Connection,
  port: number,
): void {
  udp.write(frame, at, flowPort(connection), port, frame.end - at);
  frame.view.setInt32(at + UDP_HEADER, 0);
  frame.view.setUint8(at + UDP_HEADER + PROTOCOL, inner);
}

/**
 * Computes and writes the UDP checksum of a GUE packet whose UDP header is at `at`. Remote checksum offload (remcsum)
 * adds nothing to a packet with a complete inner checksum, which all have here: it is the same as `csum`, as in
 * Linux 6.1.
 */
export function checksumGue(frame: Frame, at: number, src: Address, dst: Address): void {
  const total = sum(frame.view, at, frame.end, pseudoSum(src, dst, UDP, frame.end - at));
  udp.setChecksum(frame, at, neverZero(complement(total)));
}

/**
 * Returns the source port that identifies the flow to routers and network cards: the same for all packets of
 * a connection.
 */
export function flowPort(connection: Connection): number {
  const { caddr, vaddr } = connection;
  let mixed = (connection.cport << 16) | connection.vport;
  for (let i = 0; i < 4; i++) mixed ^= caddr[i]! ^ vaddr[i]!;
  mixed = mix(mixed ^ (mixed >>> 15));
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
