/**
 * Emits the entry of a program at a hook that outlives its process. The entry calls the program through a program array
 * as long as the process lives, and passes every packet afterwards, unless the array is pinned: the kernel empties a program
 * array when its last descriptor is closed, however the process ends (prog_array_map_clear in kernel/bpf/arraymap.c, Linux 6.1).
 */
import { assemble } from '../ebpf/assemble.ts';
import type { Bpf } from '../ebpf/bpf.ts';
import { TAIL_CALL } from '../ebpf/helper.ts';
import { call, exit, loadMap, mov, R0, R2, R3 } from '../ebpf/instruction.ts';
import { BpfMap } from '../ebpf/map.ts';
import { Program, type ProgramOptions } from '../ebpf/program.ts';
import { INSTANCE } from '../host/director-instances.ts';
import type { Pins } from './pins.ts';

/** The only index of the program array. */
const INDEX = 0;

export interface EntryProgramOptions extends Pick<ProgramOptions, 'type' | 'name' | 'attachType'> {
  /** Return value when the program is gone: a value that passes the packet. */
  readonly pass: number;
  /** Keep the program when the process ends. */
  readonly pins?: Pins | undefined;
}

/** Begins the names of pinned program arrays of entries. */
export const ENTRY_PIN = 'entry-';

export class EntryProgram implements Disposable {
  /** Descriptor of the entry program. */
  readonly descriptor: number;
  readonly #array: BpfMap;
  readonly #entry: Program;
  readonly #pins: Pins | undefined;

  /**
   * `program` must have been loaded with the same type and attach type. Throws VerifierError and SystemCallError.
   */
  constructor(bpf: Bpf, program: Program, { pass, pins, ...options }: EntryProgramOptions) {
    this.#pins = pins;
    this.#array = new BpfMap(bpf, {
      type: 'programArray',
      name: options.name,
      keySize: 4,
      valueSize: 4,
      entries: 1,
    });
    this.#array.update(uint32(INDEX), uint32(program.descriptor));
    pins?.keep(ENTRY_PIN + INSTANCE, this.#array.descriptor);
    // r1 is the context already. A tail call returns only if the array has no program.
    const code = assemble([
      loadMap(R2, this.#array.descriptor),
      mov.imm(R3, INDEX),
      call(TAIL_CALL),
      mov.imm(R0, pass),
      exit(),
    ]);
    this.#entry = new Program(bpf, { ...options, code });
    this.descriptor = this.#entry.descriptor;
  }

  /** Makes the entry pass every packet where it is still attached. */
  [Symbol.dispose](): void {
    this.#pins?.remove(ENTRY_PIN + INSTANCE);
    this.#array[Symbol.dispose]();
    this.#entry[Symbol.dispose]();
  }
}

function uint32(value: number): Uint8Array {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setUint32(0, value, true);
  return bytes;
}
