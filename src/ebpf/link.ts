/** Links: attach a program to a network interface for as long as a process or a pin holds the link. */
import { type Bpf, setUint64 } from './bpf.ts';
import { openPin, pin } from './pin.ts';
import type { Program } from './program.ts';

/** Attach types (enum bpf_attach_type in include/uapi/linux/bpf.h). */
export const ATTACH_XDP = 37;
/** These require Linux 6.6. */
export const ATTACH_TCX_INGRESS = 46;
export const ATTACH_TCX_EGRESS = 47;

/** Where XDP runs: in the driver, or on any device in the network stack (slow, and only without offloads). */
const XDP_MODES = { driver: 1 << 2, generic: 1 << 1 } as const;
export type XdpMode = keyof typeof XDP_MODES;

/* Offsets in union bpf_attr. */
const CREATE = { program: 0, interface: 4, attachType: 8, flags: 12, size: 64 } as const;
const UPDATE = { link: 0, program: 4, size: 16 } as const;
const INFO = { descriptor: 0, length: 4, into: 8, size: 16 } as const;
/** struct bpf_link_info: bytes that are read, and the offset of the interface's index. */
const LINK_INFO = { interface: 16, size: 32 } as const;

export class Link implements Disposable {
  readonly descriptor: number;
  readonly #bpf: Bpf;

  constructor(bpf: Bpf, descriptor: number) {
    this.#bpf = bpf;
    this.descriptor = descriptor;
  }

  /** Replaces the program; every packet is seen by the old or the new one. */
  update(program: Program): void {
    this.#bpf.call('LINK_UPDATE', UPDATE.size, (attributes) => {
      attributes.setUint32(UPDATE.link, this.descriptor, true);
      attributes.setUint32(UPDATE.program, program.descriptor, true);
    });
  }

  /** False when the interface is gone or the link was detached; the link object itself remains. */
  get attached(): boolean {
    return this.interfaceIndex !== 0;
  }

  /** Index of the interface that the program is attached to; 0: it is not any more. Requires Linux 5.8. */
  get interfaceIndex(): number {
    return this.#bpf.arena.lend(LINK_INFO.size, ({ address, view }) => {
      this.#bpf.call('OBJ_GET_INFO_BY_FD', INFO.size, (attributes) => {
        attributes.setUint32(INFO.descriptor, this.descriptor, true);
        attributes.setUint32(INFO.length, LINK_INFO.size, true);
        setUint64(attributes, INFO.into, address);
      });
      return view.getUint32(LINK_INFO.interface, true);
    });
  }

  /** Keeps the link beyond this process under a path of a mounted bpf file system, until the file is removed. */
  pin(path: string): void {
    pin(this.#bpf, this.descriptor, path);
  }

  /** Detaches the program unless the link is pinned. */
  [Symbol.dispose](): void {
    this.#bpf.system.close(this.descriptor);
  }
}

function create(bpf: Bpf, program: Program, interfaceIndex: number, attachType: number, flags: number): Link {
  const descriptor = bpf.call('LINK_CREATE', CREATE.size, (attributes) => {
    attributes.setUint32(CREATE.program, program.descriptor, true);
    attributes.setUint32(CREATE.interface, interfaceIndex, true);
    attributes.setUint32(CREATE.attachType, attachType, true);
    attributes.setUint32(CREATE.flags, flags, true);
  });
  return new Link(bpf, descriptor);
}

/** Returns the link that is kept under that path. Throws SystemCallError: ENOENT if there is none. */
export const openLink = (bpf: Bpf, path: string): Link => new Link(bpf, openPin(bpf, path));

/** Throws SystemCallError: EBUSY if another program is attached, EOPNOTSUPP if the driver has no XDP. */
export const attachXdp = (bpf: Bpf, program: Program, interfaceIndex: number, mode: XdpMode): Link =>
  create(bpf, program, interfaceIndex, ATTACH_XDP, XDP_MODES[mode]);

/** `attachType`: that of the program. Throws SystemCallError. */
export const attachTcx = (
  bpf: Bpf,
  program: Program,
  interfaceIndex: number,
  attachType: typeof ATTACH_TCX_INGRESS | typeof ATTACH_TCX_EGRESS = ATTACH_TCX_INGRESS,
): Link => create(bpf, program, interfaceIndex, attachType, 0);
