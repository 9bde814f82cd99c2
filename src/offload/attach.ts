/**
 * Where the program is in force, and whose it is: links that this process holds. The kernel takes a program off with the
 * last descriptor of its link, so that nothing stays behind whatever way the process ends.
 */
import type { Bpf } from '../ebpf/bpf.ts';
import { ATTACH_TCX_INGRESS, attachTcxIngress, attachXdp, type Link } from '../ebpf/link.ts';
import { Program } from '../ebpf/program.ts';
import type { HookName } from './hooks.ts';

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

  /** Puts the program there, unless it is. Throws SystemCallError. */
  attach(interfaceIndex: number): void {
    this.#dropLoose();
    if (this.#links.has(interfaceIndex)) return;
    const link =
      this.#hook === 'xdp'
        ? attachXdp(this.#bpf, this.#program, interfaceIndex, 'driver')
        : attachTcxIngress(this.#bpf, this.#program, interfaceIndex);
    this.#links.set(interfaceIndex, link);
  }

  /** An interface that is gone has left its link, and its index may be another one's by now. */
  #dropLoose(): void {
    for (const [interfaceIndex, link] of this.#links) {
      if (link.attached) continue;
      link[Symbol.dispose]();
      this.#links.delete(interfaceIndex);
    }
  }

  /** Takes the program off everywhere. */
  [Symbol.dispose](): void {
    for (const link of this.#links.values()) link[Symbol.dispose]();
    this.#links.clear();
    this.#program[Symbol.dispose]();
  }
}
