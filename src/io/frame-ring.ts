/** A bounded queue of frames between a driver that pushes and a pump that pulls. */
import { Frame, HEADROOM } from '../wire/frame.ts';

/** Frames are made when they are first needed; the one used last is used next, while it is in the processor's caches. */
export class FrameRing {
  readonly #frames: Frame[] = [];
  readonly #words: Uint32Array[] = [];
  /** Numbers of queued frames, and of free ones as a stack. */
  readonly #queue: Uint32Array;
  readonly #free: Uint32Array;
  #freeCount = 0;
  readonly #mask: number;
  readonly #room: number;
  /** Totals, as 32-bit integers that wrap together. */
  #pushed = 0;
  #taken = 0;

  /** `size`: frames, a power of two. `capacity`: length of the longest packet, bytes. Throws RangeError for another size. */
  constructor(size: number, capacity: number) {
    if ((size & (size - 1)) !== 0)
      throw new RangeError(`frame ring: invalid size ${size}: expected a power of two`);
    this.#queue = new Uint32Array(size);
    this.#free = new Uint32Array(size);
    this.#mask = size - 1;
    this.#room = (capacity + 3) & ~3;
  }

  /** Number of queued frames. */
  get length(): number {
    return (this.#pushed - this.#taken) | 0;
  }

  get full(): boolean {
    return this.length > this.#mask;
  }

  /** Returns the next free frame, to be filled and then queued with `push`; undefined if the ring is full. */
  claim(): Frame | undefined {
    if (this.full) return undefined;
    const frame = this.#frames[this.#nextFree()]!;
    frame.start = HEADROOM;
    frame.end = HEADROOM;
    frame.setWhole();
    frame.ingress = 0;
    return frame;
  }

  /** Queues the claimed frame. */
  push(): void {
    this.#freeCount--;
    this.#queue[this.#pushed & this.#mask] = this.#free[this.#freeCount]!;
    this.#pushed = (this.#pushed + 1) | 0;
  }

  /**
   * Queues a copy of `octets` bytes of `from`, beginning at its word `word`. Returns false if the ring is full or the
   * packet is too long. `ingress`: index of the interface. Copies words: views would allocate two objects per packet.
   */
  pushCopy(from: Uint32Array, word: number, octets: number, ingress = 0): boolean {
    const frame = this.claim();
    if (!frame || octets > this.#room) return false;
    const into = this.#words[this.#nextFree()]!;
    const end = (octets + 3) >>> 2;
    for (let i = 0; i < end; i++) into[(HEADROOM >>> 2) + i] = from[word + i]!;
    frame.end = HEADROOM + octets;
    frame.ingress = ingress;
    this.push();
    return true;
  }

  /** Passes at most `budget` frames to `sink`, oldest first; a frame is free again when `sink` returns. */
  drain(sink: (frame: Frame) => void, budget: number): number {
    const count = Math.min(budget, this.length);
    for (let i = 0; i < count; i++) {
      const number = this.#queue[this.#taken & this.#mask]!;
      sink(this.#frames[number]!);
      this.#taken = (this.#taken + 1) | 0;
      this.#free[this.#freeCount++] = number;
    }
    return count;
  }

  /** Returns the number of the frame that `push` will queue. */
  #nextFree(): number {
    if (this.#freeCount === 0) {
      const frame = new Frame(this.#room);
      this.#words.push(new Uint32Array(frame.bytes.buffer));
      this.#free[this.#freeCount++] = this.#frames.push(frame) - 1;
    }
    return this.#free[this.#freeCount - 1]!;
  }
}
