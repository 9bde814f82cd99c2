/** Packets that no service claims, as the host's own stack gets them. */
import { describe, expect, test } from 'vitest';
import { DEFAULT_SETTINGS } from '../../../src/model/settings.ts';
import { UnmatchedPackets } from '../../../src/runtime/host/unmatched-packets.ts';
import { formatAddress } from '../../../src/wire/address.ts';
import { address } from '../../forwarding/recorded-host.ts';
import { frameOf, lineOf } from '../../support/packets.ts';

const OWN = ['192.0.2.80', '10.0.0.254'];

/** What the host gets of a packet. `exclusive`: as PacketIo has it. */
async function handed(line: string, exclusive: boolean, inGrace = false): Promise<string[]> {
  const sent: string[] = [];
  const host = {
    transmit: (frame: ReturnType<typeof frameOf>) => sent.push(lineOf(frame.copy())) > 0,
    route: () => ({ mtu: 1500, source: address('10.0.0.254') }),
    isLocal: (to: ReturnType<typeof address>) => OWN.includes(formatAddress(to)),
  };
  const unmatched = new UnmatchedPackets(
    { host, settings: DEFAULT_SETTINGS, nextId: () => 1 },
    exclusive,
    () => 0,
  );
  const service = { protocol: 'tcp', address: '192.0.2.80', port: 80 } as const;
  const destination = { method: 'nat', address: '10.0.0.1', port: 8080 } as const;
  await unmatched.change({ added: [{ service }, { service, destination }], removed: [] });
  if (inGrace) unmatched.beginGrace();
  unmatched.handle(frameOf(line));
  return sent;
}

const REQUEST = '203.0.113.7:4000 > 192.0.2.80:80 ACK';
const OTHERS = [
  '203.0.113.7:4000 > 192.0.2.80:22 SYN',
  '198.51.100.9 > 10.0.0.254 ICMP frag-needed mtu=1200 [10.0.0.254:22 > 203.0.113.7:4000 ACK]',
  '203.0.113.7 > 192.0.2.80 UDP frag=64+ len=64',
];

describe.each([true, false])(
  'a driver that keeps packets from the kernel passes to the host: %s',
  (exclusive) => {
    test('packets to a service, as unmatched', async () => {
      expect(await handed(REQUEST, exclusive)).toEqual([lineOf(frameOf(REQUEST).copy())]);
    });

    test.each(OTHERS)('%s, once', async (line) => {
      expect(await handed(line, exclusive)).toEqual(exclusive ? [lineOf(frameOf(line).copy())] : []);
    });
  },
);

describe.each([true, false])(
  'after a start, with a driver that keeps packets from the kernel: %s',
  (exclusive) => {
    test.each([REQUEST, '203.0.113.7:4000 > 192.0.2.80:80 SYN+ACK', '10.0.0.1:8080 > 203.0.113.7:4000 ACK'])(
      'drops %s: the host would reset a connection of an earlier director',
      async (line) => {
        expect(await handed(line, exclusive, true)).toEqual([]);
      },
    );

    test('passes a segment that begins a connection, and packets of no service', async () => {
      const line = '203.0.113.7:4000 > 192.0.2.80:80 SYN';
      expect(await handed(line, exclusive, true)).toHaveLength(1);
      const other = '203.0.113.7:4000 > 192.0.2.80:22 ACK';
      expect(await handed(other, exclusive, true)).toHaveLength(exclusive ? 1 : 0);
    });
  },
);
