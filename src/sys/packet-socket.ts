/** Opens packet sockets, packet(7): link-layer frames of one interface, received through a filter and sent. */
import { allocate, type Block } from './memory.ts';
import type { System } from './system.ts';
import { SystemCallError, succeeded } from './system-call-error.ts';

/* socket(2), packet(7), include/uapi/linux/if_packet.h and asm-generic/socket.h */
const AF_PACKET = 17;
const SOCK_RAW = 3;
const SOCK_NONBLOCK = 0o4000;
const SOCK_CLOEXEC = 0o2000000;
const SOL_SOCKET = 1;
const SO_ATTACH_FILTER = 26;
const SO_RCVBUFFORCE = 33;
const SOL_PACKET = 263;
const PACKET_STATISTICS = 6;
const PACKET_VNET_HDR = 15;

/** struct sockaddr_ll; the protocol is big-endian, everything else in host order. */
const SOCKADDR_LL = { family: 0, protocol: 2, interfaceIndex: 4, size: 20 } as const;
/** struct tpacket_stats, behind it the socklen_t of its size. */
const STATISTICS = { drops: 4, length: 8, size: 8 } as const;
/** struct sock_filter: code, jt, jf, k. */
const SOCK_FILTER_BYTES = 8;
/** struct sock_fprog: a count, padding, a pointer. */
const SOCK_FPROG = { count: 0, pointer: 8, size: 16 } as const;
const EAGAIN = 11;

/** An instruction of classic BPF (linux/filter.h): code, jump if true, jump if false, operand. */
export type FilterInstruction = readonly [code: number, jt: number, jf: number, k: number];

export interface PacketSocketOptions {
  readonly interfaceIndex: number;
  /** EtherType of the frames that are received; 3 (ETH_P_ALL): all, sent ones included. */
  readonly protocol: number;
  readonly filter: readonly FilterInstruction[];
  /** Length of the longest frame, bytes. */
  readonly frameBytes: number;
  /** Size of the receive buffer, bytes; missing: the system's default. */
  readonly receiveBufferBytes?: number;
  /** Each received frame is preceded by a struct virtio_net_hdr. */
  readonly vnetHeader?: boolean;
}

/** A packet socket on one interface. */
export class PacketSocket implements Disposable {
  readonly descriptor: number;
  /** Holds the received frame, and the one to send. */
  readonly buffer: Block;
  readonly #system: System;
  readonly #statistics: Block;
  #closed = false;

  /** Throws SystemCallError: EPERM without CAP_NET_RAW, ENODEV if the interface is missing. */
  constructor(system: System, options: PacketSocketOptions) {
    this.#system = system;
    this.buffer = allocate(system, options.frameBytes);
    this.#statistics = allocate(system, STATISTICS.size + 4);
    // Protocol 0 receives nothing until the filter is attached.
    const type = SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC;
    this.descriptor = succeeded('socket(AF_PACKET)', system.socket(AF_PACKET, type, 0));
    try {
      this.#attach(options.filter);
      if (options.vnetHeader) this.#setOption(SOL_PACKET, PACKET_VNET_HDR, 1);
      if (options.receiveBufferBytes !== undefined) this.#enlarge(options.receiveBufferBytes);
      this.#bind(options.interfaceIndex, options.protocol);
    } catch (error) {
      this[Symbol.dispose]();
      throw error;
    }
  }

  /** Reads a frame into `buffer`; returns its length, 0 if none waits, or a negative errno. Never waits. */
  receive(): number {
    const read = this.#system.read(this.descriptor, this.buffer.address, this.buffer.bytes.length);
    return read === -EAGAIN ? 0 : read;
  }

  /** Returns how many frames the kernel has dropped since the last call because the receive buffer was full. */
  takeDrops(): number {
    const { address, view } = this.#statistics;
    const length = address + STATISTICS.length;
    view.setUint32(STATISTICS.length, STATISTICS.size, true);
    // The kernel begins again with 0.
    succeeded(
      'getsockopt(PACKET_STATISTICS)',
      this.#system.getsockopt(this.descriptor, SOL_PACKET, PACKET_STATISTICS, address, length),
    );
    return view.getUint32(STATISTICS.drops, true);
  }

  /** Sends the first `length` bytes of `buffer`. Throws SystemCallError: ENETDOWN, ENXIO. */
  send(length: number): void {
    succeeded('send(AF_PACKET)', this.#system.write(this.descriptor, this.buffer.address, length));
  }

  [Symbol.dispose](): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#system.close(this.descriptor);
  }

  #attach(filter: readonly FilterInstruction[]): void {
    const program = allocate(this.#system, SOCK_FPROG.size + filter.length * SOCK_FILTER_BYTES);
    const { address, view } = program;
    view.setUint16(SOCK_FPROG.count, filter.length, true);
    view.setBigUint64(SOCK_FPROG.pointer, BigInt(address + SOCK_FPROG.size), true);
    for (const [i, [code, jt, jf, k]] of filter.entries()) {
      const at = SOCK_FPROG.size + i * SOCK_FILTER_BYTES;
      view.setUint16(at, code, true);
      view.setUint8(at + 2, jt);
      view.setUint8(at + 3, jf);
      view.setUint32(at + 4, k, true);
    }
    succeeded(
      'setsockopt(SO_ATTACH_FILTER)',
      this.#system.setsockopt(this.descriptor, SOL_SOCKET, SO_ATTACH_FILTER, address, SOCK_FPROG.size),
    );
  }

  #setOption(level: number, option: number, value: number): void {
    this.buffer.view.setInt32(0, value, true);
    const result = this.#system.setsockopt(this.descriptor, level, option, this.buffer.address, 4);
    succeeded(`setsockopt(${level}, ${option})`, result);
  }

  /** Needs CAP_NET_ADMIN; without it, the system's default size applies. */
  #enlarge(bytes: number): void {
    try {
      this.#setOption(SOL_SOCKET, SO_RCVBUFFORCE, bytes);
    } catch (error) {
      if (!(error instanceof SystemCallError)) throw error;
    }
  }

  #bind(interfaceIndex: number, protocol: number): void {
    const { address, view } = this.buffer;
    view.setUint16(SOCKADDR_LL.family, AF_PACKET, true);
    view.setUint16(SOCKADDR_LL.protocol, protocol);
    view.setInt32(SOCKADDR_LL.interfaceIndex, interfaceIndex, true);
    for (let at = 8; at < SOCKADDR_LL.size; at++) view.setUint8(at, 0);
    succeeded('bind(AF_PACKET)', this.#system.bind(this.descriptor, address, SOCKADDR_LL.size));
  }
}
