/** ns that programs take to admit a new connection, from its SYN to the packet that leaves, under BPF_PROG_TEST_RUN at XDP. */
import type { Bpf } from '../src/ebpf/bpf.ts';
import type { Program } from '../src/ebpf/program.ts';
import { testRun } from '../src/ebpf/test-run.ts';
import { xdp } from '../src/offload/hooks.ts';
import { packetOfLine } from '../src/wire/packet-line.ts';
import { ethernetOf } from '../test/support/packets.ts';
import { AdmissionScene, FIRST_PACKET } from './admission-scene.ts';
import { median } from './offload-cost.ts';
import { swapAndSend, wrapper } from './offload-wrapper.ts';

/** Schedulers, numbers of destinations, and of denied addresses. */
export const ADMISSIONS = [
  ['rr', 16, 0],
  ['wlc', 16, 0],
  ['wlc', 64, 0],
  ['wlc', 256, 0],
  ['wlc', 1024, 0],
  ['rr', 16, 1],
  ['rr', 16, 100_000],
  ['wlc', 16, 100_000],
] as const;

/** New connections of a round, for which the table has room without an annex. */
const FLOWS = 16_384;
/** The loopback device, which packets of a test run come in by. */
const LOOPBACK = 1;
const MACS = { to: new Uint8Array(6), from: Uint8Array.of(2, 0, 0, 0, 0, 2) };
const REDIRECTED = 4;
const SENT = 3;

/** Yields the medians of the rounds, above a program that only changes MAC addresses and sends. */
export async function* admissions(
  bpf: Bpf,
  rounds: number,
): AsyncIterable<readonly [string, number, number, number]> {
  const options = { hook: xdp, ingress: LOOPBACK, egress: LOOPBACK, macs: MACS, limit: 4 * FLOWS };
  const scene = new AdmissionScene(bpf, options);
  const swap = swapAndSend(bpf, 'xdp');
  const round = () => oneRound(bpf, scene, swap);
  for (const [scheduler, destinations, denied] of ADMISSIONS) {
    await scene.serve(scheduler, destinations);
    scene.deny(denied);
    round();
    yield [scheduler, destinations, denied, median(Array.from({ length: rounds }, round))];
  }
}

/** Returns ns a connection, above the baseline. */
function oneRound(bpf: Bpf, scene: AdmissionScene, swap: Program): number {
  const frame = ethernetOf(packetOfLine(FIRST_PACKET), MACS.to, MACS.from);
  const around = wrapper(bpf, 'xdp', frame, FLOWS);
  const measure = (program: Program, expected: number): number => {
    around.measure(program);
    const { result, nanoseconds } = testRun(bpf, around.program, frame, { repeat: FLOWS });
    if (result !== expected) throw new Error(`${program.name} returned ${result}: expected ${expected}`);
    return nanoseconds;
  };
  const baseline = measure(swap, SENT);
  scene.clear();
  const ns = measure(scene.known, REDIRECTED);
  if (scene.connections !== FLOWS)
    throw new Error(`${scene.connections} connections admitted: expected ${FLOWS}`);
  return ns - baseline;
}
