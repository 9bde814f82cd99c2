/** A packet that is not well formed names the reason. */
import { expect, test } from 'vitest';
import { Frame } from '../../src/wire/frame.ts';
import { type DecodeError, Packet } from '../../src/wire/packet.ts';
import { packetOfLine } from '../../src/wire/packet-line.ts';

const V4 = packetOfLine('203.0.113.7:4000 > 192.0.2.80:80 TCP SYN');
const V6 = packetOfLine('[2001:db8::7]:4000 > [2001:db8::80]:80 TCP SYN');

function changed(packet: Uint8Array, ...bytes: readonly (readonly [at: number, byte: number])[]): Uint8Array {
  const copy = packet.slice();
  for (const [at, byte] of bytes) copy[at] = byte;
  return copy;
}

test.each<[string, Uint8Array, DecodeError]>([
  ['an empty frame', new Uint8Array(0), 'truncated'],
  ['19 bytes of IPv4', V4.slice(0, 19), 'truncated'],
  ['39 bytes of IPv6', V6.slice(0, 39), 'truncated'],
  ['IP version 5', changed(V4, [0, 0x55]), 'unknown-version'],
  ['an IPv4 header of 16 bytes', changed(V4, [0, 0x44]), 'bad-header-length'],
  ['an IPv4 header longer than the frame', changed(V4, [0, 0x4f]), 'truncated'],
  ['a total length below the header length', changed(V4, [2, 0], [3, 19]), 'bad-total-length'],
  ['a total length beyond the frame', changed(V4, [2, 1]), 'bad-total-length'],
  ['a payload length beyond the frame', changed(V6, [4, 1]), 'bad-total-length'],
  ['an extension header beyond the packet', changed(V6, [6, 0], [41, 9]), 'bad-extension-header'],
])('%s', (_name, bytes, error) => {
  const frame = new Frame();
  const packet = new Packet();
  frame.load(V4);
  expect(packet.decode(frame)).toBe(true);
  expect(packet.error).toBeUndefined();
  frame.load(bytes);
  expect(packet.decode(frame)).toBe(false);
  expect(packet.error).toBe(error);
  expect(packet.version).toBe(0);
});
