/** ns a packet of the offload's programs, above one that only changes MAC addresses and sends. */
import type { Bpf } from '../src/ebpf/bpf.ts';
import type { Program } from '../src/ebpf/program.ts';
import { testRun } from '../src/ebpf/test-run.ts';
import type { Action } from '../src/offload/actions.ts';
import { type HookName, tc, xdp } from '../src/offload/hooks.ts';
import { type KernelTables, openKernelTables } from '../src/offload/kernel-tables.ts';
import { forwarderCode } from '../src/offload/program.ts';
import { addressFromV4, parseAddress } from '../src/wire/address.ts';
import { packetOfLine } from '../src/wire/packet-line.ts';
import { TCP } from '../src/wire/tcp.ts';
import { ethernetOf } from '../test/support/packets.ts';
import { flowAddress, flowPort, load, swapAndSend, wrapper } from './offload-wrapper.ts';

export const METHODS = ['DR', 'NAT', 'IPIP'] as const;
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

export const actionOf = (method: MethodName, interfaceIndex: number): Action => {
  const hop = { ...MACS, interfaceIndex, vlan: 0, mtu: 1500 };
  switch (method) {
    case 'DR':
      return { kind: 'route', hop };
    case 'NAT':
      return {
        kind: 'toDestination',
        hop,
        translation: { address: VIP, port: 80, newAddress: SERVER, newPort: 8080 },
      };
    case 'IPIP':
      return { kind: 'tunnel4', hop, source: parseAddress('10.1.2.254')!, address: SERVER };
    default:
      return method satisfies never;
  }
};

export interface Filled {
  readonly tables: KernelTables;
  /** Sets the action of all flows. */
  use(action: Action): void;
  /** Number of flows without a slot. */
  readonly unplaced: number;
}

/** Returns a table with `flows` flows of the wrapper. */
export function filled(bpf: Bpf, count: number): Filled {
  const tables = openKernelTables(bpf, { flows: count, flows6: 64, seed: 0x2545f491, actions: 64 });
  const slots: number[] = [];
  let current = tables.actions.hold(actionOf('DR', 1));
  let unplaced = 0;
  for (let flow = 0; flow < count; flow++) {
    const client = addressFromV4(CLIENT + flowAddress(flow));
    const slot = tables.flows.insert(TCP, client, flowPort(flow), VIP, 80, current);
    if (slot < 0) unplaced++;
    else slots.push(slot);
  }
  return {
    tables,
    unplaced,
    use(action) {
      const before = current;
      current = tables.actions.hold(action);
      for (const slot of slots) tables.flows.setAction(slot, current);
      tables.actions.release(before);
    },
  };
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
  const code = forwarderCode({ hook: HOOKS[hook], tables: table.tables.tables });
  const program = load(bpf, hook, `lvs_${hook}`, code);
  const baselines: number[] = [];
  const net = Object.fromEntries(
    METHODS.map((method) => {
      table.use(actionOf(method, 1));
      // The kernel encapsulates a packet buffer only once: each run needs a new one.
      const measure =
        hook === 'tc' && method === 'IPIP'
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
