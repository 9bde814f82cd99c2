/** Receives packets that a sender's kernel or a network card merged, with their segment size (PACKET_VNET_HDR). */
import { allocate, type Block } from '../sys/memory.ts';
import { PacketSocket } from '../sys/packet-socket.ts';
import type { System } from '../sys/system.ts';
import { ETHERNET_HEADER } from '../wire/ethernet.ts';
import { mergedFilter } from './merged-filter.ts';

/** ETH_P_ALL of linux/if_ether.h. */
const ALL_PROTOCOLS = 3;
/** struct virtio_net_hdr, include/uapi/linux/virtio_net.h: the offset of the segment size, and the size of it all. */
const SEGMENT_SIZE = 4;
const VIRTIO_HEADER = 10;
/** An IP packet of 65,535 bytes with its headers. */
const MAX_FRAME_BYTES = VIRTIO_HEADER + ETHERNET_HEADER + 65_575;
const RECEIVE_BUFFER_BYTES = 32 * 1024 * 1024;
/** Frames read from a socket before timers and other sockets run. */
const FRAMES_PER_TURN = 32;
/** How long a wait lasts at most, ms: sockets that were opened meanwhile join then. */
const WAIT_MS = 100;

/** struct pollfd: descriptor, events, returned events (poll(2)). */
const POLLFD_BYTES = 8;
const POLLIN = 1;
/** Interfaces at a time. */
const MAX_SOCKETS = 1024;

/**
 * Called for an Ethernet frame without VLAN tag: bytes[at, end). `segmentSize`: payload bytes of a segment, 0 for a
 * packet that is not merged.
 */
export type MergedFrame = (
  bytes: Uint8Array<ArrayBuffer>,
  at: number,
  end: number,
  segmentSize: number,
) => void;

interface Opened {
  readonly socket: PacketSocket;
  readonly receive: MergedFrame;
}

export class MergedReceiver implements Disposable {
  readonly #system: System;
  readonly #descriptors: Block;
  #sockets: readonly Opened[] = [];
  #running = false;
  #closed = false;
  /** Packets that the kernel could not describe: Linux before 6.2 has no virtio type for merged datagrams. */
  lost = 0;
  /** Packets that were dropped until the last look at the sockets. */
  #dropped = 0;

  constructor(system: System) {
    this.#system = system;
    this.#descriptors = allocate(system, MAX_SOCKETS * POLLFD_BYTES);
  }

  /**
   * Receives the merged packets of an interface until the result is disposed. `longest`: bytes of the longest frame
   * that is not merged. Throws SystemCallError.
   */
  open(interfaceIndex: number, longest: number, receive: MergedFrame): Disposable {
    const socket = new PacketSocket(this.#system, {
      interfaceIndex,
      protocol: ALL_PROTOCOLS,
      filter: mergedFilter(longest),
      frameBytes: MAX_FRAME_BYTES,
      receiveBufferBytes: RECEIVE_BUFFER_BYTES,
      vnetHeader: true,
    });
    const opened = { socket, receive };
    this.#sockets = [...this.#sockets, opened];
    if (!this.#running) void this.#run();
    return {
      [Symbol.dispose]: () => {
        if (!this.#sockets.includes(opened)) return;
        this.#dropped += socket.takeDrops();
        this.#sockets = this.#sockets.filter((each) => each !== opened);
        socket[Symbol.dispose]();
      },
    };
  }

  /** Packets that the kernel dropped since the start because they were not read in time; a merged one counts as one. */
  get dropped(): number {
    for (const { socket } of this.#sockets) this.#dropped += socket.takeDrops();
    return this.#dropped;
  }

  [Symbol.dispose](): void {
    this.#closed = true;
    for (const { socket } of this.#sockets) socket[Symbol.dispose]();
    this.#sockets = [];
  }

  async #run(): Promise<void> {
    this.#running = true;
    while (!this.#closed && this.#sockets.length > 0) {
      const { view, address } = this.#descriptors;
      const sockets = this.#sockets;
      for (const [i, { socket }] of sockets.entries()) {
        view.setInt32(i * POLLFD_BYTES, socket.descriptor, true);
        view.setInt16(i * POLLFD_BYTES + 4, POLLIN, true);
      }
      await this.#system.poll(address, sockets.length, WAIT_MS);
      for (const opened of sockets) if (this.#sockets.includes(opened)) this.#read(opened);
      await new Promise((resolve) => setImmediate(resolve));
    }
    this.#running = false;
  }

  #read({ socket, receive }: Opened): void {
    const { bytes, view } = socket.buffer;
    for (let i = 0; i < FRAMES_PER_TURN; i++) {
      const length = socket.receive();
      if (length === -EINVAL) this.lost++;
      else if (length <= 0) return;
      else receive(bytes, VIRTIO_HEADER, length, view.getUint16(SEGMENT_SIZE, true));
    }
  }
}

/** An invalid argument: the kernel has no virtio description for the packet, and drops it. */
const EINVAL = 22;
