/** Applies the translation of a control connection to packets of TCP. */
import type { Frame } from '../wire/frame.ts';
import { ipv4 } from '../wire/ipv4.ts';
import { IPV6_HEADER, ipv6 } from '../wire/ipv6.ts';
import type { Packet } from '../wire/packet.ts';
import { ACK, FIN, PSH, tcp, URG } from '../wire/tcp.ts';
import { recompute } from '../wire/transport-checksum.ts';
import type { ControlState } from './control-state.ts';
import type { Segment, Translated } from './control-stream.ts';
import { acknowledgement, toClient, toServer } from './sequence.ts';

/** Returns the segment in a decoded packet, without SYN. */
export function segmentOf({ frame, transport, payload, end, tcpFlags }: Packet): Segment {
  return {
    bytes: frame.bytes,
    from: payload,
    to: end,
    position: tcp.sequence(frame, transport) | 0,
    acknowledgement: tcp.acknowledgement(frame, transport) | 0,
    hasAcknowledgement: (tcpFlags & ACK) !== 0,
    isLast: (tcpFlags & FIN) !== 0,
  };
}

/** Translates what the client has received into positions of the server, in a decoded packet, and updates its checksum. */
export function changeAcknowledgement(packet: Packet, state: ControlState): void {
  const { frame, transport, tcpFlags } = packet;
  if ((tcpFlags & ACK) === 0 || (state.shift === 0 && state.changes === 0 && state.matched === 0)) return;
  const received = tcp.acknowledgement(frame, transport) | 0;
  const own = acknowledgement(state, received);
  tcp.setAcknowledgement(frame, transport, own);
  const hasSack = tcp.mapSack(
    frame,
    transport,
    (edge) => toServer(state, edge | 0, 'up') >>> 0,
    (edge) => toServer(state, edge | 0) >>> 0,
  );
  if (hasSack || own !== received) recompute(packet);
}

/**
 * Puts the translated segment into the packet that it came in, and decodes it again. `longest`: bytes of
 * the longest packet that may be sent. Fills `rest` with the end of what does not fit, and returns true then.
 */
export function changeSegment(
  packet: Packet,
  state: ControlState,
  { position, bytes, isLast }: Translated,
  longest: number,
  rest: Frame,
): boolean {
  const { frame, network, transport, payload, end } = packet;
  const former = tcp.sequence(frame, transport) | 0;
  if (position === former && bytes === undefined) return false;
  changeUrgent(packet, state, former, position);
  tcp.setSequence(frame, transport, position);
  if (!isLast && (packet.tcpFlags & FIN) !== 0) {
    tcp.setFlags(frame, transport, packet.tcpFlags & ~FIN);
    packet.decode(frame);
  }
  if (bytes === undefined) {
    recompute(packet);
    return false;
  }
  const isLonger = payload - network + bytes.length > Math.max(longest, end - network);
  const room = isLonger ? end - payload : bytes.length;
  if (isLonger) {
    rest.load(frame.bytes.subarray(network, payload), frame.at);
    rest.ingress = frame.ingress;
    const from = rest.start;
    tcp.setSequence(rest, from + transport - network, (position + room) | 0);
    fill(rest, from, from + payload - network, bytes.subarray(room), packet.version);
    tcp.setFlags(frame, transport, packet.tcpFlags & ~(FIN | PSH));
  }
  fill(frame, network, payload, bytes.subarray(0, room), packet.version);
  // It cannot be sent in the fragments in which it came.
  frame.laterFragments = [];
  packet.decode(frame);
  recompute(packet);
  return isLonger;
}

/** Writes the payload, and the length into the IP header. */
function fill(frame: Frame, network: number, payload: number, bytes: Uint8Array, version: number): void {
  frame.bytes.set(bytes, payload);
  frame.end = payload + bytes.length;
  if (version === 4) ipv4.setTotalLength(frame, network, frame.end - network);
  else ipv6.setPayloadLength(frame, network, frame.end - network - IPV6_HEADER);
}

function changeUrgent(
  { frame, transport, tcpFlags }: Packet,
  state: ControlState,
  from: number,
  to: number,
): void {
  if ((tcpFlags & URG) === 0) return;
  const urgent = (from + tcp.urgent(frame, transport)) | 0;
  tcp.setUrgent(frame, transport, Math.max(0, (toClient(state, urgent) - to) | 0));
}
