import { writeFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { packetOfFile } from '../../src/io/recorded-packet.ts';
import { LvsError } from '../../src/model/errors.ts';
import { packetOfLine } from '../../src/wire/packet-line.ts';
import { pcapHeader, pcapPacket } from '../../src/wire/pcap-file.ts';
import { TemporaryFolder } from '../support/director-apis.ts';

const FOUR = packetOfLine('203.0.113.1:4000 > 192.0.2.80:80 TCP SYN');
const SIX = packetOfLine('[2001:db8::1]:4000 > [2001:db8::80]:80 TCP SYN');

/** What is found in a file of one packet, with these octets (hex) before it. */
function found(linkType: number, before: string, packet: Uint8Array, number = 1): Uint8Array {
  using folder = new TemporaryFolder();
  const file = folder.file('one.pcap');
  const captured = Buffer.concat([Buffer.from(before.replaceAll(' ', ''), 'hex'), packet]);
  writeFileSync(file, Buffer.concat([pcapHeader(linkType), pcapPacket(captured, 0)]));
  return packetOfFile(file, number);
}

const MACS = '020000000001 020000000002';
const COOKED2 = (type: string) => `${type} 0000 00000002 0001 00 06 0200000000010000`;

test.each([
  ['Ethernet', 1, `${MACS} 0800`, FOUR],
  ['Ethernet with a VLAN', 1, `${MACS} 8100 0007 86dd`, SIX],
  ['raw IP', 101, '', SIX],
  ['raw IPv4', 228, '', FOUR],
  ['raw IPv6', 229, '', SIX],
  ['tcpdump -i any of old', 113, '0000 0001 0006 0200000000010000 0800', FOUR],
  ['tcpdump -i any', 276, COOKED2('0800'), FOUR],
  ['tcpdump -i any, IPv6', 276, COOKED2('86dd'), SIX],
])('finds the packet behind the header of %s', (_what, linkType, before, packet) =>
  expect(Uint8Array.from(found(linkType, before, packet))).toEqual(packet),
);

test.each([
  ['no IP', 1, `${MACS} 0806`, 1, /packet 1 is not an IP packet/],
  ['no IP, cooked', 276, COOKED2('0806'), 1, /packet 1 is not an IP packet/],
  ['nothing but half a header', 276, '0800', 1, /packet 1 is not an IP packet/],
  ['a link of another kind', 105, '', 1, /link type 105 is not supported/],
  ['no such packet', 101, '', 2, /packet 2 not found: the file has 1 packets/],
])('rejects %s with a message', (_what, linkType, before, number, message) => {
  const look = () => found(linkType, before, before === '0800' ? new Uint8Array() : FOUR, number);
  expect(look).toThrow(LvsError);
  expect(look).toThrow(message);
});
