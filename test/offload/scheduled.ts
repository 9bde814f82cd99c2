/** Programs of schedulers in the kernel, over a director's records, by test runs. */
import { assemble } from '../../src/ebpf/assemble.ts';
import type { Bpf } from '../../src/ebpf/bpf.ts';
import {
  DW,
  exit,
  type Fragment,
  load,
  loadMapValue,
  mov,
  R0,
  R1,
  R2,
  R3,
  store,
  W,
} from '../../src/ebpf/instruction.ts';
import { BpfMap } from '../../src/ebpf/map.ts';
import { Program } from '../../src/ebpf/program.ts';
import { type TestRun, testRun } from '../../src/ebpf/test-run.ts';
import { constantsMap } from '../../src/offload/constants.ts';
import { CONTEXT, xdp } from '../../src/offload/hooks.ts';
import type { KernelMemory } from '../../src/offload/kernel-memory.ts';
import {
  type ProgrammedScheduler,
  type ScheduleArrays,
  scheduleCode,
} from '../../src/offload/schedule/program.ts';
import {
  ADMIT,
  callProgram,
  loadScratch,
  programArray,
  SCRATCH,
  SCRATCH_BYTES,
  scratchMap,
} from '../../src/offload/scratch.ts';
import type { Request } from '../../src/schedulers/scheduler.ts';
import { MAX_RECORDS, SCHEDULER } from '../../src/table/record-layout.ts';
import type { Address } from '../../src/wire/address.ts';

export const SCHEDULERS = Object.keys(SCHEDULER).filter(
  (name) => name !== 'director',
) as readonly ProgrammedScheduler[];

/** What stands in the array behind the entry of the program. */
const INDEX = SCRATCH_BYTES;
const SELECTED = SCRATCH_BYTES + 8;
const ARRAY_BYTES = SCRATCH_BYTES + 16;
const ADMITTED = xdp.drop;
const NOT_LOADED = 0;
const FRAME = new Uint8Array(64);

export class ScheduledInKernel {
  readonly arrays: ScheduleArrays;
  readonly #bpf: Bpf;
  readonly #programs: BpfMap;
  readonly #view: DataView;
  readonly #feed: Program;
  readonly #loaded = new Map<ProgrammedScheduler, Program>();

  /** The director must have reserved its arrays in the memory. */
  constructor(bpf: Bpf, memory: KernelMemory) {
    this.#bpf = bpf;
    this.#programs = programArray(bpf);
    this.arrays = {
      services: memory.descriptor('services'),
      lists: memory.descriptor('lists'),
      destinations: memory.descriptor('destinations'),
      constants: constantsMap(bpf).descriptor,
      records: MAX_RECORDS,
      scratch: scratchMap(bpf).descriptor,
      programs: this.#programs.descriptor,
    };
    const array = new BpfMap(bpf, {
      type: 'array',
      name: 'entry',
      keySize: 4,
      valueSize: ARRAY_BYTES,
      entries: 1,
      mapped: true,
    });
    const value = array.descriptor;
    this.#view = array.mapped().view;
    const copied: Fragment = Array.from({ length: SCRATCH_BYTES / 8 }, (_, i) => [
      load(DW, R1, R2, 8 * i),
      store(DW, R0, 8 * i, R1),
    ]);
    this.#feed = this.#program('feed', [
      mov.reg(CONTEXT, R1),
      loadScratch(this.arrays, 'end'),
      loadMapValue(R2, value),
      copied,
      load(W, R3, R2, INDEX),
      callProgram(this.arrays),
      { ...mov.imm(R0, NOT_LOADED), labels: ['end'] },
      exit(),
    ]);
    const admit = this.#program('admit', [
      mov.reg(CONTEXT, R1),
      loadScratch(this.arrays, 'end'),
      load(W, R1, R0, SCRATCH.destination),
      loadMapValue(R2, value),
      store(W, R2, SELECTED, R1),
      { ...mov.imm(R0, ADMITTED), labels: ['end'] },
      exit(),
    ]);
    this.#programs.update(uint32(ADMIT), uint32(admit.descriptor));
  }

  /** Loads the scheduler's program unless that was done before. */
  load(scheduler: ProgrammedScheduler): Program {
    const known = this.#loaded.get(scheduler);
    if (known) return known;
    const code = scheduleCode(scheduler, { hook: xdp, arrays: this.arrays });
    const program = new Program(this.#bpf, { type: 'xdp', name: scheduler, code });
    this.#programs.update(uint32(SCHEDULER[scheduler]), uint32(program.descriptor));
    this.#loaded.set(scheduler, program);
    return program;
  }

  /** Returns the number of the destination that the program selects; 0: it leaves the packet to the director. */
  pick(scheduler: ProgrammedScheduler, service: number, request: Request): number {
    this.load(scheduler);
    const { result } = this.#run(SCHEDULER[scheduler], service, request, 1);
    return result === ADMITTED ? this.#view.getUint32(SELECTED, true) : 0;
  }

  /** Returns the ns of a selection, on average of so many. Throws an Error if the program selects no destination. */
  measure(scheduler: ProgrammedScheduler, service: number, request: Request, repeat: number): number {
    this.load(scheduler);
    const runs = [ADMIT, SCHEDULER[scheduler]].map((index) => this.#run(index, service, request, repeat));
    if (runs.some(({ result }) => result !== ADMITTED)) throw new Error(`${scheduler}: no destination`);
    return runs[1]!.nanoseconds - runs[0]!.nanoseconds;
  }

  /** Calls the program at the index. */
  #run(index: number, service: number, request: Request, repeat: number): TestRun {
    const view = this.#view;
    view.setUint32(SCRATCH.service, service, true);
    view.setUint32(SCRATCH.destination, 0, true);
    view.setUint16(SCRATCH.clientPort, request.cport);
    view.setUint16(SCRATCH.virtualPort, request.vport);
    this.#setAddress(SCRATCH.client, request.caddr);
    this.#setAddress(SCRATCH.virtual, request.vaddr);
    view.setUint32(INDEX, index, true);
    view.setUint32(SELECTED, 0, true);
    const run = testRun(this.#bpf, this.#feed, FRAME, { repeat });
    if (run.result !== ADMITTED && run.result !== xdp.pass)
      throw new Error(`the program returned ${run.result}`);
    return run;
  }

  #setAddress(field: number, address: Address): void {
    for (let i = 0; i < 4; i++) this.#view.setUint32(field + 4 * i, address[i]!);
  }

  #program(name: string, code: Fragment): Program {
    return new Program(this.#bpf, { type: 'xdp', name, code: assemble(code) });
  }
}

function uint32(value: number): Uint8Array {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setUint32(0, value, true);
  return bytes;
}
