import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { rewriteDestination, rewriteSource } from '../../src/forwarding/nat.ts';
import { pseudoSum } from '../../src/wire/checksum.ts';
import { ipv4 } from '../../src/wire/ipv4.ts';
import { Packet } from '../../src/wire/packet.ts';
import { SCTP } from '../../src/wire/sctp.ts';
import { TCP, TCP_CHECKSUM } from '../../src/wire/tcp.ts';
import { checksumHolds } from '../../src/wire/transport-checksum.ts';
import { UDP, UDP_CHECKSUM } from '../../src/wire/udp.ts';
import { addressLike, type Datagram, datagram, packetOf } from './datagrams.ts';

const octets = (packet: Packet) => packet.frame.copy();
const decoded = (packet: Packet): Packet => {
  const again = new Packet();
  again.decode(packet.frame);
  return again;
};
const sound = (packet: Packet): boolean => {
  const again = decoded(packet);
  return (again.version === 6 || ipv4.checksumHolds(again.frame, again.network)) && checksumHolds(again);
};
/** A datagram with an endpoint to translate it to. */
const translated = datagram().chain((one) =>
  fc.tuple(fc.constant(one), addressLike(one.version), fc.integer({ min: 1, max: 65_535 })),
);

describe.each([
  ['the destination', rewriteDestination, 'dst', 'dstPort'],
  ['the source', rewriteSource, 'src', 'srcPort'],
] as const)('rewriting %s', (_name, rewrite, address, port) => {
  test('sets address and port, keeps every checksum right, and can be undone', () => {
    fc.assert(
      fc.property(translated, ([one, to, toPort]) => {
        const packet = packetOf(one);
        const before = octets(packet);
        rewrite(packet, to, toPort);
        const after = decoded(packet);
        expect([...after[address], after[port]]).toEqual([...to, toPort]);
        expect(sound(after)).toBe(true);
        rewrite(after, one[address], one[port]);
        expect(octets(after)).toEqual(before);
      }),
    );
  });

  test('completes a checksum that was left to the network card', () => {
    fc.assert(
      fc.property(translated, ([one, to, toPort]) => {
        const packet = packetOf(one);
        if (packet.protocol === SCTP) return;
        leaveUnfinished(packet);
        rewrite(packet, to, toPort);
        expect(sound(packet)).toBe(true);
      }),
    );
  });

  test('does not hide damage from the receiver', () => {
    fc.assert(
      fc.property(translated, fc.nat(), ([one, to, toPort], at) => {
        if (one.protocol === SCTP || one.data.length === 0) return;
        const packet = packetOf(one);
        const { bytes, end } = packet.frame;
        const damaged = end - 1 - (at % one.data.length);
        bytes[damaged] = bytes[damaged]! ^ 0x10;
        rewrite(packet, to, toPort);
        expect(sound(packet)).toBe(false);
      }),
    );
  });

  test('gives a UDP datagram without a checksum one', () => {
    fc.assert(
      fc.property(translated, ([one, to, toPort]) => {
        const packet = packetOf({ ...one, protocol: UDP });
        packet.frame.view.setUint16(packet.transport + UDP_CHECKSUM, 0);
        rewrite(packet, to, toPort);
        expect(packet.frame.view.getUint16(packet.transport + UDP_CHECKSUM)).not.toBe(0);
        expect(sound(packet)).toBe(true);
      }),
    );
  });
});

test('a wrong SCTP checksum stays wrong when no port changes', () => {
  const [one] = fc.sample(datagram(), { numRuns: 1, seed: 1 }) as [Datagram];
  const packet = packetOf({ ...one, protocol: SCTP });
  packet.frame.bytes[packet.transport + 8]! ^= 1;
  rewriteDestination(packet, one.src, one.dstPort);
  expect(sound(packet)).toBe(false);
});

/** What a sender with transmit offload leaves in the checksum field: the pseudo header's sum. */
function leaveUnfinished(packet: Packet): void {
  const { frame, transport, end, protocol, src, dst } = packet;
  const field = protocol === TCP ? TCP_CHECKSUM : UDP_CHECKSUM;
  frame.view.setUint16(transport + field, pseudoSum(src, dst, protocol, end - transport));
}
