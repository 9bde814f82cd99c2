/** Segments of the model of TCP as IP packets, and back. */
import type { Address } from '../../src/wire/address.ts';
import { isV4, parseAddress } from '../../src/wire/address.ts';
import { Frame } from '../../src/wire/frame.ts';
import { ipv4 } from '../../src/wire/ipv4.ts';
import { Packet } from '../../src/wire/packet.ts';
import { packetOfLine } from '../../src/wire/packet-line.ts';
import { ACK, FIN, TCP_HEADER, tcp } from '../../src/wire/tcp.ts';
import { checksumHolds, recompute } from '../../src/wire/transport-checksum.ts';
import type { TcpSegment } from './tcp-end.ts';

const SACK_OPTION = 5;

/** Returns the packet of a segment between `ends`, `a:1 > b:2`. */
export function packetOf(ends: string, segment: TcpSegment): Uint8Array<ArrayBuffer> {
  const block = segment.sack[0];
  const options = block ? 12 : 0;
  const hex = Buffer.concat([Buffer.alloc(options), segment.bytes]).toString('hex');
  const frame = new Frame();
  frame.load(packetOfLine(`${ends} ACK DF${hex && ` hex=${hex}`}`));
  const packet = new Packet();
  packet.decode(frame);
  const { transport } = packet;
  tcp.write(frame, transport, {
    srcPort: packet.srcPort,
    dstPort: packet.dstPort,
    sequence: segment.sequence,
    acknowledgement: segment.acknowledgement,
    flags: segment.isLast ? ACK | FIN : ACK,
    window: 60_000,
    headerLength: TCP_HEADER + options,
  });
  if (block) {
    frame.bytes.set([1, 1, SACK_OPTION, 10], transport + TCP_HEADER);
    frame.view.setUint32(transport + TCP_HEADER + 4, block[0]);
    frame.view.setUint32(transport + TCP_HEADER + 8, block[1]);
  }
  packet.decode(frame);
  recompute(packet);
  return frame.copy();
}

/** A packet that arrives. */
export interface Arrived {
  readonly segment: TcpSegment;
  readonly src: Address;
  readonly length: number;
}

/** Returns the segment in a packet. Throws an Error if a checksum or a length is wrong. */
export function arrivedIn(octets: Uint8Array): Arrived {
  const frame = new Frame();
  frame.load(octets);
  const packet = new Packet();
  if (!packet.decode(frame) || packet.malformed) throw new Error('not a packet');
  if (packet.version === 4 && !ipv4.checksumHolds(frame, packet.network))
    throw new Error('wrong header checksum');
  if (!checksumHolds(packet)) throw new Error('wrong checksum');
  if (packet.end !== frame.end) throw new Error('wrong length');
  const { transport, payload } = packet;
  const sack: [number, number][] = [];
  if (payload - transport > TCP_HEADER && frame.bytes[transport + TCP_HEADER + 2] === SACK_OPTION)
    sack.push([frame.view.getUint32(payload - 8), frame.view.getUint32(payload - 4)]);
  return {
    segment: {
      sequence: tcp.sequence(frame, transport),
      acknowledgement: tcp.acknowledgement(frame, transport),
      bytes: frame.bytes.slice(payload, packet.end),
      sack,
      isLast: (packet.tcpFlags & FIN) !== 0,
    },
    src: packet.src.slice(),
    length: octets.length,
  };
}

/** Returns the address as FTP writes it. */
export const numbersOf = (text: string, port: number): string => {
  const address = parseAddress(text)!;
  if (!isV4(address)) throw new Error(`${text}: no IPv4 address`);
  return `${text.replaceAll('.', ',')},${port >> 8},${port & 0xff}`;
};
