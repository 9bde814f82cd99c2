/** Attaches a tc program by a tcx link or, before Linux 6.6, by a filter of the clsact qdisc. */

import { assemble } from '../ebpf/assemble.ts';
import type { Bpf } from '../ebpf/bpf.ts';
import { type Feature, probe } from '../ebpf/features.ts';
import { exit, mov, R0 } from '../ebpf/instruction.ts';
import { ATTACH_TCX_EGRESS, ATTACH_TCX_INGRESS, attachTcx } from '../ebpf/link.ts';
import { Program } from '../ebpf/program.ts';
import { type Direction, type FilterName, TcFilters } from '../host/tc-filter.ts';
import { SystemCallError } from '../sys/system-call-error.ts';
import { EntryProgram } from './entry-program.ts';
import { tc } from './hooks.ts';
import type { Pins } from './pins.ts';

/** Error of LINK_CREATE for an unknown attach type (include/uapi/asm-generic/errno-base.h). */
const EINVAL = 22;

/** Attach types of programs by the packets that they see. */
export const TCX = {
  ingress: ATTACH_TCX_INGRESS,
  egress: ATTACH_TCX_EGRESS,
} as const satisfies Readonly<Record<Direction, number>>;

/** A program at one interface; disposing of it detaches the program. */
export interface Attached extends Disposable {
  /** False when its interface is gone, or when another program detached it. */
  readonly attached: boolean;
}

export interface TcAttachOptions {
  readonly filter: FilterName;
  /** Default: ingress. */
  readonly direction?: Direction;
  /** False: never by a tcx link. */
  readonly tcx?: boolean;
  /** Keep the program of filters when the process ends. */
  readonly pins?: Pins | undefined;
}

export class TcAttach implements Disposable {
  readonly #bpf: Bpf;
  readonly #program: Program;
  readonly #filter: FilterName;
  readonly #direction: Direction;
  readonly #pins: Pins | undefined;
  #tcx: boolean;
  #clsact: { readonly entry: EntryProgram; readonly filters: TcFilters } | undefined;

  /** `program` must have been loaded with the attach type of the direction (`TCX`), which clsact accepts as well. */
  constructor(
    bpf: Bpf,
    program: Program,
    { filter, direction = 'ingress', tcx = true, pins }: TcAttachOptions,
  ) {
    this.#direction = direction;
    this.#pins = pins;
    this.#bpf = bpf;
    this.#program = program;
    this.#filter = filter;
    this.#tcx = tcx;
  }

  /** Attaches the program at the interface. Throws SystemCallError. */
  attach(interfaceIndex: number): Attached {
    if (this.#tcx)
      try {
        return attachTcx(this.#bpf, this.#program, interfaceIndex, TCX[this.#direction]);
      } catch (error) {
        if (!(error instanceof SystemCallError) || error.errno !== EINVAL) throw error;
        this.#tcx = false;
      }
    this.#clsact ??= this.#open();
    const { entry, filters } = this.#clsact;
    return filters.put(interfaceIndex, entry.descriptor);
  }

  /** Must be called after all that was attached has been disposed of. */
  [Symbol.dispose](): void {
    this.#clsact?.entry[Symbol.dispose]();
    this.#clsact?.filters[Symbol.dispose]();
  }

  #open() {
    const filters = new TcFilters(this.#bpf.system, this.#filter, this.#direction);
    const entry = new EntryProgram(this.#bpf, this.#program, {
      type: 'schedulerClassifier',
      name: this.#filter.name,
      attachType: TCX[this.#direction],
      pass: tc.pass,
      pins: this.#pins,
    });
    return { entry, filters };
  }
}

/** The filter that a probe attaches. */
const PROBE = { name: 'lvs_probe', handle: 0x1750 };
const LOOPBACK = 'lo';

/** Probes whether a filter of the clsact qdisc takes a program, on the loopback device. */
export const probeClsact = (bpf: Bpf): Feature =>
  probe('tc filters (clsact, Linux 4.5)', () => {
    using program = new Program(bpf, {
      type: 'schedulerClassifier',
      name: PROBE.name,
      code: assemble([mov.imm(R0, tc.pass), exit()]),
      attachType: ATTACH_TCX_INGRESS,
    });
    using attach = new TcAttach(bpf, program, { filter: PROBE, tcx: false });
    attach.attach(bpf.system.interfaceIndex(LOOPBACK))[Symbol.dispose]();
  });
