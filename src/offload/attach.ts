/**
 * Attaches a program to interfaces. The kernel removes links when the process ends, however it ends. A clsact filter
 * remains then, but passes every packet (entry-program.ts).
 */
import type { Bpf } from '../ebpf/bpf.ts';
import { ATTACH_TCX_INGRESS, attachXdp } from '../ebpf/link.ts';
import { Program } from '../ebpf/program.ts';
import type { HookName } from './hooks.ts';
import { type Attached, TcAttach } from './tc-attach.ts';

/** Handles of this project's clsact filters, by the role of the program. */
const HANDLES = { director: 0x1756, tap: 0x1757, tunnel: 0x1758 } as const;
export type Role = keyof typeof HANDLES;

export interface AttachmentOptions {
  readonly hook: HookName;
  readonly role: Role;
  readonly code: Uint8Array;
  /** False: never by a tcx link, as before Linux 6.6. */
  readonly tcx?: boolean;
}

export class Attachments implements Disposable {
  readonly #program: Program;
  readonly #tc: TcAttach | undefined;
  readonly #attach: (interfaceIndex: number) => Attached;
  readonly #places = new Map<number, Attached>();

  /** Throws VerifierError. */
  constructor(bpf: Bpf, { hook, role, code, tcx = true }: AttachmentOptions) {
    const name = `lvs_${role}`;
    if (hook === 'xdp') {
      this.#program = new Program(bpf, { type: 'xdp', name, code });
      this.#attach = (interfaceIndex) => attachXdp(bpf, this.#program, interfaceIndex, 'driver');
    } else {
      this.#program = new Program(bpf, {
        type: 'schedulerClassifier',
        name,
        code,
        attachType: ATTACH_TCX_INGRESS,
      });
      const by = new TcAttach(bpf, this.#program, { filter: { name, handle: HANDLES[role] }, tcx });
      this.#tc = by;
      this.#attach = (interfaceIndex) => by.attach(interfaceIndex);
    }
  }

  /** Attaches the program unless it is attached, and returns what was needed. Throws SystemCallError. */
  attach(interfaceIndex: number): 'unchanged' | 'attached' | 'restored' {
    const place = this.#places.get(interfaceIndex);
    if (place?.attached) return 'unchanged';
    this.#dropDetached();
    this.#places.set(interfaceIndex, this.#attach(interfaceIndex));
    return place ? 'restored' : 'attached';
  }

  /** Forgets places on interfaces that are gone, whose index another interface may have by now. */
  #dropDetached(): void {
    for (const [interfaceIndex, place] of this.#places) {
      if (place.attached) continue;
      place[Symbol.dispose]();
      this.#places.delete(interfaceIndex);
    }
  }

  /** Detaches the program everywhere. */
  [Symbol.dispose](): void {
    for (const place of this.#places.values()) place[Symbol.dispose]();
    this.#places.clear();
    this.#tc?.[Symbol.dispose]();
    this.#program[Symbol.dispose]();
  }
}
