import { describe, expect, test } from 'vitest';
import type { Bpf } from '../../src/ebpf/bpf.ts';
import { ATTACH_TCX_INGRESS } from '../../src/ebpf/link.ts';
import { Program } from '../../src/ebpf/program.ts';
import { testRun } from '../../src/ebpf/test-run.ts';
import type { Connection } from '../../src/model/connection.ts';
import { decapCode } from '../../src/offload/decap.ts';
import { packetOfLine } from '../../src/wire/packet-line.ts';
import { TCP } from '../../src/wire/tcp.ts';
import { address, destinationAt } from '../forwarding/recorded-host.ts';
import { interpret } from '../support/ebpf/hooks.ts';
import { kernel } from '../support/ebpf/kernel.ts';
import { ARRIVED, arriving, HOOKS, ipOf, noKernel, typescript } from './datapaths.ts';

const VIPS = ['192.0.2.79', '192.0.2.80', '2001:db8::80'].map(address);
type Run = (frame: Uint8Array) => { readonly result: number; readonly packet: Uint8Array };

const hooks = ['xdp', 'tc'] as const;
const places: [string, (typeof hooks)[number], () => Run][] = hooks.flatMap((hook) => {
  const code = decapCode(HOOKS[hook], VIPS);
  const interpreted: Run = (frame) => interpret(hook, code, frame, { arrays: new Map() });
  const inKernel = (): Run => {
    const type = hook === 'xdp' ? 'xdp' : 'schedulerClassifier';
    const attachType = hook === 'tc' ? ATTACH_TCX_INGRESS : 0;
    const program = new Program(kernel as Bpf, { type, name: 'decap', code, attachType });
    return (frame) => testRun(kernel as Bpf, program, frame);
  };
  return [
    [`${hook}, interpreted`, hook, () => interpreted] as [string, typeof hook, () => Run],
    ...(noKernel === undefined
      ? [[`${hook}, BPF_PROG_TEST_RUN`, hook, inKernel] as [string, typeof hook, () => Run]]
      : []),
  ];
});

const connection = (vip: string, client: string, server: string): Connection => ({
  row: 0,
  protocol: TCP,
  caddr: address(client),
  cport: 4000,
  vaddr: address(vip),
  vport: 80,
  dport: 80,
  destination: destinationAt(server, 80, 'tunnel'),
  method: 'tunnel',
});
/** The client's packet as a director puts it into a tunnel. */
function tunnelled(line: string, server: string): Uint8Array {
  const vip = line.includes('[') ? '2001:db8::80' : '192.0.2.80';
  const client = line.includes('[') ? '2001:db8:1::7' : '203.0.113.7';
  return typescript(packetOfLine(line), connection(vip, client, server)).sent[0]!;
}
/** TC_ACT_REDIRECT (include/uapi/linux/pkt_cls.h). */
const TC_REDIRECT = 7;
const FOUR = '203.0.113.7:4000 > 192.0.2.80:80 ACK len=100 DF';
const SIX = '[2001:db8:1::7]:4000 > [2001:db8::80]:80 ACK len=100';

describe.each(places)('%s', (_name, hook, open) => {
  const run = open();

  test.each([
    ['IPv4 in IPv4', FOUR, '10.1.0.11', 20],
    ['IPv6 in IPv4', SIX, '10.1.0.11', 20],
    ['IPv4 in IPv6', FOUR, 'fd01::11', 40],
    ['IPv6 in IPv6', SIX, 'fd01::11', 40],
  ])('decapsulates %s', (_what, line, server, outer) => {
    const octets = tunnelled(line, server);
    const { result, packet } = run(arriving(octets));
    // Where the IP version changes, the interface receives the packet again: tc notes its protocol before it runs.
    const isReceivedAgain = hook === 'tc' && (line === FOUR) !== (outer === 20);
    expect(result).toBe(isReceivedAgain ? TC_REDIRECT : HOOKS[hook].pass);
    expect(ipOf(packet)).toEqual(octets.subarray(outer));
    expect(packet.subarray(0, 14)).toEqual(
      Uint8Array.of(...ARRIVED.to, ...ARRIVED.from, ...(line === FOUR ? [0x08, 0x00] : [0x86, 0xdd])),
    );
  });

  test.each<[string, Uint8Array]>([
    ['a packet without a tunnel', packetOfLine(FOUR)],
    [
      'a packet for another address',
      packetOfLine('10.0.0.1 > 10.0.0.2 proto=4 [203.0.113.7:1 > 192.0.2.81:80 ACK]'),
    ],
    [
      'a packet with a congestion mark',
      packetOfLine('10.0.0.1 > 10.0.0.2 proto=4 tos=3 [203.0.113.7:1 > 192.0.2.80:80 ACK]'),
    ],
    ['a fragment', packetOfLine('10.0.0.1 > 10.0.0.2 proto=4 frag=0+ hex=4500002800000000')],
    ['a payload that claims to be IPv4', packetOfLine(`10.0.0.1 > 10.0.0.2 proto=4 hex=${'60'.repeat(40)}`)],
    ['a truncated packet', packetOfLine('10.0.0.1 > 10.0.0.2 proto=4 hex=45')],
  ])('passes %s unchanged', (_what, octets) => {
    const frame = arriving(octets);
    const { result, packet } = run(frame);
    expect([result, packet]).toEqual([HOOKS[hook].pass, frame]);
  });
});
