/** Sends requests to the kernel's network tables over netlink (RFC 3549) and reads the answers. */
import { allocate, type Block } from '../sys/memory.ts';
import type { System } from '../sys/system.ts';
import { SystemCallError, succeeded } from '../sys/system-call-error.ts';

/* socket(2), netlink(7). The answer is ready when the request returns: a read never has to wait. */
const AF_NETLINK = 16;
const SOCK_RAW = 3;
const SOCK_NONBLOCK = 0o4000;
const SOCK_CLOEXEC = 0o2000000;
const NETLINK_ROUTE = 0;

/* struct nlmsghdr, in host order: every supported architecture is little-endian. */
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

/** The longest datagram of a dump, bytes. */
const BUFFER_BYTES = 32_768;
const ALIGNMENT_BYTES = 4;
const aligned = (length: number): number => Math.ceil(length / ALIGNMENT_BYTES) * ALIGNMENT_BYTES;

/** A message without its header; valid until the next request. */
export type Message = DataView<ArrayBuffer>;

export class Netlink implements Disposable {
  readonly #system: System;
  readonly #socket: number;
  readonly #buffer: Block;
  #sequence = 0;

  /** Throws SystemCallError. */
  constructor(system: System, protocol = NETLINK_ROUTE) {
    this.#system = system;
    this.#buffer = allocate(system, BUFFER_BYTES);
    const type = SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC;
    this.#socket = succeeded('socket(AF_NETLINK)', system.socket(AF_NETLINK, type, protocol));
  }

  /** Reads a whole table; calls `each` for every entry. Throws SystemCallError. */
  dump(type: number, body: Uint8Array, each: (message: Message) => void): void {
    this.#send(type, NLM_F_DUMP, body);
    while (!this.#read(each));
  }

  /** Asks for one entry; its message is discarded. Throws SystemCallError if the kernel answers with an error. */
  query(type: number, body: Uint8Array): void {
    this.#send(type, 0, body);
    this.#read(() => {});
  }

  /** Requests a change. Throws SystemCallError if the kernel refuses it. */
  request(type: number, flags: number, body: Uint8Array): void {
    this.#send(type, flags | NLM_F_ACK, body);
    this.#read(() => {});
  }

  [Symbol.dispose](): void {
    this.#system.close(this.#socket);
  }

  #send(type: number, flags: number, body: Uint8Array): void {
    const { address, bytes, view } = this.#buffer;
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

  /** Reads one datagram of the answer; returns true for the last one. */
  #read(each: (message: Message) => void): boolean {
    const { address, bytes, view } = this.#buffer;
    const read = succeeded('read(netlink)', this.#system.read(this.#socket, address, BUFFER_BYTES));
    let isLast = false;
    for (let at = 0; at + HEADER <= read; ) {
      const length = view.getUint32(at + LENGTH, true);
      if (length < HEADER || at + length > read) break;
      // Messages of an earlier, abandoned request are skipped.
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
const ATTRIBUTE_HEADER = 4;

/** Returns the value of an attribute; undefined if the message has none of that type. `from`: bytes before the attributes. */
export function attribute(message: Message, from: number, type: number): Uint8Array | undefined {
  for (let at = from; at + ATTRIBUTE_HEADER <= message.byteLength; ) {
    const length = message.getUint16(at, true);
    if (length < ATTRIBUTE_HEADER || at + length > message.byteLength) return undefined;
    if (message.getUint16(at + 2, true) === type)
      return new Uint8Array(
        message.buffer,
        message.byteOffset + at + ATTRIBUTE_HEADER,
        length - ATTRIBUTE_HEADER,
      );
    at += aligned(length);
  }
  return undefined;
}

/** Returns an encoded attribute, padded, to be appended to a message's body. */
export function withAttribute(type: number, octets: Uint8Array): Uint8Array {
  const written = new Uint8Array(ATTRIBUTE_HEADER + aligned(octets.length));
  const view = new DataView(written.buffer);
  view.setUint16(0, ATTRIBUTE_HEADER + octets.length, true);
  view.setUint16(2, type, true);
  written.set(octets, ATTRIBUTE_HEADER);
  return written;
}
