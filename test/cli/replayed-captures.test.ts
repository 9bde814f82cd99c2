/** Real kernels' packets, captured in a laboratory, through the files of conf/: what is sent, and what is left behind. */
import { describe, expect, test } from 'vitest';
import { ipv4 } from '../../src/wire/ipv4.ts';
import { ipv6 } from '../../src/wire/ipv6.ts';
import { readPcap } from '../../src/wire/pcap-file.ts';
import { capturedPackets } from '../support/captures.ts';
import { framed, lineOf } from '../support/packets.ts';
import { replayed } from '../support/replayed.ts';

const DR = {
  capture: 'dr-http-telnet.pcap',
  conf: 'lvs.conf',
  servers: { rs1: '192.168.0.3', rs2: '192.168.0.4' },
};
const NAT = { conf: 'lvs-nat.conf', servers: { rs1: '192.168.1.3' } };

/** The packet as a router sends it on. */
function oneHopFurther(octets: Uint8Array): Uint8Array {
  const frame = framed(octets);
  const at = frame.start;
  if (ipv4.version(frame, at) === 4) ipv4.setTtl(frame, at, ipv4.ttl(frame, at) - 1);
  else ipv6.setHopLimit(frame, at, ipv6.hopLimit(frame, at) - 1);
  return frame.copy();
}

const hex = (octets: Uint8Array): string => Buffer.from(octets).toString('hex');
const sentBy = ({ file }: { readonly file: Uint8Array }) => [...readPcap(file)].map(({ octets }) => octets);

/** A line as NAT to 192.168.1.3 makes it: the VIP's side of a request becomes the server's, and back in a reply. */
const translated = (line: string): string =>
  line.includes('> 192.168.0.101')
    ? line.replace('> 192.168.0.101', '> 192.168.1.3')
    : line.replace('192.168.1.3', '192.168.0.101');

describe('direct routing', () => {
  test.each([
    ['IPv4', DR],
    ['IPv6', { capture: 'dr-http6.pcap', conf: 'ipv6.yaml' }],
  ])('leaves every packet of %s unchanged except for one hop', async (_name, what) => {
    const result = await replayed(what);
    const captured = capturedPackets(what.capture);
    expect(sentBy(result).map(hex)).toEqual(captured.map(oneHopFurther).map(hex));
    expect(result.verdicts).toEqual({ forwarded: captured.length });
  });

  test('sends connections to the servers in turn, and counts them', async () => {
    const { snapshot, connections } = await replayed(DR);
    const www = snapshot.services.find(({ service }) => 'port' in service && service.port === 80)!;
    const counts = www.destinations.map((each) => [
      each.address,
      each.inactiveConnections,
      each.stats.connections,
    ]);
    expect(counts).toEqual([
      ['192.168.0.4', 1, 1],
      ['192.168.0.3', 1, 1],
    ]);
    expect(www.stats).toMatchObject({ connections: 2, outPackets: 0, outOctets: 0 });
    expect(snapshot.stats.inPackets).toBe(capturedPackets(DR.capture).length);
    expect(snapshot.stats.inOctets).toBe(
      capturedPackets(DR.capture).reduce((sum, { length }) => sum + length, 0),
    );
    expect(connections.map(({ state }) => state)).toEqual(['FIN_WAIT', 'FIN_WAIT', 'FIN_WAIT']);
  });
});

describe('NAT', () => {
  test('translates HTTP and telnet: the client sees the VIP, and the server sees the client', async () => {
    const result = await replayed({ ...NAT, capture: 'nat-http-telnet.pcap' });
    const captured = capturedPackets('nat-http-telnet.pcap').map((octets) => lineOf(octets));
    // Port 81 has no service.
    const served = captured.filter((line) => !line.includes(':81 '));
    expect(sentBy(result).map((octets) => lineOf(octets))).toEqual(served.map(translated));
    expect(result.verdicts).toEqual({ forwarded: served.length, pass: captured.length - served.length });
    const states = result.connections.map(({ virtualPort, state }) => `${virtualPort} ${state}`).sort();
    expect(states).toEqual(['23 TIME_WAIT', '80 FIN_WAIT']);
    const { inPackets, outPackets } = result.snapshot.stats;
    expect(inPackets + outPackets).toBe(served.length);
  });

  test('holds UDP fragments until the datagram is complete, and sends the same fragments, in both directions', async () => {
    const result = await replayed({ ...NAT, capture: 'nat-udp.pcap' });
    const captured = capturedPackets('nat-udp.pcap').map((octets) => lineOf(octets));
    expect(sentBy(result).map((octets) => lineOf(octets))).toEqual(captured.map(translated));
    expect(result.verdicts).toEqual({ forwarded: 4, waiting: 4 });
    expect(result.connections).toHaveLength(2);
  });

  test('passes pings, and errors about other traffic, to the host', async () => {
    const result = await replayed({ ...NAT, capture: 'nat-icmp.pcap' });
    expect(result.verdicts).toEqual({ pass: 4 });
    expect(result.sent).toBe(0);
  });
});

test.each([DR, { ...NAT, capture: 'nat-http-telnet.pcap' }, { ...NAT, capture: 'nat-udp.pcap' }])(
  '$capture: a seed gives the same bytes, connections and counters again',
  async (what) => {
    const [one, other] = [await replayed({ ...what, seed: 7 }), await replayed({ ...what, seed: 7 })];
    expect(Buffer.compare(one.file, other.file)).toBe(0);
    expect(other.connections).toEqual(one.connections);
    expect(other.snapshot).toEqual(one.snapshot);
  },
);
