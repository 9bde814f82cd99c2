/**
 * Attaches a program to interfaces. The kernel removes links when the process ends, however it ends, unless they are pinned.
 * A clsact filter remains then, but passes every packet (entry-program.ts), unless its program array is pinned.
 */
import type { Bpf } from '../ebpf/bpf.ts';
import { attachXdp, Link, openLink } from '../ebpf/link.ts';
import { Program } from '../ebpf/program.ts';
import type { Direction } from '../host/tc-filter.ts';
import type { HookName } from './hooks.ts';
import type { Pins } from './pins.ts';
import { type Attached, TCX, TcAttach } from './tc-attach.ts';

/** Handles of this project's clsact filters, by the role of the program. */
const HANDLES = { director: 0x1756, tap: 0x1757, tunnel: 0x1758, cluster: 0x1759, resets: 0x175a } as const;
export type Role = keyof typeof HANDLES;

/** Begins the names of pinned links. */
const LINK_PIN = 'link-';

export interface AttachmentOptions {
  readonly hook: HookName;
  readonly role: Role;
  readonly code: Uint8Array;
  /** At the hook of tc: which packets the program sees; default: ingress. */
  readonly direction?: Direction;
  /** False: never by a tcx link, as before Linux 6.6. */
  readonly tcx?: boolean;
  /** Keep the program attached when the process ends; default: it does not stay. */
  readonly pins?: Pins | undefined;
}

export class Attachments implements Disposable {
  readonly #bpf: Bpf;
  readonly #pins: Pins | undefined;
  readonly #hook: HookName;
  readonly #program: Program;
  readonly #tc: TcAttach | undefined;
  readonly #attach: (interfaceIndex: number) => Attached;
  readonly #places = new Map<number, Attached>();
  /** Interfaces to attach to by `begin`; undefined: it was called. */
  #waiting: Set<number> | undefined;

  /** Throws VerifierError. */
  constructor(bpf: Bpf, { hook, role, code, direction = 'ingress', tcx = true, pins }: AttachmentOptions) {
    this.#bpf = bpf;
    this.#pins = pins;
    this.#hook = hook;
    const name = `lvs_${role}`;
    if (hook === 'xdp') {
      this.#program = new Program(bpf, { type: 'xdp', name, code });
      this.#attach = (interfaceIndex) => attachXdp(bpf, this.#program, interfaceIndex, 'driver');
    } else {
      this.#program = new Program(bpf, {
        type: 'schedulerClassifier',
        name,
        code,
        attachType: TCX[direction],
      });
      const by = new TcAttach(bpf, this.#program, {
        filter: { name, handle: HANDLES[role] },
        direction,
        tcx,
        pins,
      });
      this.#tc = by;
      this.#attach = (interfaceIndex) => by.attach(interfaceIndex);
    }
  }

  /** Attaches nothing before `begin`: the program that another process left goes on until then. */
  wait(): void {
    this.#waiting = new Set();
  }

  /** Attaches what `attach` has been called for since `wait`, and detaches what else another process left. */
  begin(): void {
    const waiting = this.#waiting ?? [];
    this.#waiting = undefined;
    for (const interfaceIndex of waiting) this.attach(interfaceIndex);
    const own = new Set([...this.#places.keys()].map((interfaceIndex) => this.#pinOf(interfaceIndex)));
    for (const name of this.#pins?.names ?? [])
      if (name.startsWith(LINK_PIN) && !own.has(name)) this.#pins?.remove(name);
  }

  /** Attaches the program unless it is attached, and returns what was needed. Throws SystemCallError. */
  attach(interfaceIndex: number): 'unchanged' | 'attached' | 'restored' {
    if (this.#waiting !== undefined) {
      this.#waiting.add(interfaceIndex);
      return 'attached';
    }
    const place = this.#places.get(interfaceIndex);
    if (place?.attached) return 'unchanged';
    this.#dropDetached();
    this.#places.set(interfaceIndex, this.#takeOver(interfaceIndex) ?? this.#attachAnew(interfaceIndex));
    return place ? 'restored' : 'attached';
  }

  /** Replaces the program of the link that a former process kept at the interface, if there is one. */
  #takeOver(interfaceIndex: number): Link | undefined {
    const pins = this.#pins;
    const name = this.#pinOf(interfaceIndex);
    if (!pins?.has(name)) return undefined;
    const link = openLink(this.#bpf, pins.pathOf(name));
    if (link.interfaceIndex === interfaceIndex) {
      link.update(this.#program);
      return link;
    }
    link[Symbol.dispose]();
    pins.remove(name);
    return undefined;
  }

  #attachAnew(interfaceIndex: number): Attached {
    const place = this.#attach(interfaceIndex);
    if (place instanceof Link) this.#pins?.keep(this.#pinOf(interfaceIndex), place.descriptor);
    return place;
  }

  /** Returns the name of a link; a link of another hook has another one. */
  #pinOf(interfaceIndex: number): string {
    return `${LINK_PIN}${this.#hook}-${interfaceIndex}`;
  }

  /** Forgets places on interfaces that are gone, whose index another interface may have by now. */
  #dropDetached(): void {
    for (const [interfaceIndex, place] of this.#places) {
      if (place.attached) continue;
      place[Symbol.dispose]();
      this.#pins?.remove(this.#pinOf(interfaceIndex));
      this.#places.delete(interfaceIndex);
    }
  }

  /** Detaches the program everywhere. */
  [Symbol.dispose](): void {
    for (const [interfaceIndex, place] of this.#places) {
      this.#pins?.remove(this.#pinOf(interfaceIndex));
      place[Symbol.dispose]();
    }
    this.#places.clear();
    this.#tc?.[Symbol.dispose]();
    this.#program[Symbol.dispose]();
  }
}
