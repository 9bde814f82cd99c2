/** ns a packet of the offload's programs, above one that only changes MAC addresses and sends. */
import { cpus } from 'node:os';
import { MASQ, ROUTE, TUNNEL as TUNNELED } from '../src/director/connection-flags.ts';
import { ConnectionTable } from '../src/director/connections.ts';
import type { Bpf } from '../src/ebpf/bpf.ts';
import type { Program } from '../src/ebpf/program.ts';
import { testRun } from '../src/ebpf/test-run.ts';
import { type Arrays, kernelArrays } from '../src/offload/arrays.ts';
import { type HookName, tc, xdp } from '../src/offload/hooks.ts';
import { KernelMemory } from '../src/offload/kernel-memory.ts';
import { NextHops } from '../src/offload/next-hops.ts';
import { forwarderCode } from '../src/offload/program.ts';
import { ProcessorCounters } from '../src/table/counters.ts';
import { DESTINATION, DESTINATION_FLAGS, SETTINGS_BYTES, TUNNEL } from '../src/table/record-layout.ts';
import { Ticks } from '../src/table/ticks.ts';
import { addressFromV4, parseAddress } from '../src/wire/address.ts';
import { packetOfLine } from '../src/wire/packet-line.ts';
import { TCP } from '../src/wire/tcp.ts';
import { ethernetOf } from '../test/support/packets.ts';
import { flowAddress, flowPort, load, swapAndSend, wrapper } from './offload-wrapper.ts';

export const METHODS = ['DR', 'NAT', 'IPIP', 'GUE', 'GUE csum', 'GRE', 'GRE csum'] as const;
export type MethodName = (typeof METHODS)[number];
const HOOKS = { xdp, tc } as const;
/** What a program returns that redirects, by hook; XDP_TX and TC_ACT_STOLEN of the baseline. */
const REDIRECTED = { xdp: 4, tc: 7 } as const;
const SENT = { xdp: 3, tc: 4 } as const;

const CLIENT = 0x0a000001;
const VIP = parseAddress('192.0.2.80')!;
const SERVER = parseAddress('10.1.2.3')!;
/** To the loopback device, which packets of a test run come in by. */
const MACS = { to: new Uint8Array(6), from: Uint8Array.of(2, 0, 0, 0, 0, 2) };

/** Returns a client's ACK of the shortest length that Ethernet has. */
export const frame = (): Uint8Array<ArrayBuffer> => {
  const octets = Uint8Array.from({ length: 64 }, () => 0);
  octets.set(ethernetOf(packetOfLine('10.0.0.1:10000 > 192.0.2.80:80 ACK len=10 DF'), MACS.to, MACS.from));
  return octets;
};

/** The method of connections, and the kind of a tunnel. */
const KINDS: Readonly<Record<MethodName, { readonly flags: number; readonly tunnel: number }>> = {
  DR: { flags: ROUTE, tunnel: 0 },
  NAT: { flags: MASQ, tunnel: 0 },
  IPIP: { flags: TUNNELED, tunnel: TUNNEL.ipip },
  GUE: { flags: TUNNELED, tunnel: TUNNEL.gue },
  'GUE csum': { flags: TUNNELED, tunnel: TUNNEL.gue | TUNNEL.csum },
  GRE: { flags: TUNNELED, tunnel: TUNNEL.gre },
  'GRE csum': { flags: TUNNELED, tunnel: TUNNEL.gre | TUNNEL.csum },
};
const SOURCE = parseAddress('10.1.2.254')!;
const TICK_MS = 4;
/** The only destination's record. */
const DESTINATION_NUMBER = 1;
const RECORDS = 64;

export interface Filled {
  readonly arrays: Arrays;
  /** Makes all connections have this method, by a next hop at the interface. */
  use(method: MethodName, interfaceIndex: number): void;
  /** Connections that found no place. */
  readonly unplaced: number;
}

/** Returns a table with `count` connections of the wrapper. */
export function filled(bpf: Bpf, count: number): Filled {
  const memory = new KernelMemory(bpf);
  const table = new ConnectionTable({
    ...{ limit: count, seed: 0x2545f491, memory, ticks: new Ticks(TICK_MS) },
  });
  const nextHops = new NextHops(memory);
  memory.reserve('settings', SETTINGS_BYTES);
  new ProcessorCounters(memory, cpus().length, RECORDS);
  const { records } = table;
  records.set(DESTINATION_NUMBER, SERVER, 8080);
  records.setWord(DESTINATION_NUMBER, DESTINATION.flags, DESTINATION_FLAGS.AVAILABLE);
  records.setWord(DESTINATION_NUMBER, DESTINATION.weight, 1);
  const it = {
    arrays: kernelArrays(bpf, memory, {
      ...{ places: table.homes, secrets: table.secrets, capacity: table.places },
      ...{ records: RECORDS, processors: cpus().length },
      clock: { tickMs: TICK_MS, shift: 0, offset: 0n },
    }),
    unplaced: 0,
    use(method: MethodName, interfaceIndex: number): void {
      for (const row of [...table.rows()]) table.remove(row);
      const hop = nextHops.numberOf({ ...MACS, interfaceIndex, vlan: 0, mtu: 1500, source: SOURCE }, SERVER);
      records.setHalf(DESTINATION_NUMBER, DESTINATION.nextHop, hop);
      const { flags, tunnel } = KINDS[method];
      records.setHalf(DESTINATION_NUMBER, DESTINATION.tunnel, tunnel);
      records.setHalf(DESTINATION_NUMBER, DESTINATION.tunnelPort, 6080);
      it.unplaced = 0;
      for (let flow = 0; flow < count; flow++) {
        const caddr = addressFromV4(CLIENT + flowAddress(flow));
        const ends = { protocol: TCP, caddr, cport: flowPort(flow), vaddr: VIP, vport: 80 };
        const dport = method === 'NAT' ? 8080 : 80;
        const made = { destination: DESTINATION_NUMBER, dport, flags, salt: 0 };
        if (table.add(ends, made) < 0) it.unplaced++;
      }
    },
  };
  it.use('DR', 1);
  return it;
}

/** Runs of one packet each, where a packet cannot be used again: with cold caches and the clock's own cost, so rough. */
const SINGLE_RUNS = 501;

/** Medians of the rounds, ns. */
export interface Costs {
  readonly baseline: number;
  readonly net: Readonly<Record<MethodName, number>>;
}

export function costs(bpf: Bpf, hook: HookName, table: Filled, flows: number, rounds: number): Costs {
  const around = wrapper(bpf, hook, frame(), flows);
  const packet = frame();
  // Every flow once at least, in every round.
  const repeat = Math.max(200_000, flows);
  const once = (program: Program, expected: number, times: number): number => {
    around.measure(program);
    const { result, nanoseconds } = testRun(bpf, around.program, packet, { repeat: times });
    if (result !== expected) throw new Error(`${program.name} returned ${result}, not ${expected}`);
    return nanoseconds;
  };
  const singly = (program: Program, expected: number): number =>
    median(Array.from({ length: SINGLE_RUNS }, () => once(program, expected, 1)));
  const swap = swapAndSend(bpf, hook);
  const code = forwarderCode({ hook: HOOKS[hook], arrays: table.arrays });
  const program = load(bpf, hook, `lvs_${hook}`, code);
  const baselines: number[] = [];
  const net = Object.fromEntries(
    METHODS.map((method) => {
      table.use(method, 1);
      // The kernel encapsulates a packet buffer only once: each run needs a new one.
      const measure =
        hook === 'tc' && KINDS[method].flags === TUNNELED
          ? singly
          : (one: Program, expected: number) => once(one, expected, repeat);
      measure(program, REDIRECTED[hook]);
      const differences: number[] = [];
      for (let round = 0; round < rounds; round++) {
        const baseline = measure(swap, SENT[hook]);
        if (measure !== singly) baselines.push(baseline);
        differences.push(measure(program, REDIRECTED[hook]) - baseline);
      }
      return [method, median(differences)];
    }),
  ) as Record<MethodName, number>;
  return { baseline: median(baselines), net };
}

export const median = (values: readonly number[]): number =>
  values.toSorted((a, b) => a - b)[values.length >> 1]!;
