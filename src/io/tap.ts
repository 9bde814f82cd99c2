/** The driver of a tap device: the frames that a program in the kernel hands up, and those that are handed back to it. */
import { readFileSync } from 'node:fs';
import { allocate, type Block } from '../sys/memory.ts';
import type { System } from '../sys/system.ts';
import type { Address } from '../wire/address.ts';
import { Frame, HEADROOM } from '../wire/frame.ts';
import type { PacketIo } from './packet-io.ts';
import { openTapDevice, type TapDevice, type TapDeviceOptions } from './tap-device.ts';

/** struct pollfd: descriptor, events, events that came (poll(2)). */
const POLLFD = 8;
const POLLIN = 1;
/** Octets before and behind the longest IP packet of the device: Ethernet with two tags. */
const LAYER2 = 22;

export interface TapOptions extends TapDeviceOptions {
  /** ms between two ticks at which `ready` resolves anyway. Default 100. */
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
  /** The last `receive` ended with its budget: more may wait. */
  #more = false;
  #closed = false;

  /** Throws SystemCallError. */
  constructor(system: System, options: TapOptions) {
    this.#system = system;
    this.#tick = options.tick ?? 100;
    this.device = openTapDevice(system, options);
    this.#room = allocate(system, options.mtu + LAYER2);
    const { bytes } = this.#room;
    this.#buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
    this.#frame = new Frame(options.mtu + LAYER2);
    this.#poll = allocate(system, POLLFD);
    this.#poll.view.setInt32(0, this.device.descriptor, true);
    this.#poll.view.setInt16(4, POLLIN, true);
  }

  receive(sink: (frame: Frame) => void, budget: number): number {
    const frame = this.#frame;
    let frames = 0;
    for (; frames < budget; frames++) {
      const length = this.#system.read(this.device.descriptor, this.#room.address, this.#room.bytes.length);
      // EAGAIN: none waits. Anything else ends the waiting just as well, and shows in `ready`.
      if (length <= 0) break;
      // Padded frames may be longer than the frame's buffer has room for: never longer than was read.
      frame.start = HEADROOM;
      frame.end = HEADROOM + length;
      frame.fragmentSize = 0;
      this.#buffer.copy(frame.bytes, HEADROOM, 0, length);
      sink(frame);
    }
    this.#more = frames === budget;
    return frames;
  }

  /** Hands the frame to the program at the tap. */
  transmit(frame: Frame, _nextHop: Address): boolean {
    const { length } = frame;
    if (length > this.#room.bytes.length) return false;
    copyInto(this.#room.bytes, frame);
    return this.#system.write(this.device.descriptor, this.#room.address, length) === length;
  }

  flush(): void {}

  async ready(signal: AbortSignal): Promise<boolean> {
    if (signal.aborted || this.#closed) return false;
    // Through the event loop even when frames wait: sockets and timers have their turn between two batches.
    if (this.#more) await new Promise((resolve) => setImmediate(resolve));
    else await this.#system.poll(this.#poll.address, 1, this.#tick);
    return !signal.aborted && !this.#closed;
  }

  /** Frames for this process that found its queue full. */
  get drops(): number {
    try {
      const file = `/sys/class/net/${this.device.name}/statistics/tx_dropped`;
      return Number(readFileSync(file, 'latin1'));
    } catch {
      return 0;
    }
  }

  /** The device goes. */
  [Symbol.dispose](): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#system.close(this.device.descriptor);
  }
}

/** Octet by octet where there are few: a view of them would cost more. */
function copyInto(room: Uint8Array, { bytes, start, end }: Frame): void {
  if (end - start > FEW) room.set(bytes.subarray(start, end));
  else for (let i = start; i < end; i++) room[i - start] = bytes[i]!;
}

/** Octets. */
const FEW = 128;
