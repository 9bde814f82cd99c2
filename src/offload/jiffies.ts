/** The clock of programs: jiffies, which cost a program nearly nothing, as ticks of the director's clock. */
import { setTimeout as sleep } from 'node:timers/promises';
import { assemble } from '../ebpf/assemble.ts';
import type { Bpf } from '../ebpf/bpf.ts';
import { JIFFIES64 } from '../ebpf/helper.ts';
import { call, exit, R0, rsh } from '../ebpf/instruction.ts';
import { Program } from '../ebpf/program.ts';
import { testRun } from '../ebpf/test-run.ts';
import { type SharedClock, shiftOfJiffies } from '../table/ticks.ts';

/** Jiffies in a second that kernels have (CONFIG_HZ). */
const RATES = [100, 250, 300, 1000];
/** ms between two readings, by which the rates differ by several jiffies. */
const INTERVAL = 120;
/** Attempts to read both clocks within the same ms: other programs may have the processor in between. */
const MAX_READINGS = 100;
/** Bytes of the shortest packet of a test run. */
const PACKET = new Uint8Array(64);

interface Reading {
  readonly jiffies: bigint;
  /** ms of the director's clock, and by how much later the jiffies may have been read. */
  readonly at: number;
  readonly error: number;
}

/** Measures the kernel's jiffies against the clock of the director, `now`, in ms. Throws SystemCallError, VerifierError. */
export async function measureJiffies(bpf: Bpf, now: () => number): Promise<SharedClock> {
  using lower = reader(bpf, []);
  using upper = reader(bpf, [rsh.imm(R0, 32)]);
  const readOnce = (): Reading => {
    for (;;) {
      const before = testRun(bpf, upper, PACKET).result >>> 0;
      const at = now();
      const low = testRun(bpf, lower, PACKET).result >>> 0;
      const error = now() - at;
      if (testRun(bpf, upper, PACKET).result >>> 0 === before)
        return { jiffies: (BigInt(before) << 32n) | BigInt(low), at, error };
    }
  };
  const read = (): Reading => {
    let best = readOnce();
    for (let i = 1; i < MAX_READINGS && best.error > 0; i++) {
      const next = readOnce();
      if (next.error < best.error) best = next;
    }
    return best;
  };
  const first = read();
  await sleep(INTERVAL);
  const second = read();
  const measured = (Number(second.jiffies - first.jiffies) * 1000) / (second.at - first.at);
  const rate = RATES.reduce((best, each) =>
    Math.abs(each - measured) < Math.abs(best - measured) ? each : best,
  );
  const shift = shiftOfJiffies(rate);
  const offset = BigInt(Math.floor((second.at * rate) / 1000)) - second.jiffies;
  return { tickMs: (1000 * 2 ** shift) / rate, shift, offset };
}

/** A program that returns part of the jiffies. */
const reader = (bpf: Bpf, part: readonly ReturnType<typeof exit>[]): Program =>
  new Program(bpf, {
    type: 'schedulerClassifier',
    name: 'lvs_jiffies',
    code: assemble([call(JIFFIES64), part, exit()]),
  });
