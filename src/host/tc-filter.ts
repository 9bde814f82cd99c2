/**
 * eBPF filters of the clsact qdisc, by rtnetlink: how a tc program is attached where the kernel has no tcx links
 * (before Linux 6.6). A filter outlives the process that put it there.
 */

import type { System } from '../sys/system.ts';
import { SystemCallError } from '../sys/system-call-error.ts';
import { attribute, type Message, Netlink, withAttribute } from './netlink.ts';

/* Message types and flags (include/uapi/linux/rtnetlink.h, netlink.h). */
const RTM_NEWQDISC = 36;
const RTM_DELQDISC = 37;
const RTM_NEWTFILTER = 44;
const RTM_DELTFILTER = 45;
const RTM_GETTFILTER = 46;
const NLM_F_REPLACE = 0x100;
const NLM_F_EXCL = 0x200;
const NLM_F_CREATE = 0x400;

/* struct tcmsg, in host order but for the protocol (include/uapi/linux/rtnetlink.h). */
const INTERFACE = 4;
const HANDLE = 8;
const PARENT = 12;
const INFO = 16;
const TCMSG = 20;
const ETH_P_ALL_LE = 0x0300;

/* The qdisc and its two filter lists (include/uapi/linux/pkt_sched.h). */
const CLSACT_HANDLE = 0xffff0000;
const CLSACT_PARENT = 0xfffffff1;
const INGRESS = 0xfffffff2;
const EGRESS = 0xfffffff3;

/* Attributes (include/uapi/linux/rtnetlink.h, pkt_cls.h). */
const TCA_KIND = 1;
const TCA_OPTIONS = 2;
const TCA_BPF_FD = 6;
const TCA_BPF_NAME = 7;
const TCA_BPF_FLAGS = 8;
/** The program's return value is the packet's fate. */
const TCA_BPF_FLAG_ACT_DIRECT = 1;

/* Errors (include/uapi/asm-generic/errno-base.h). */
const ENOENT = 2;
const EEXIST = 17;

/** The preference of all filters of this project: other programs' filters with a smaller one run first. */
const PREFERENCE = 0xb100;

/** What an operator can do, by errno. */
const REMEDIES: Readonly<Record<'qdisc' | 'filter', Readonly<Record<number, string>>>> = {
  qdisc: { [ENOENT]: 'modprobe sch_ingress' },
  filter: {
    [ENOENT]: 'modprobe cls_bpf',
    [EEXIST]: `delete the other filter of preference ${PREFERENCE} and the same handle`,
  },
};

/** Which packets of an interface a filter sees: received ones, or those that are sent. */
export type Direction = 'ingress' | 'egress';
const PARENTS: Readonly<Record<Direction, number>> = { ingress: INGRESS, egress: EGRESS };

/** Which filter this is among those of one interface. */
export interface FilterName {
  /** The name that `tc filter show` prints. */
  readonly name: string;
  /** The filter's handle, unique at `PREFERENCE`. */
  readonly handle: number;
}

/** Places an eBPF program at the ingress or egress of interfaces as a direct-action filter of their clsact qdisc. */
export class TcFilters implements Disposable {
  readonly #netlink: Netlink;
  readonly #filter: FilterName;
  readonly #parent: number;

  /** Throws SystemCallError. */
  constructor(system: System, filter: FilterName, direction: Direction = 'ingress') {
    this.#netlink = new Netlink(system);
    this.#filter = filter;
    this.#parent = PARENTS[direction];
  }

  /**
   * Adds the qdisc where it is missing and puts the program there, in the place of a filter that an earlier process
   * left under the same name. Packets meet either the former program or this one. Throws SystemCallError: EEXIST
   * where another program's filter has the same preference and handle.
   */
  put(interfaceIndex: number, programDescriptor: number): TcFilter {
    const ownsQdisc = this.#addQdisc(interfaceIndex);
    const flags = NLM_F_CREATE | (this.has(interfaceIndex) ? NLM_F_REPLACE : NLM_F_EXCL);
    const message = this.#newFilter(interfaceIndex, programDescriptor);
    const error = this.#try(RTM_NEWTFILTER, flags, message);
    if (error !== 0) {
      if (ownsQdisc) this.#removeQdisc(interfaceIndex);
      throw new SystemCallError(`tc filter ${this.#filter.name}`, error, REMEDIES.filter[error]);
    }
    return new TcFilter(this, interfaceIndex, ownsQdisc);
  }

  /** Reports whether the filter is in place. Throws SystemCallError. */
  has(interfaceIndex: number): boolean {
    const { name, handle } = this.#filter;
    let found = false;
    this.#each(interfaceIndex, this.#parent, (message) => {
      if (message.getUint32(HANDLE, true) !== handle || message.getUint32(INFO, true) >>> 16 !== PREFERENCE)
        return;
      const options = attribute(message, TCMSG, TCA_OPTIONS);
      const named = options && attribute(viewOf(options), 0, TCA_BPF_NAME);
      found ||= named !== undefined && textOf(named) === name;
    });
    return found;
  }

  /** Removes the filter and, with `qdisc`, the clsact qdisc if no filter remains. Does nothing where they are gone. */
  remove(interfaceIndex: number, qdisc: boolean): void {
    if (!this.has(interfaceIndex)) return;
    this.#try(RTM_DELTFILTER, 0, Buffer.concat([this.#place(interfaceIndex), kind('bpf')]));
    if (qdisc) this.#removeQdisc(interfaceIndex);
  }

  [Symbol.dispose](): void {
    this.#netlink[Symbol.dispose]();
  }

  /** Returns false where a clsact or ingress qdisc already exists; both take the filter. */
  #addQdisc(interfaceIndex: number): boolean {
    const message = Buffer.concat([clsact(interfaceIndex), kind('clsact')]);
    const error = this.#try(RTM_NEWQDISC, NLM_F_CREATE | NLM_F_EXCL, message);
    if (error !== 0 && error !== EEXIST)
      throw new SystemCallError('tc qdisc clsact', error, REMEDIES.qdisc[error]);
    return error === 0;
  }

  #removeQdisc(interfaceIndex: number): void {
    if (this.#isEmpty(interfaceIndex)) this.#try(RTM_DELQDISC, 0, clsact(interfaceIndex));
  }

  /** Returns 0 or an errno. */
  #try(type: number, flags: number, message: Uint8Array): number {
    try {
      this.#netlink.request(type, flags, message);
      return 0;
    } catch (error) {
      if (error instanceof SystemCallError) return error.errno;
      throw error;
    }
  }

  #newFilter(interfaceIndex: number, programDescriptor: number): Uint8Array {
    const options = Buffer.concat([
      withAttribute(TCA_BPF_FD, uint32(programDescriptor)),
      withAttribute(TCA_BPF_NAME, text(this.#filter.name)),
      withAttribute(TCA_BPF_FLAGS, uint32(TCA_BPF_FLAG_ACT_DIRECT)),
    ]);
    return Buffer.concat([this.#place(interfaceIndex), kind('bpf'), withAttribute(TCA_OPTIONS, options)]);
  }

  /** Handle 0 would name every filter of the preference, and preference 0 every filter: both stand in all messages. */
  #place(interfaceIndex: number): Uint8Array {
    return tcmsg(
      interfaceIndex,
      this.#filter.handle,
      this.#parent,
      ((PREFERENCE << 16) | ETH_P_ALL_LE) >>> 0,
    );
  }

  #isEmpty(interfaceIndex: number): boolean {
    let isEmpty = true;
    for (const parent of [INGRESS, EGRESS])
      this.#each(interfaceIndex, parent, () => {
        isEmpty = false;
      });
    return isEmpty;
  }

  #each(interfaceIndex: number, parent: number, each: (message: Message) => void): void {
    this.#netlink.dump(RTM_GETTFILTER, tcmsg(interfaceIndex, 0, parent, 0), each);
  }
}

/** A filter at one interface. */
export class TcFilter implements Disposable {
  readonly #filters: TcFilters;
  readonly #interfaceIndex: number;
  readonly #ownsQdisc: boolean;

  constructor(filters: TcFilters, interfaceIndex: number, ownsQdisc: boolean) {
    this.#filters = filters;
    this.#interfaceIndex = interfaceIndex;
    this.#ownsQdisc = ownsQdisc;
  }

  /** False when the interface is gone, or when another program deleted the filter or its qdisc. */
  get attached(): boolean {
    return this.#filters.has(this.#interfaceIndex);
  }

  /** Removes the filter, and the qdisc if it was added for it and holds no other filter. */
  [Symbol.dispose](): void {
    this.#filters.remove(this.#interfaceIndex, this.#ownsQdisc);
  }
}

function tcmsg(interfaceIndex: number, handle: number, parent: number, info: number): Uint8Array {
  const view = new DataView(new ArrayBuffer(TCMSG));
  view.setInt32(INTERFACE, interfaceIndex, true);
  view.setUint32(HANDLE, handle, true);
  view.setUint32(PARENT, parent, true);
  view.setUint32(INFO, info, true);
  return new Uint8Array(view.buffer);
}

const clsact = (interfaceIndex: number): Uint8Array => tcmsg(interfaceIndex, CLSACT_HANDLE, CLSACT_PARENT, 0);
const text = (value: string): Uint8Array => Buffer.from(`${value}\0`, 'latin1');
const kind = (value: string): Uint8Array => withAttribute(TCA_KIND, text(value));

function uint32(value: number): Uint8Array {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setUint32(0, value, true);
  return bytes;
}

const viewOf = ({ buffer, byteOffset, byteLength }: Uint8Array): Message =>
  new DataView(buffer as ArrayBuffer, byteOffset, byteLength);

/** The text of an attribute, without its closing zero. */
const textOf = (bytes: Uint8Array): string => Buffer.from(bytes).toString('latin1').replace(/\0.*$/s, '');
