/** Cuts a merged packet (TSO, USO, GSO, GRO) into the packets that its sender's network card would have sent. */
import { complement, neverZero, pseudoSum, sum } from '../wire/checksum.ts';
import { type Frame, HEADROOM } from '../wire/frame.ts';
import { IPV6_HEADER } from '../wire/ipv6.ts';
import { Packet } from '../wire/packet.ts';
import { CWR, FIN, PSH, TCP, TCP_CHECKSUM, TCP_FLAGS } from '../wire/tcp.ts';

import { UDP, UDP_CHECKSUM } from '../wire/udp.ts';
import type { FrameRing } from './frame-ring.ts';

/* Offsets of the fields that differ between the segments. */
const TOTAL_LENGTH = 2;
const ID = 4;
const HEADER_CHECKSUM = 10;
const PAYLOAD_LENGTH = 4;
const TCP_SEQUENCE = 4;
const UDP_LENGTH = 4;

const packet = new Packet();

/**
 * Queues the segments of the packet in `whole`. `segmentSize`: payload bytes of a segment by the kernel; 0 if unknown:
 * then TCP is cut by `longest`, and a datagram stays whole. `longest`: maximum length of a TCP segment with its
 * headers, bytes; datagrams are never cut by it, because their size has a meaning. Returns the number of segments, queued or
 * not; 0: the packet cannot be cut. Flags, options and sequence numbers are those of RFC 9293, as if the sender had
 * sent the segments.
 */
export function cutMerged(whole: Frame, longest: number, ring: FrameRing, segmentSize = 0): number {
  if (!packet.decode(whole) || packet.malformed) return 0;
  if (packet.protocol !== TCP && packet.protocol !== UDP) return 0;
  const { network, payload, end } = packet;
  if (packet.fragmentHeader !== 0 || packet.moreFragments || packet.fragmentOffset !== 0) return 0;
  const headers = payload - network;
  const size = sizeOf(longest - headers, segmentSize, end - payload);
  // A datagram may be empty; a TCP segment without payload is never merged.
  if (end === payload ? packet.protocol === TCP : size <= 0) return 0;
  let segments = 0;
  for (let from = payload; from < end || segments === 0; from += size, segments++) {
    const frame = ring.claim();
    if (!frame) continue;
    const to = Math.min(end, from + size);
    if (HEADROOM + headers + (to - from) > frame.bytes.length) return 0;
    frame.bytes.set(whole.bytes.subarray(network, payload), HEADROOM);
    frame.bytes.set(whole.bytes.subarray(from, to), HEADROOM + headers);
    frame.end = HEADROOM + headers + (to - from);
    frame.ingress = whole.ingress;
    writeIp(frame, headers + (to - from), segments);
    if (packet.protocol === TCP) writeTcp(frame, from - payload, to === end);
    else writeUdp(frame);
    ring.push();
  }
  return segments;
}

/** Returns the payload bytes of a segment; 0 or less: the headers alone exceed the link. */
function sizeOf(longest: number, segmentSize: number, payloadBytes: number): number {
  if (packet.protocol === UDP) return segmentSize === 0 ? payloadBytes : segmentSize;
  return segmentSize === 0 ? longest : Math.min(longest, segmentSize);
}

function writeIp(frame: Frame, length: number, index: number): void {
  const { view } = frame;
  if (packet.version === 6) {
    view.setUint16(HEADROOM + PAYLOAD_LENGTH, length - IPV6_HEADER);
    return;
  }
  view.setUint16(HEADROOM + TOTAL_LENGTH, length);
  view.setUint16(HEADROOM + ID, (view.getUint16(HEADROOM + ID) + index) & 0xffff);
  view.setUint16(HEADROOM + HEADER_CHECKSUM, 0);
  const headerEnd = HEADROOM + (packet.transport - packet.network);
  view.setUint16(HEADROOM + HEADER_CHECKSUM, complement(sum(view, HEADROOM, headerEnd)));
}

/** `offset`: payload bytes before this segment. */
function writeTcp(frame: Frame, offset: number, isLast: boolean): void {
  const { view } = frame;
  const header = HEADROOM + (packet.transport - packet.network);
  view.setUint32(header + TCP_SEQUENCE, (view.getUint32(header + TCP_SEQUENCE) + offset) >>> 0);
  const flags = offset === 0 ? packet.tcpFlags : packet.tcpFlags & ~CWR;
  view.setUint8(header + TCP_FLAGS, isLast ? flags : flags & ~(FIN | PSH));
  view.setUint16(header + TCP_CHECKSUM, 0);
  const pseudo = pseudoSum(packet.src, packet.dst, TCP, frame.end - header);
  view.setUint16(header + TCP_CHECKSUM, complement(sum(view, header, frame.end, pseudo)));
}

function writeUdp(frame: Frame): void {
  const { view } = frame;
  const header = HEADROOM + (packet.transport - packet.network);
  view.setUint16(header + UDP_LENGTH, frame.end - header);
  // A datagram without a checksum stays so (RFC 768).
  if (view.getUint16(header + UDP_CHECKSUM) === 0) return;
  view.setUint16(header + UDP_CHECKSUM, 0);
  const pseudo = pseudoSum(packet.src, packet.dst, UDP, frame.end - header);
  view.setUint16(header + UDP_CHECKSUM, neverZero(complement(sum(view, header, frame.end, pseudo))));
}
