import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { tunnelOverhead } from '../../src/forwarding/tunnel.ts';
import type { Connection } from '../../src/model/connection.ts';
import type { ForwardingMethodName, TunnelOptions } from '../../src/model/destination.ts';
import { packetOfLine } from '../../src/wire/packet-line.ts';
import { TCP } from '../../src/wire/tcp.ts';
import { UDP } from '../../src/wire/udp.ts';
import { type Datagram, datagram, packetOf } from '../forwarding/datagrams.ts';
import { address, destinationAt } from '../forwarding/recorded-host.ts';
import { lineOf } from '../support/packets.ts';
import { serviceKeys } from '../support/service-keys.ts';
import { Datapath } from './datapath.ts';
import { arriving, HOOKS, ipOf, LEFT, MTU, noKernel, typescript } from './datapaths.ts';

const VIP = { 4: '192.0.2.80', 6: '2001:db8::80' } as const;
const CLIENT = { 4: '203.0.113.7', 6: '2001:db8:1::7' } as const;
const SERVER = { 4: '10.1.0.11', 6: 'fd01::11' } as const;
const IPIP: TunnelOptions = { type: 'ipip', port: 0, checksum: 'none' };
/** Every kind of tunnel. */
const TUNNELS: readonly TunnelOptions[] = [
  IPIP,
  { type: 'gue', port: 6080, checksum: 'none' },
  { type: 'gue', port: 6080, checksum: 'csum' },
  { type: 'gue', port: 5555, checksum: 'remcsum' },
  { type: 'gre', port: 0, checksum: 'none' },
  { type: 'gre', port: 0, checksum: 'csum' },
];
const isSummed = ({ checksum }: TunnelOptions) => checksum !== 'none';
const nameOf = ({ type, checksum }: TunnelOptions) =>
  `${type}${checksum === 'none' ? '' : ` with ${checksum}`}`;
const bracket = (text: string) => (text.includes(':') ? `[${text}]` : text);

function connection(
  method: ForwardingMethodName,
  version: 4 | 6 = 4,
  protocol = TCP,
  server: string = SERVER[version],
  tunnel: TunnelOptions = IPIP,
): Connection {
  const dport = method === 'nat' ? 8080 : 80;
  return {
    row: 0,
    protocol,
    caddr: address(CLIENT[version]),
    cport: 4000,
    vaddr: address(VIP[version]),
    vport: 80,
    dport,
    destination: destinationAt(server, dport, method, tunnel),
    method,
  };
}

const line = (version: 4 | 6, rest: string) =>
  `${bracket(CLIENT[version])}:4000 > ${bracket(VIP[version])}:80 ${rest}`;
const reply = (version: 4 | 6, rest: string) =>
  `${bracket(SERVER[version])}:8080 > ${bracket(CLIENT[version])}:4000 ${rest}`;

test('this kernel can load programs', ({ skip }) => skip(noKernel !== undefined, noKernel));

const services = serviceKeys({
  services: ([4, 6] as const).flatMap((version) =>
    (['tcp', 'udp'] as const).map((protocol) => ({
      service: { protocol, address: VIP[version], port: 80 },
      destinations: [{ method: 'nat' as const, address: SERVER[version], port: 8080 }],
    })),
  ),
  own: [address(VIP[4]), address(VIP[6]), address('10.1.0.254')],
});

interface How {
  readonly method: 'nat' | 'dr' | 'tunnel';
  /** IP version of the destination of a tunnel. */
  readonly outer: 4 | 6;
  readonly tunnel: TunnelOptions;
}

/** A connection that the datagram belongs to. */
function boundTo(one: Datagram, { method, outer, tunnel }: How, dport: number): Connection {
  const { protocol, version } = one;
  return {
    row: 0,
    protocol,
    caddr: one.src,
    cport: one.srcPort,
    vaddr: one.dst,
    vport: one.dstPort,
    dport,
    destination: destinationAt(SERVER[method === 'tunnel' ? outer : version], dport, method, tunnel),
    method,
  };
}

/** The same datagram from the destination to the client. */
const answer = (one: Datagram, { destination, dport }: Connection): Datagram => ({
  ...one,
  src: destination.address,
  srcPort: dport,
  dst: one.src,
  dstPort: one.srcPort,
});

/** What a program has to forward: everything plain. */
function isEligible(one: Datagram, { method, outer, tunnel }: How, octets: Uint8Array, mtu: number): boolean {
  if (one.protocol !== TCP && one.protocol !== UDP) return false;
  const fits = method === 'tunnel' ? mtu - tunnelOverhead(tunnel, outer) : mtu;
  return one.options === 0 && octets.length <= fits && (method !== 'tunnel' || outer === 4 || fits >= 1280);
}

const hooks = Object.keys(HOOKS) as (keyof typeof HOOKS)[];
const datapaths: (readonly [string, () => Datapath, boolean])[] = hooks.flatMap((hook) => [
  [`${hook}, interpreted`, () => Datapath.interpreted(hook, services), false] as const,
  ...(noKernel === undefined
    ? [[`${hook}, BPF_PROG_TEST_RUN`, () => Datapath.inKernel(hook), true] as const]
    : []),
]);

/** Packets of a known connection that are forwarded: by method, IP version, and what tunnels go through. */
const FORWARDED: readonly [string, Connection, string, boolean?][] = [
  ['DR, IPv4 TCP', connection('dr'), line(4, 'ACK len=512')],
  ['DR, IPv4 TCP without data, padded', connection('dr'), line(4, 'ACK')],
  ['DR, IPv4 UDP', connection('dr', 4, UDP), line(4, 'UDP len=64')],
  ['DR, IPv4 UDP without a checksum', connection('dr', 4, UDP), line(4, 'UDP len=64 no-checksum')],
  ['DR, IPv6 TCP', connection('dr', 6), line(6, 'PSH+ACK len=512')],
  ['DR, IPv6 UDP', connection('dr', 6, UDP), line(6, 'UDP len=1')],
  ['DR, the first packet again', connection('dr'), line(4, 'SYN')],
  ['DR, an end', connection('dr'), line(4, 'FIN+ACK')],
  ['NAT request, a reset', connection('nat'), line(4, 'RST')],
  ['NAT request, a segment without ACK', connection('nat'), line(4, 'PSH len=4')],
  ['DR, as long as the link carries', connection('dr'), line(4, 'ACK len=1460 DF')],
  ['DR, a time to live of 2', connection('dr'), line(4, 'ACK ttl=2')],
  ['NAT request, IPv4 TCP', connection('nat'), line(4, 'ACK len=512')],
  ['NAT request, a wrong checksum stays wrong', connection('nat'), line(4, 'ACK len=9 bad-checksum')],
  ['NAT request, IPv4 UDP', connection('nat', 4, UDP), line(4, 'UDP len=65')],
  ['NAT request, IPv6 TCP', connection('nat', 6), line(6, 'ACK len=3 ttl=255')],
  ['NAT request, IPv6 UDP', connection('nat', 6, UDP), line(6, 'UDP len=300')],
  ['NAT reply, IPv4 TCP', connection('nat'), reply(4, 'PSH+ACK len=1000 DF'), true],
  ['NAT reply, IPv4 UDP', connection('nat', 4, UDP), reply(4, 'UDP len=0'), true],
  ['NAT reply, IPv6 TCP', connection('nat', 6), reply(6, 'ACK'), true],
  ['NAT reply, IPv6 UDP', connection('nat', 6, UDP), reply(6, 'UDP len=10'), true],
  ...TUNNELS.flatMap((tunnel): [string, Connection, string][] => {
    const through = (version: 4 | 6, outer: 4 | 6, protocol = TCP) =>
      connection('tunnel', version, protocol, SERVER[outer], tunnel);
    const name = nameOf(tunnel);
    const most = (inner: number, outer: 4 | 6) => MTU - tunnelOverhead(tunnel, outer) - inner;
    return [
      [`IPv4 by ${name} over IPv4`, through(4, 4), line(4, 'ACK len=512 DF')],
      [`IPv4 by ${name} over IPv4, odd length`, through(4, 4), line(4, 'ACK len=511 DF')],
      [`IPv4 by ${name} over IPv4, without DF`, through(4, 4), line(4, 'ACK len=8')],
      [`IPv4 by ${name} over IPv4, congestion experienced`, through(4, 4), line(4, 'ACK len=5 DF tos=187')],
      [`IPv4 by ${name} over IPv4, just fits`, through(4, 4, UDP), line(4, `UDP len=${most(28, 4)} DF`)],
      [`IPv4 by ${name} over IPv6`, through(4, 6), line(4, 'ACK len=512 tos=3')],
      [`IPv4 by ${name} over IPv6, UDP`, through(4, 6, UDP), line(4, 'UDP len=0')],
      [`IPv6 by ${name} over IPv4`, through(6, 4), line(6, 'ACK len=7')],
      [`IPv6 by ${name} over IPv4, UDP`, through(6, 4, UDP), line(6, 'UDP len=77 ttl=3')],
      [`IPv6 by ${name} over IPv6`, through(6, 6), line(6, 'ACK len=512 tos=255')],
      [`IPv6 by ${name} over IPv6, just fits`, through(6, 6), line(6, `ACK len=${most(60, 6)}`)],
    ];
  }),
];

describe.each(datapaths)('%s', (_name, open, inKernel) => {
  const datapath = open();

  test.each(FORWARDED)('forwards %s as the forwarding method does', (_what, one, text, isReply = false) => {
    datapath.install(one);
    const octets = packetOfLine(text);
    const { verdict, sent } = typescript(octets, one, isReply);
    expect(verdict).toBe('forwarded');
    const { fate, frame } = datapath.run(arriving(octets));
    expect(fate).toBe('forwarded');
    expect(lineOf(ipOf(frame))).toBe(lineOf(sent[0]!));
    expect(ipOf(frame)).toEqual(sent[0]);
    expect([frame.subarray(0, 6), frame.subarray(6, 12)]).toEqual([LEFT.to, LEFT.from]);
    const { length } = octets;
    expect(datapath.counted()).toEqual(isReply ? [0, 0, 1, length] : [1, length, 0, 0]);
  });

  test('forwards random packets as the method does, or leaves them unchanged', () => {
    const how = fc.record<How>({
      method: fc.constantFrom('nat', 'dr', 'tunnel', 'tunnel'),
      outer: fc.constantFrom(4, 6),
      tunnel: fc.constantFrom(...TUNNELS),
    });
    const scene = fc.tuple(datagram(), how, fc.nat(1500), fc.boolean(), fc.integer({ min: 1, max: 65_535 }));
    fc.assert(
      fc.property(scene, ([one, how, mtu, isReply, dport]) => {
        const bound = boundTo(one, how, dport);
        datapath.mtu = Math.max(80, mtu);
        datapath.install(bound);
        const octets = packetOf(isReply && how.method === 'nat' ? answer(one, bound) : one).frame.copy();
        const arrived = arriving(octets);
        const { fate, frame } = datapath.run(arrived);
        const backwards = isReply && how.method === 'nat';
        const { verdict, sent } = typescript(octets, bound, backwards, datapath.mtu);
        const eligible = isEligible(one, how, octets, datapath.mtu);
        expect(fate === 'forwarded').toBe(eligible);
        if (!eligible) expect(frame).toEqual(arrived);
        else expect([verdict, sent.map((each) => [...each])]).toEqual(['forwarded', [[...ipOf(frame)]]]);
      }),
      { numRuns: datapath.hook === 'xdp' ? 300 : 200 },
    );
    datapath.mtu = MTU;
  });

  test.each<[string, Connection, string]>([
    ['a time to live that ends here', connection('dr'), line(4, 'ACK ttl=1')],
    ['a time to live that ends here, IPv6', connection('nat', 6), line(6, 'ACK ttl=1')],
    ['too long for the link', connection('dr'), line(4, 'ACK len=1461 DF')],
    ['too long for the tunnel', connection('tunnel'), line(4, 'ACK len=1441 DF')],
    ['NAT of a datagram without checksum', connection('nat', 4, UDP), line(4, 'UDP len=8 no-checksum')],
    ...TUNNELS.map((tunnel): [string, Connection, string] => [
      `too long for ${nameOf(tunnel)}`,
      connection('tunnel', 6, TCP, SERVER[4], tunnel),
      line(6, `ACK len=${MTU - tunnelOverhead(tunnel, 4) - 59}`),
    ]),
    ...TUNNELS.filter(isSummed).map((tunnel): [string, Connection, string] => [
      `a datagram without checksum by ${nameOf(tunnel)}`,
      connection('tunnel', 4, UDP, SERVER[4], tunnel),
      line(4, 'UDP len=9 no-checksum DF'),
    ]),
    ['another protocol’s packet of the same ports', connection('dr'), line(4, 'UDP len=20')],
    ['a stranger', connection('dr'), line(4, 'ACK').replace('4000', '4001')],
    ['a fragment', connection('dr', 4, UDP), line(4, 'UDP len=64 frag=0+')],
    ['a later fragment', connection('dr', 4, UDP), `${CLIENT[4]} > ${VIP[4]} UDP frag=64 len=64`],
    ['a later fragment, IPv6', connection('dr', 6, UDP), `${CLIENT[6]} > ${VIP[6]} UDP frag=64 len=64`],
  ])('sends %s to the director unchanged', (_what, one, text) => {
    datapath.install(one);
    const frame = arriving(packetOfLine(text));
    const outcome = datapath.run(frame);
    // A test run does not tell where to, and in the kernel's map there is no service.
    expect(outcome.fate).toBe(inKernel ? 'pass' : 'up');
    expect(outcome.frame).toEqual(frame);
    expect(datapath.counted()).toEqual([0, 0, 0, 0]);
  });
});

describe('the tc program, interpreted, with packet metadata,', () => {
  const datapath = Datapath.interpreted('tc', services);

  test.each(TUNNELS)(
    'sends merged packets to the director where each needs a checksum: $type $checksum',
    (tunnel) => {
      datapath.install(connection('tunnel', 4, TCP, SERVER[6], tunnel));
      const frame = arriving(packetOfLine(line(4, 'ACK len=3001')));
      expect(datapath.run(frame, { gsoSize: 1000 }).fate).toBe(isSummed(tunnel) ? 'up' : 'forwarded');
    },
  );

  test('passes a frame to another host', () => {
    datapath.install(connection('dr'));
    const frame = arriving(packetOfLine(line(4, 'ACK len=9')));
    expect(datapath.run(frame, { type: 0 }).fate).toBe('forwarded');
    for (const type of [1, 2, 3]) expect(datapath.run(frame, { type })).toEqual({ fate: 'pass', frame });
    const first = arriving(packetOfLine(line(4, 'SYN').replace('4000', '4001')));
    expect([0, 3].map((type) => datapath.run(first, { type }).fate)).toEqual(['up', 'pass']);
  });

  test.each([
    ['TCP', connection('nat'), line(4, 'ACK len=3001'), 1000, 4, 3001 + 4 * 40],
    ['TCP, IPv6', connection('dr', 6), line(6, 'ACK len=3000'), 1000, 3, 3000 + 3 * 60],
    ['TCP, one piece', connection('nat'), line(4, 'ACK len=1000'), 1000, 1, 1040],
    ['UDP', connection('dr', 4, UDP), line(4, 'UDP len=2100'), 700, 3, 2100 + 3 * 28],
  ])('counts the segments of merged %s', (_what, one, text, gsoSize, packets, octets) => {
    datapath.install(one);
    expect(datapath.run(arriving(packetOfLine(text)), { gsoSize }).fate).toBe('forwarded');
    expect(datapath.counted()).toEqual([packets, octets, 0, 0]);
  });
});
