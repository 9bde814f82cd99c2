/** The programs that programs call, in the program array. */
import type { Bpf } from '../ebpf/bpf.ts';
import { ATTACH_TCX_INGRESS } from '../ebpf/link.ts';
import type { BpfMap } from '../ebpf/map.ts';
import { Program } from '../ebpf/program.ts';
import type { HookName } from './hooks.ts';

export class ProgramTable implements Disposable {
  readonly #bpf: Bpf;
  readonly #hook: HookName;
  readonly #array: BpfMap;

  /** `array`: remains open as long as programs are to call each other. */
  constructor(bpf: Bpf, hook: HookName, array: BpfMap) {
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

  /** Empties the array: packets for its programs go up to the director. */
  [Symbol.dispose](): void {
    this.#array[Symbol.dispose]();
  }
}

function uint32(value: number): Uint8Array {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setUint32(0, value, true);
  return bytes;
}
