import { describe, expect, test } from 'vitest';
import { parseAddress } from '../../src/wire/address.ts';
import { update, updateUdp } from '../../src/wire/checksum.ts';
import { ipv4 } from '../../src/wire/ipv4.ts';
import { ipv6 } from '../../src/wire/ipv6.ts';
import { Packet } from '../../src/wire/packet.ts';
import { tcp } from '../../src/wire/tcp.ts';
import { checksumOffset, isPartial, recompute } from '../../src/wire/transport-checksum.ts';
import { collectionsDuring } from '../support/collections.ts';
import { decoded, frameOf } from '../support/packets.ts';

const ROUNDS = 2e6;
const HIGH = parseAddress('203.0.113.7')!;
const LOW = parseAddress('10.0.0.2')!;
const HIGH6 = parseAddress('fd00::ffff:ffff:1')!;
const LOW6 = parseAddress('2001:db8::1')!;

describe.each<[string, () => (round: number) => void]>([
  [
    'decoding TCP, UDP, fragments and IPv6',
    () => {
      const packet = new Packet();
      const frames = [
        '203.0.113.7:4000 > 192.0.2.80:80 TCP SYN mss=1460',
        '203.0.113.7:4000 > 192.0.2.80:80 UDP len=9',
        '[2001:db8::7]:4000 > [fd00::ffff:80]:80 TCP ACK len=30',
        '[::1]:5 > [::2]:10 UDP len=16 frag=0+',
      ].map(frameOf);
      return (round) => void packet.decode(frames[round & 3]!);
    },
  ],
  [
    'translating an IPv4 packet',
    () => {
      const { frame, network, transport } = decoded('203.0.113.7:4000 > 192.0.2.80:80 TCP ACK len=30');
      return (round) => {
        const change =
          ipv4.setDst(frame, network, (round & 1) === 0 ? LOW : HIGH) +
          tcp.setDstPort(frame, transport, round & 0xffff);
        update(frame.view, transport + 16, change);
        ipv4.setTtl(frame, network, round & 0xff);
      };
    },
  ],
  [
    'translating an IPv6 packet',
    () => {
      const { frame, network, transport } = decoded('[2001:db8::7]:4000 > [2001:db8::80]:80 UDP len=30');
      return (round) => {
        updateUdp(frame.view, transport + 6, ipv6.setSrc(frame, network, (round & 1) === 0 ? LOW6 : HIGH6));
      };
    },
  ],
  [
    'telling a partial checksum, and mending it',
    () => {
      const packet = decoded('203.0.113.7:4000 > 192.0.2.80:80 TCP ACK len=30');
      const at = checksumOffset(packet);
      return (round) => {
        packet.frame.view.setUint16(at, round & 0xffff);
        if (!isPartial(packet)) recompute(packet);
      };
    },
  ],
])('%s', (_name, prepare) => {
  test('allocates no garbage', async () => {
    const once = prepare();
    const many = () => {
      for (let round = 0; round < ROUNDS; round++) once(round);
    };
    many(); // so that the code is optimized
    expect(await collectionsDuring(many)).toBe(0);
  });
});
