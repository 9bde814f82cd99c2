/**
 * New connections/s on one processor, with real frames: from a generator of SYNs through a director's namespace, whose
 * programs admit them, to a counting drop. Includes the generator and the veth devices.
 */
import { setTimeout as pause } from 'node:timers/promises';
import type { Bpf } from '../src/ebpf/bpf.ts';
import { attachXdp } from '../src/ebpf/link.ts';
import { BpfMap } from '../src/ebpf/map.ts';
import { testRun } from '../src/ebpf/test-run.ts';
import { type HookName, tc, xdp } from '../src/offload/hooks.ts';
import { TcAttach } from '../src/offload/tc-attach.ts';
import { enterNetworkNamespace } from '../src/sys/network-namespace.ts';
import { parseMac } from '../src/wire/ethernet.ts';
import { packetOfLine } from '../src/wire/packet-line.ts';
import { ethernetOf } from '../test/support/packets.ts';
import { AdmissionScene, FIRST_PACKET } from './admission-scene.ts';
import { LANE_MACS, LaneNetwork, run } from './lane.ts';
import { median } from './offload-cost.ts';
import { counting, frameGenerator } from './offload-live.ts';

/** Connections of a round, each of another client port. */
const FLOWS = 2 ** 18;
const BATCH = 64;
const DESTINATIONS = 16;
const HOOKS = { xdp, tc } as const;
const CASES = [
  ['rr', 'dr'],
  ['rr', 'nat'],
  ['wlc', 'nat'],
] as const;
const FILTER = { name: 'lvs_bench', handle: 0x1756 };

/** Median and best round, connections/s. */
export interface NewConnections {
  readonly scheduler: string;
  readonly method: string;
  readonly median: number;
  readonly best: number;
  /** SYNs that did not become a connection, of all rounds: none is expected. */
  readonly missed: number;
}

const mac = (name: keyof typeof LANE_MACS) => parseMac(LANE_MACS[name])!;

/** Yields the figures of each scheduler and method. */
export async function* newConnections(
  bpf: Bpf,
  hookName: HookName,
  rounds: number,
): AsyncIterable<NewConnections> {
  const { system } = bpf;
  using network = new LaneNetwork();
  // A veth receives frames of XDP only while it polls.
  run('ip', 'netns', 'exec', network.director, 'ethtool', '-K', 'd0', 'gro', 'on');
  const counter = new BpfMap(bpf, { type: 'array', keySize: 4, valueSize: 8, entries: 1, mapped: true });
  const received = new BigUint64Array(counter.mapped().bytes.buffer);
  enterNetworkNamespace(system, network.server);
  using _counting = attachXdp(bpf, counting(bpf, counter.descriptor), system.interfaceIndex('r1'), 'driver');
  enterNetworkNamespace(system, network.director);
  const [ingress, egress] = [system.interfaceIndex('d0'), system.interfaceIndex('d1')];
  const macs = { to: mac('r1'), from: mac('d1') };
  const scene = new AdmissionScene(bpf, { hook: HOOKS[hookName], ingress, egress, macs, limit: 4 * FLOWS });
  using filters = hookName === 'tc' ? new TcAttach(bpf, scene.known, { filter: FILTER }) : undefined;
  using _attached = filters?.attach(ingress) ?? attachXdp(bpf, scene.known, ingress, 'driver');
  enterNetworkNamespace(system, network.generator);
  const frame = ethernetOf(packetOfLine(FIRST_PACKET), mac('d0'), mac('g0'));
  const interfaceIndex = system.interfaceIndex('g0');
  const generator = frameGenerator(bpf, frame, FLOWS, interfaceIndex);
  const round = async () => {
    scene.clear();
    const before = received[0]!;
    const begin = performance.now();
    testRun(bpf, generator, frame, { repeat: FLOWS, interfaceIndex, live: { batch: BATCH } });
    // What is still under way arrives meanwhile.
    for (let last = -1n; last !== received[0]!; ) {
      last = received[0]!;
      await pause(0);
    }
    const seconds = (performance.now() - begin) / 1000;
    const admitted = Math.min(scene.connections, Number(received[0]! - before));
    return { rate: admitted / seconds, missed: FLOWS - admitted };
  };
  for (const [scheduler, method] of CASES) {
    await scene.serve(scheduler, DESTINATIONS, method);
    await round();
    const rates: number[] = [];
    let missed = 0;
    for (let i = 0; i < rounds; i++) {
      const figures = await round();
      rates.push(figures.rate);
      missed += figures.missed;
    }
    yield { scheduler, method, median: median(rates), best: Math.max(...rates), missed };
  }
}
