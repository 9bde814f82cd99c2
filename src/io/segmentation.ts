/** Cuts a TCP packet that the sender's or our kernel merged of several (TSO, GSO, GRO) into packets that fit the link. */
import { complement, pseudoSum, sum } from '../wire/checksum.ts';
import { type Frame, HEADROOM } from '../wire/frame.ts';
import { IPV6_HEADER } from '../wire/ipv6.ts';
import { Packet } from '../wire/packet.ts';
import { CWR, FIN, PSH, TCP, TCP_CHECKSUM, TCP_FLAGS } from '../wire/tcp.ts';
import type { FrameRing } from './frame-ring.ts';

/* Offsets of what differs between the pieces: IPv4 total length and identification, IPv6 payload length, TCP sequence. */
const TOTAL_LENGTH = 2;
const ID = 4;
const HEADER_CHECKSUM = 10;
const PAYLOAD_LENGTH = 4;
const SEQUENCE = 4;

const packet = new Packet();

/**
 * Queues the pieces of the packet bytes[at, end), none longer than `longest` octets (more than any TCP/IP header).
 * Returns how many pieces there were, queued or not; 0: it is no TCP segment that could be cut. Flags, options and
 * sequence numbers are as if its sender had made the pieces (RFC 9293); how it would have cut them nobody can know.
 */
export function cutMerged(whole: Frame, longest: number, ring: FrameRing): number {
  if (!packet.decode(whole) || packet.protocol !== TCP || packet.malformed) return 0;
  const { network, transport, payload, end, version } = packet;
  if (packet.fragmentHeader !== 0 || packet.moreFragments || packet.fragmentOffset !== 0) return 0;
  const headers = payload - network;
  const size = longest - headers;
  if (size <= 0) return 0;
  const flags = packet.tcpFlags;
  const sequence = whole.view.getUint32(transport + SEQUENCE);
  let pieces = 0;
  for (let from = payload; from < end; from += size, pieces++) {
    const frame = ring.claim();
    if (!frame) continue;
    const to = Math.min(end, from + size);
    frame.bytes.set(whole.bytes.subarray(network, payload), HEADROOM);
    frame.bytes.set(whole.bytes.subarray(from, to), HEADROOM + headers);
    frame.end = HEADROOM + headers + (to - from);
    const { view } = frame;
    if (version === 4) {
      view.setUint16(HEADROOM + TOTAL_LENGTH, headers + (to - from));
      view.setUint16(HEADROOM + ID, (whole.view.getUint16(network + ID) + pieces) & 0xffff);
      view.setUint16(HEADROOM + HEADER_CHECKSUM, 0);
      view.setUint16(
        HEADROOM + HEADER_CHECKSUM,
        complement(sum(view, HEADROOM, HEADROOM + (transport - network))),
      );
    } else view.setUint16(HEADROOM + PAYLOAD_LENGTH, headers - IPV6_HEADER + (to - from));
    const header = HEADROOM + (transport - network);
    view.setUint32(header + SEQUENCE, (sequence + (from - payload)) >>> 0);
    const first = from === payload ? flags : flags & ~CWR;
    view.setUint8(header + TCP_FLAGS, to === end ? first : first & ~(FIN | PSH));
    view.setUint16(header + TCP_CHECKSUM, 0);
    const pseudo = pseudoSum(packet.src, packet.dst, TCP, frame.end - header);
    view.setUint16(header + TCP_CHECKSUM, complement(sum(view, header, frame.end, pseudo)));
    ring.push();
  }
  return pieces;
}
