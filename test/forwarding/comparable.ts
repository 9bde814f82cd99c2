/** A sent packet as hexadecimal text, without what two directors may choose differently. */
import { expect } from 'vitest';
import { Frame } from '../../src/wire/frame.ts';
import { ipv4 } from '../../src/wire/ipv4.ts';
import { Packet } from '../../src/wire/packet.ts';
import { checksumHolds } from '../../src/wire/transport-checksum.ts';

const DIRECTOR = [0x0a010001, 0xfd010000];
const GUE_PORT = 6080;

/**
 * Blanks the IPv4 identification of packets that the director itself made, the flow label of its ICMPv6 errors, the
 * identification of IPv6 fragments, and the source port of GUE with the checksum that covers it; the checksums that
 * are blanked were right.
 */
export function comparable(octets: Uint8Array): string {
  const frame = new Frame();
  const packet = new Packet();
  frame.load(octets);
  expect(packet.decode(frame)).toBe(true);
  const at = packet.network;
  const { bytes, view } = frame;
  const own =
    packet.version === 4
      ? packet.src[3] === DIRECTOR[0]
      : packet.src[0] === DIRECTOR[1] && packet.src[3] === 1;
  if (packet.version === 4) {
    expect(ipv4.checksumHolds(frame, at)).toBe(true);
    const error = packet.protocol === 1 && packet.tos >= 0xc0 && packet.ttl === 64;
    if ((own || error) && ipv4.id(frame, at) !== 0) {
      ipv4.setId(frame, at, 0xffff);
    }
  } else {
    if (packet.protocol === 58 && packet.ttl === 64) view.setUint32(at, view.getUint32(at) & 0xfff00000);
    if (packet.fragmentHeader > 0) view.setUint32(packet.fragmentHeader + 4, 0);
  }
  if (own && packet.protocol === 17 && packet.dstPort === GUE_PORT) {
    const none = view.getUint16(packet.transport + 6) === 0;
    if (!none) expect(checksumHolds(packet)).toBe(true);
    view.setUint16(packet.transport, 0);
    view.setUint16(packet.transport + 6, none ? 0 : 1);
  }
  return Buffer.from(bytes.subarray(frame.start, frame.end)).toString('hex');
}
