/**
 * Where the program is in force, and whose it is: links that this process holds. The kernel takes a program off with the
 * last descriptor of its link, so that nothing stays behind whatever way the process ends.
 */
import type { Bpf } from '../ebpf/bpf.ts';
import { ATTACH_TCX_INGRESS, attachTcxIngress, attachXdp, type Link } from '../ebpf/link.ts';
import { Program } from '../ebpf/program.ts';
import type { HookName } from './hook.ts';

export class Attachments implements Disposable {
  readonly #bpf: Bpf;
  readonly #hook: HookName;
  readonly #program: Program;
  readonly #links = new Map<number, Link>();

  /** Throws VerifierError. */
  constructor(bpf: Bpf, hook: HookName, code: Uint8Array) {
    this.#bpf = bpf;
    this.#hook = hook;
    this.#program = new Program(bpf, {
      type: hook === 'xdp' ? 'xdp' : 'schedulerClassifier',
      name: `lvs_${hook}`,
      code,
      attachType: hook === 'tc' ? ATTACH_TCX_INGRESS : 0,
    });
  }

  /** Throws SystemCallError. A device that was made anew has another index. */
  attach(interfaceIndex: number): void {
    if (this.#links.has(interfaceIndex)) return;
    const link =
      this.#hook === 'xdp'
        ? attachXdp(this.#bpf, this.#program, interfaceIndex, 'driver')
        : attachTcxIngress(this.#bpf, this.#program, interfaceIndex);
    this.#links.set(interfaceIndex, link);
  }

  /** Takes the program off everywhere. */
  [Symbol.dispose](): void {
    for (const link of this.#links.values()) link[Symbol.dispose]();
    this.#links.clear();
    this.#program[Symbol.dispose]();
  }
}
