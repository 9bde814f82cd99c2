/** Arrays as source and sink of packets: the driver of unit tests, benches and replays of the director's own packets. */

import type { PacketIo } from '../../src/io/packet-io.ts';
import type { Address } from '../../src/wire/address.ts';
import { Frame } from '../../src/wire/frame.ts';

/** A packet that was sent. */
export interface SentPacket {
  readonly octets: Uint8Array<ArrayBuffer>;
  readonly nextHop: Address;
}

/** A driver whose wire is two arrays. */
export class MemoryIo implements PacketIo {
  readonly medium: 'ethernet' | 'ip';
  readonly exclusive = true;
  /** What `transmit` took, oldest first; the test's to empty. */
  readonly sent: SentPacket[] = [];
  /** `transmit` refuses once this many are in `sent`. */
  capacity = Number.POSITIVE_INFINITY;
  readonly #waiting: { octets: Uint8Array; at: number }[] = [];
  readonly #frame = new Frame();
  #next = 0;
  #closed = false;
  #wake: (() => void) | undefined;

  constructor(medium: 'ethernet' | 'ip' = 'ip') {
    this.medium = medium;
  }

  /** Puts a packet on the wire, to be received; `at`: ms. False when it is longer than any packet. */
  inject(octets: Uint8Array, at = 0): boolean {
    if (!this.#frame.load(octets)) return false;
    this.#waiting.push({ octets: octets.slice(), at });
    this.#wake?.();
    return true;
  }

  /** Ends the input: `ready` returns false after the waiting packets were received. */
  close(): void {
    this.#closed = true;
    this.#wake?.();
  }

  receive(sink: (frame: Frame) => void, budget: number): number {
    let count = 0;
    while (count < budget && this.#next < this.#waiting.length) {
      const { octets, at } = this.#waiting[this.#next]!;
      this.#next++;
      count++;
      this.#frame.load(octets, at);
      sink(this.#frame);
    }
    if (this.#next === this.#waiting.length) {
      this.#waiting.length = 0;
      this.#next = 0;
    }
    return count;
  }

  transmit(frame: Frame, nextHop: Address): boolean {
    if (this.sent.length >= this.capacity) return false;
    this.sent.push({ octets: frame.copy(), nextHop: nextHop.slice() });
    return true;
  }

  flush(): void {}

  async ready(signal: AbortSignal): Promise<boolean> {
    while (this.#next === this.#waiting.length && !this.#closed && !signal.aborted) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
        signal.addEventListener('abort', () => resolve(), { once: true });
      });
      this.#wake = undefined;
    }
    return this.#next < this.#waiting.length;
  }

  [Symbol.dispose](): void {
    this.close();
  }
}
