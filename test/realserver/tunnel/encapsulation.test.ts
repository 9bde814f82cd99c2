import { expect, test } from 'vitest';
import { insideGre, insideGue } from '../../../src/realserver/tunnel/encapsulation.ts';
import { complement, sum } from '../../../src/wire/checksum.ts';
import { Frame } from '../../../src/wire/frame.ts';
import { packetOfLine } from '../../../src/wire/packet-line.ts';

/** A frame of these hexadecimal octets. */
function frame(octets: string): Frame {
  const loaded = new Frame(200);
  loaded.load(Buffer.from(octets.replaceAll(' ', ''), 'hex'));
  return loaded;
}
const offset = (inside: typeof insideGre, octets: string) => {
  const loaded = frame(octets);
  const at = inside(loaded, loaded.start);
  return at < 0 ? -1 : at - loaded.start;
};

// RFC 2784 and RFC 2890; 45.. and 60.. stand for the inner packet.
test.each([
  ['without options', '0000 0800 4500', 4],
  ['IPv6', '0000 86dd 6000', 4],
  ['with a right checksum', '8000 0800 32ff 0000 4500', 8],
  ['with a wrong checksum', '8000 0800 3200 0000 4500', -1],
  ['with a key', '2000 0800 00000001 4500', 8],
  ['with key and sequence number', '3000 0800 00000001 00000002 4500', 12],
  ['of Ethernet', '0000 6558 4500', -1],
  ['of version 1', '0001 880b 4500', -1],
  ['with source routes', '4000 0800 4500', -1],
  ['cut off in its options', '2000 0800 0000', -1],
  ['cut off', '0000 08', -1],
])('GRE %s', (_name, octets, at) => {
  expect(offset(insideGre, octets)).toBe(at);
});

// draft-ietf-intarea-gue-09.
test.each([
  ['of IPv4', '0004 0000 4500', 4],
  ['with two words of options', '0204 0000 00000000 00000000 4500', 12],
  ['version 1: the packet itself', '4500 0020', 0],
  ['version 1, IPv6', '6000 0000', 0],
  ['control message', '2004 0000 4500', -1],
  ['of version 2', '8004 0000 4500', -1],
  ['with nothing inside', '0004 0000', -1],
  ['cut off in its options', '1f04 0000 4500', -1],
  ['cut off', '0004', -1],
])('GUE %s', (_name, octets, at) => {
  expect(offset(insideGue, octets)).toBe(at);
});

test('a checksum that the sender has left to its card is completed, and GRE has that of the complete packet', () => {
  const [complete, partial] = ['', 'partial-checksum'].map((word) =>
    packetOfLine(`203.0.113.7:4000 > 192.168.0.101:80 PSH+ACK len=9 ${word}`),
  );
  const loaded = new Frame(200);
  loaded.load(Buffer.concat([Buffer.from('8000080000000000', 'hex'), complete!]));
  loaded.view.setUint16(loaded.start + 4, complement(sum(loaded.view, loaded.start, loaded.end)));
  loaded.bytes.set(partial!, loaded.start + 8);
  expect(insideGre(loaded, loaded.start)).toBe(loaded.start + 8);
  expect(loaded.copy().subarray(8)).toEqual(complete);
});
