/** Questions to the kernel's tables of links, addresses and neighbours, by rtnetlink (RFC 3549), without a process for each. */
import { allocate, type Block } from '../sys/memory.ts';
import type { System } from '../sys/system.ts';
import { SystemCallError, succeeded } from '../sys/system-call-error.ts';

/* socket(2), netlink(7). Dumps wait to be read when the request has returned: a read never has to wait. */
const AF_NETLINK = 16;
const SOCK_RAW = 3;
const SOCK_NONBLOCK = 0o4000;
const SOCK_CLOEXEC = 0o2000000;
const NETLINK_ROUTE = 0;

/* struct nlmsghdr, in host order: all machines that this runs on are little-endian. */
const LENGTH = 0;
const TYPE = 4;
const FLAGS = 6;
const SEQUENCE = 8;
const HEADER = 16;
const NLM_F_REQUEST = 0x1;
const NLM_F_ACK = 0x4;
const NLM_F_DUMP = 0x300;
const NLMSG_ERROR = 2;
const NLMSG_DONE = 3;

/** Octets of the longest datagram of a dump that the kernel makes. */
const ROOM = 32_768;
const ALIGNMENT = 4;
const aligned = (length: number): number => Math.ceil(length / ALIGNMENT) * ALIGNMENT;

/** What a message is about, behind its header: valid until the next question. */
export type Message = DataView<ArrayBuffer>;

export class Netlink implements Disposable {
  readonly #system: System;
  readonly #socket: number;
  readonly #room: Block;
  #sequence = 0;

  /** Throws SystemCallError. */
  constructor(system: System) {
    this.#system = system;
    this.#room = allocate(system, ROOM);
    const type = SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC;
    this.#socket = succeeded('socket(AF_NETLINK)', system.socket(AF_NETLINK, type, NETLINK_ROUTE));
  }

  /** Asks for a whole table; `each` is called for every entry. Throws SystemCallError. */
  dump(type: number, body: Uint8Array, each: (message: Message) => void): void {
    this.#ask(type, NLM_F_DUMP, body);
    while (!this.#read(each));
  }

  /** Has the kernel do something. Throws SystemCallError where it does not. */
  tell(type: number, flags: number, body: Uint8Array): void {
    this.#ask(type, flags | NLM_F_ACK, body);
    this.#read(() => {});
  }

  [Symbol.dispose](): void {
    this.#system.close(this.#socket);
  }

  #ask(type: number, flags: number, body: Uint8Array): void {
    const { address, bytes, view } = this.#room;
    const length = HEADER + body.length;
    bytes.fill(0, 0, HEADER);
    bytes.set(body, HEADER);
    this.#sequence = (this.#sequence + 1) >>> 0;
    view.setUint32(LENGTH, length, true);
    view.setUint16(TYPE, type, true);
    view.setUint16(FLAGS, NLM_F_REQUEST | flags, true);
    view.setUint32(SEQUENCE, this.#sequence, true);
    succeeded('write(netlink)', this.#system.write(this.#socket, address, length));
  }

  /** One datagram of the answer; true: it was the last one. */
  #read(each: (message: Message) => void): boolean {
    const { address, bytes, view } = this.#room;
    const read = succeeded('read(netlink)', this.#system.read(this.#socket, address, ROOM));
    let isLast = false;
    for (let at = 0; at + HEADER <= read; ) {
      const length = view.getUint32(at + LENGTH, true);
      if (length < HEADER || at + length > read) break;
      // What is left of a question that was given up is nobody's.
      if (view.getUint32(at + SEQUENCE, true) === this.#sequence) {
        const type = view.getUint16(at + TYPE, true);
        if (type === NLMSG_ERROR || type === NLMSG_DONE) {
          isLast = true;
          const error = type === NLMSG_ERROR ? -view.getInt32(at + HEADER, true) : 0;
          if (error !== 0) throw new SystemCallError('netlink', error);
        } else each(new DataView(bytes.buffer, bytes.byteOffset + at + HEADER, length - HEADER));
      }
      at += aligned(length);
    }
    return isLast;
  }
}

/* struct rtattr: length, type. */
const ATTRIBUTE = 4;

/** The octets of an attribute; undefined: the message has none of that type. `from`: octets before the attributes. */
export function attribute(message: Message, from: number, type: number): Uint8Array | undefined {
  for (let at = from; at + ATTRIBUTE <= message.byteLength; ) {
    const length = message.getUint16(at, true);
    if (length < ATTRIBUTE || at + length > message.byteLength) return undefined;
    if (message.getUint16(at + 2, true) === type)
      return new Uint8Array(message.buffer, message.byteOffset + at + ATTRIBUTE, length - ATTRIBUTE);
    at += aligned(length);
  }
  return undefined;
}

/** An attribute as it goes behind a message's body, padded. */
export function withAttribute(type: number, octets: Uint8Array): Uint8Array {
  const written = new Uint8Array(ATTRIBUTE + aligned(octets.length));
  const view = new DataView(written.buffer);
  view.setUint16(0, ATTRIBUTE + octets.length, true);
  view.setUint16(2, type, true);
  written.set(octets, ATTRIBUTE);
  return written;
}
