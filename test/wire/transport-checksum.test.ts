import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { parseAddress } from '../../src/wire/address.ts';
import { update, updateUdp } from '../../src/wire/checksum.ts';
import { ipv4 } from '../../src/wire/ipv4.ts';
import { ipv6 } from '../../src/wire/ipv6.ts';
import { tcp } from '../../src/wire/tcp.ts';
import { checksumHolds, checksumOffset, isPartial, recompute } from '../../src/wire/transport-checksum.ts';
import { udp } from '../../src/wire/udp.ts';
import { decoded } from '../support/packets.ts';

test.each([
  '10.0.0.1:1 > 10.0.0.2:2 TCP SYN',
  '10.0.0.1:1 > 10.0.0.2:2 TCP ACK len=1',
  '[fd00::1]:1 > [fd00::2]:2 TCP ACK len=1001',
  '10.0.0.1:1 > 10.0.0.2:2 UDP len=7',
  '[fd00::1]:1 > [fd00::2]:2 UDP len=7',
  '10.0.0.1:1 > 10.0.0.2:2 SCTP DATA len=16',
  '10.0.0.1 > 10.0.0.2 ICMP echo-request len=9',
  'fd00::1 > fd00::2 ICMP6 echo-request len=9',
])('%s: any single wrong byte is detected, and recomputing fixes it', (line) => {
  const packet = decoded(line);
  const { frame } = packet;
  expect(checksumHolds(packet)).toBe(true);
  const right = frame.copy();
  for (let at = packet.payload; at < packet.end; at++) {
    frame.bytes[at]! ^= 0x10;
    expect(checksumHolds(packet)).toBe(false);
    frame.bytes[at]! ^= 0x10;
  }
  const at = checksumOffset(packet) < 0 ? packet.transport + 8 : checksumOffset(packet);
  frame.bytes[at]! ^= 0x42;
  expect(checksumHolds(packet)).toBe(false);
  recompute(packet);
  expect(frame.copy()).toEqual(right);
});

describe('partial checksums', () => {
  test.each(['TCP SYN+ACK', 'TCP ACK len=1460', 'UDP len=9'])(
    'of %s are recognized and completed',
    (what) => {
      for (const [a, b] of [
        ['10.0.0.1:1', '10.0.0.2:2'],
        ['[fd00::1]:1', '[fd00::2]:2'],
      ]) {
        const packet = decoded(`${a} > ${b} ${what} partial-checksum`);
        expect(isPartial(packet)).toBe(true);
        recompute(packet);
        expect(packet.frame.copy()).toEqual(decoded(`${a} > ${b} ${what}`).frame.copy());
        expect([isPartial(packet), checksumHolds(packet)]).toEqual([false, true]);
      }
    },
  );
  test.each([
    '10.0.0.1:1 > 10.0.0.2:2 UDP len=1472 frag=0+',
    '10.0.0.1 > 10.0.0.2 UDP len=8 frag=1480',
    '10.0.0.1 > 10.0.0.2 ICMP echo-request',
    '10.0.0.1:1 > 10.0.0.2:2 SCTP INIT',
  ])('are absent: %s', (line) => expect(isPartial(decoded(line))).toBe(false));
});

test('UDP over IPv4 may lack a checksum; over IPv6 it must have one (RFC 8200 section 8.1)', () => {
  expect(checksumHolds(decoded('10.0.0.1:1 > 10.0.0.2:2 UDP len=1 no-checksum'))).toBe(true);
  expect(checksumHolds(decoded('[fd00::1]:1 > [fd00::2]:2 UDP len=1 no-checksum'))).toBe(false);
});

test('a UDP checksum of 0 is written as 0xffff', () => {
  const packet = decoded('0.0.0.0:0 > 0.0.0.0:0 UDP hex=ffda'); // 17 + 10 + 10 + 0xffda = 0xffff
  expect(udp.checksum(packet.frame, packet.transport)).toBe(0xffff);
  expect(checksumHolds(packet)).toBe(true);
});

test.each(['bad-checksum', 'partial-checksum', ''])('fragments are not changed (%s)', (what) => {
  const packet = decoded(`10.0.0.1:1 > 10.0.0.2:2 UDP len=1472 frag=0+ ${what}`);
  const before = packet.frame.copy();
  recompute(packet);
  expect(packet.frame.copy()).toEqual(before);
  expect(checksumHolds(packet)).toBe(true);
});

test('rewriting addresses and ports incrementally equals recomputing everything', () => {
  const end = fc.tuple(fc.ipV4(), fc.nat(0xffff));
  const end6 = fc.tuple(fc.ipV6(), fc.nat(0xffff));
  const family = fc.oneof(fc.tuple(end, end, end, end), fc.tuple(end6, end6, end6, end6));
  const name = ([address, port]: [string, number]) =>
    address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`;
  fc.assert(
    fc.property(family, fc.constantFrom('TCP ACK', 'UDP'), fc.nat(40), ([a, b, c, d], what, length) => {
      const packet = decoded(`${name(a)} > ${name(b)} ${what} len=${length}`);
      const want = decoded(`${name(c)} > ${name(d)} ${what} len=${length}`);
      const { frame, network, transport } = packet;
      const ip = packet.version === 4 ? ipv4 : ipv6;
      const layer = what === 'UDP' ? udp : tcp;
      const change =
        ip.setSrc(frame, network, parseAddress(c[0])!) +
        ip.setDst(frame, network, parseAddress(d[0])!) +
        layer.setSrcPort(frame, transport, c[1]) +
        layer.setDstPort(frame, transport, d[1]);
      (what === 'UDP' ? updateUdp : update)(frame.view, checksumOffset(packet), change);
      expect(frame.copy()).toEqual(want.frame.copy());
    }),
  );
});
