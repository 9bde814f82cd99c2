/** Packets for tests: frames from lines, lines from octets, fragments. */
import { ETHERNET_HEADER, ETHERTYPE_IPV4, ETHERTYPE_IPV6, ethernet } from '../../src/wire/ethernet.ts';
import { Frame } from '../../src/wire/frame.ts';
import { IPV4_HEADER, ipv4, MORE_FRAGMENTS } from '../../src/wire/ipv4.ts';
import { Packet } from '../../src/wire/packet.ts';
import { packetOfLine } from '../../src/wire/packet-line.ts';
import { type PrintOptions, printFrame } from '../../src/wire/print.ts';

/** A frame that holds these octets. */
export function framed(octets: Uint8Array): Frame {
  const frame = new Frame();
  if (!frame.load(octets)) throw new RangeError('longer than any packet');
  return frame;
}

/** A frame that holds the packet of a line. */
export const frameOf = (line: string): Frame => framed(packetOfLine(line));

/** The packet of a line, decoded. */
export function decoded(line: string): Packet {
  const packet = new Packet();
  if (!packet.decode(frameOf(line))) throw new Error(`does not decode: ${line}`);
  return packet;
}

/** The line of a packet's octets. */
export const lineOf = (octets: Uint8Array, options?: PrintOptions): string =>
  printFrame(framed(octets), options);

/** Octets from hexadecimal digits; blanks do not count. */
export const hex = (digits: string): Uint8Array<ArrayBuffer> =>
  Uint8Array.from(digits.replace(/\s/g, '').match(/../g) ?? [], (octet) => Number.parseInt(octet, 16));

/** An IP packet as an Ethernet frame. */
export function ethernetOf(octets: Uint8Array, dst: Uint8Array, src: Uint8Array): Uint8Array<ArrayBuffer> {
  const frame = framed(octets);
  frame.prepend(ETHERNET_HEADER);
  const type = octets[0]! >> 4 === 4 ? ETHERTYPE_IPV4 : ETHERTYPE_IPV6;
  ethernet.write(frame, frame.start, dst, 0, src, type);
  return frame.copy();
}

/** The fragments that a router with this MTU (octets) makes of an IPv4 packet without options. */
export function fragmentsOf(octets: Uint8Array, mtu: number): Uint8Array<ArrayBuffer>[] {
  const step = (mtu - IPV4_HEADER) & ~7;
  const fragments: Uint8Array<ArrayBuffer>[] = [];
  for (let offset = 0; IPV4_HEADER + offset < octets.length; offset += step) {
    const part = octets.subarray(IPV4_HEADER + offset, IPV4_HEADER + offset + step);
    const more = IPV4_HEADER + offset + step < octets.length;
    const fragment = new Uint8Array(IPV4_HEADER + part.length);
    fragment.set(octets.subarray(0, IPV4_HEADER));
    fragment.set(part, IPV4_HEADER);
    const frame = framed(fragment);
    ipv4.setTotalLength(frame, frame.start, fragment.length);
    ipv4.setFragment(frame, frame.start, (more ? MORE_FRAGMENTS : 0) | (offset / 8));
    fragments.push(frame.copy());
  }
  return fragments;
}
