/** The programs that programs call, in the program array. */
import type { Bpf } from '../ebpf/bpf.ts';
import { ATTACH_TCX_INGRESS } from '../ebpf/link.ts';
import type { BpfMap } from '../ebpf/map.ts';
import { Program } from '../ebpf/program.ts';
import { INSTANCE } from '../host/director-instances.ts';
import { ENTRY_PIN } from './entry-program.ts';
import type { HookName } from './hooks.ts';
import type { Pins } from './pins.ts';

/** Begins the names of pinned program arrays. Each process makes a new one: programs of another version may differ. */
const PROGRAMS_PIN = 'programs-';
const OTHERS = [PROGRAMS_PIN, ENTRY_PIN];

export class ProgramTable implements Disposable {
  readonly #bpf: Bpf;
  readonly #hook: HookName;
  readonly #array: BpfMap;
  readonly #pins: Pins | undefined;

  /** `array`: remains open as long as programs are to call each other. `pins`: keep it beyond this process. */
  constructor(bpf: Bpf, hook: HookName, array: BpfMap, pins?: Pins) {
    this.#pins = pins;
    pins?.keep(PROGRAMS_PIN + INSTANCE, array.descriptor);
    this.#bpf = bpf;
    this.#hook = hook;
    this.#array = array;
  }

  /** Loads a program in place of the former one at the index. Throws VerifierError and SystemCallError. */
  load(index: number, name: string, code: Uint8Array): void {
    using program = new Program(this.#bpf, {
      type: this.#hook === 'xdp' ? 'xdp' : 'schedulerClassifier',
      name,
      code,
      attachType: this.#hook === 'xdp' ? 0 : ATTACH_TCX_INGRESS,
    });
    this.#array.update(uint32(index), uint32(program.descriptor));
  }

  /** Removes the program at the index, if any: packets for it go up to the director. */
  unload(index: number): void {
    this.#array.delete(uint32(index));
  }

  /** Removes the arrays that other processes have left: none of their programs is attached any more. */
  removeOthers(): void {
    for (const name of this.#pins?.names ?? [])
      if (OTHERS.some((prefix) => name.startsWith(prefix)) && !name.endsWith(`-${INSTANCE}`))
        this.#pins?.remove(name);
  }

  /** Empties the array: packets for its programs go up to the director. */
  [Symbol.dispose](): void {
    this.#pins?.remove(PROGRAMS_PIN + INSTANCE);
    this.#array[Symbol.dispose]();
  }
}

function uint32(value: number): Uint8Array {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setUint32(0, value, true);
  return bytes;
}
