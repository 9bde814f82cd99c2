/** Probes which eBPF features this kernel offers, by using each of them once. */
import { assemble } from './assemble.ts';
import type { Bpf } from './bpf.ts';
import {
  atomic,
  COMPARE_EXCHANGE,
  exit,
  FP,
  type Fragment,
  mov,
  R0,
  R1,
  storeImm,
  W,
} from './instruction.ts';
import { ATTACH_TCX_INGRESS, attachTcx } from './link.ts';
import { BpfMap } from './map.ts';
import { Program, VerifierError } from './program.ts';

export interface Feature {
  /** Includes the kernel version that introduced the feature. */
  readonly name: string;
  /** Why the feature is missing; undefined when it is available. */
  readonly missing: string | undefined;
}

/** What was probed. A program that passes every packet is attached to the loopback device for a moment. */
export interface Features {
  readonly maps: Feature;
  readonly mappedMaps: Feature;
  readonly xdp: Feature;
  readonly tcx: Feature;
  readonly exchange: Feature;
}

/** TCX_NEXT and XDP_PASS (include/uapi/linux/bpf.h). */
const NEXT = -1;
const XDP_PASS = 2;
const LOOPBACK = 'lo';

export async function probeFeatures(bpf: Bpf): Promise<Features> {
  return {
    maps: probe('maps', () => new BpfMap(bpf, ONE)[Symbol.dispose]()),
    mappedMaps: probe('maps as shared memory (Linux 5.5)', () => {
      using map = new BpfMap(bpf, { ...ONE, mapped: true });
      map.mapped();
    }),
    xdp: probe('XDP programs (Linux 4.8)', () => {
      using _program = program(bpf, 'xdp', [mov.imm(R0, XDP_PASS), exit()]);
    }),
    tcx: probe('tcx (Linux 6.6)', () => {
      using next = program(bpf, 'schedulerClassifier', [mov.imm(R0, NEXT), exit()]);
      attachTcx(bpf, next, bpf.system.interfaceIndex(LOOPBACK))[Symbol.dispose]();
    }),
    exchange: probe('atomic compare-exchange (Linux 5.12)', () => {
      using _program = program(bpf, 'xdp', [
        storeImm(W, FP, -4, 0),
        mov.imm(R0, 0),
        mov.imm(R1, 1),
        atomic(W, COMPARE_EXCHANGE, FP, -4, R1),
        mov.imm(R0, XDP_PASS),
        exit(),
      ]);
    }),
  };
}

const ONE = { type: 'array', keySize: 4, valueSize: 8, entries: 1, name: 'probe' } as const;

function program(bpf: Bpf, type: 'xdp' | 'schedulerClassifier', code: Fragment): Program {
  const attachType = type === 'xdp' ? 0 : ATTACH_TCX_INGRESS;
  return new Program(bpf, { type, name: 'probe', code: assemble(code), attachType });
}

/** Runs `attempt`; an error that it throws is the reason why the feature is missing. */
export function probe(name: string, attempt: () => void): Feature {
  try {
    attempt();
    return { name, missing: undefined };
  } catch (error) {
    if (error instanceof VerifierError) return { name, missing: (error.cause as Error).message };
    return { name, missing: (error as Error).message };
  }
}
