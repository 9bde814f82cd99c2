/** The driver of a tap device: receives the frames that an eBPF program redirects to it, and sends frames back. */
import { readFileSync } from 'node:fs';
import { allocate, type Block } from '../sys/memory.ts';
import type { System } from '../sys/system.ts';
import type { Address } from '../wire/address.ts';
import { Frame, HEADROOM } from '../wire/frame.ts';
import type { PacketIo } from './packet-io.ts';
import { openTapDevice, setPersistent, type TapDevice, type TapDeviceOptions } from './tap-device.ts';

/** struct pollfd: descriptor, events, events that came (poll(2)). */
const POLLFD = 8;
const POLLIN = 1;
/** Length of an Ethernet header with two tags, bytes. */
const MAX_LINK_HEADER = 22;

export interface TapOptions extends TapDeviceOptions {
  /** Interval at which `ready` resolves without packets, ms. Default 100. */
  readonly tick?: number;
}

export class Tap implements PacketIo {
  readonly medium = 'ethernet';
  readonly exclusive = true;
  readonly device: TapDevice;
  readonly #system: System;
  readonly #tick: number;
  readonly #room: Block;
  readonly #buffer: Buffer;
  readonly #poll: Block;
  readonly #frame: Frame;
  /** True if the last `receive` used up its budget: more frames may wait. */
  #more = false;
  #closed = false;

  /** Throws SystemCallError. */
  constructor(system: System, options: TapOptions) {
    this.#system = system;
    this.#tick = options.tick ?? 100;
    this.device = openTapDevice(system, options);
    this.#room = allocate(system, options.mtu + MAX_LINK_HEADER);
    const { bytes } = this.#room;
    this.#buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
    this.#frame = new Frame(options.mtu + MAX_LINK_HEADER);
    this.#poll = allocate(system, POLLFD);
    this.#poll.view.setInt32(0, this.device.descriptor, true);
    this.#poll.view.setInt16(4, POLLIN, true);
  }

  receive(sink: (frame: Frame) => void, budget: number): number {
    const frame = this.#frame;
    let frames = 0;
    for (; frames < budget; frames++) {
      const length = this.#system.read(this.device.descriptor, this.#room.address, this.#room.bytes.length);
      // EAGAIN: no frame waits. Any other error appears again in `ready`.
      if (length <= 0) break;
      frame.start = HEADROOM;
      frame.end = HEADROOM + length;
      frame.setWhole();
      frame.ingress = 0;
      this.#buffer.copy(frame.bytes, HEADROOM, 0, length);
      sink(frame);
    }
    this.#more = frames === budget;
    return frames;
  }

  /** Passes the frame to the program at the tap. */
  transmit(frame: Frame, _nextHop: Address): boolean {
    const { length } = frame;
    if (length > this.#room.bytes.length) return false;
    copyInto(this.#room.bytes, frame);
    return this.#system.write(this.device.descriptor, this.#room.address, length) === length;
  }

  flush(): void {}

  async ready(signal: AbortSignal): Promise<boolean> {
    if (signal.aborted || this.#closed) return false;
    // Through the event loop even when frames wait: sockets and timers run between two batches.
    if (this.#more) await new Promise((resolve) => setImmediate(resolve));
    else await this.#system.poll(this.#poll.address, 1, this.#tick);
    return !signal.aborted && !this.#closed;
  }

  /** Frames dropped because the queue to this process was full. */
  get drops(): number {
    try {
      const file = `/sys/class/net/${this.device.name}/statistics/tx_dropped`;
      return Number(readFileSync(file, 'latin1'));
    } catch {
      return 0;
    }
  }

  /** Sets whether the device remains when the process ends. Throws SystemCallError. */
  persist(isPersistent: boolean): void {
    setPersistent(this.#system, this.device, isPersistent);
  }

  /** Removes the device unless it persists. */
  [Symbol.dispose](): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#system.close(this.device.descriptor);
  }
}

/** Copies short frames byte by byte: a view would cost more. */
function copyInto(room: Uint8Array, { bytes, start, end }: Frame): void {
  if (end - start > LOOP_COPY_BYTES) room.set(bytes.subarray(start, end));
  else for (let i = start; i < end; i++) room[i - start] = bytes[i]!;
}

/** Length up to which a loop copies faster than a view. */
const LOOP_COPY_BYTES = 128;
