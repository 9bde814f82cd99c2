/** Queues captured packets for the director: packets that may begin a connection yield to all others. */
import type { Frame } from '../wire/frame.ts';
import { FrameRing } from './frame-ring.ts';

/** Frames that wait although they may begin a connection: as many as their capture's buffer holds. */
const FIRST_FRAMES = 1024;
/** First packets of a batch while other packets wait: new connections are slow then, but not impossible. */
const MIN_FIRST = 4;
/** First packets of a batch while none other waits: the time until other packets are looked for. */
const MAX_FIRST = 32;

export class PacketQueues {
  /** Packets of existing connections, and those that look like them. */
  readonly known: FrameRing;
  /** Packets that ask for a connection: TCP SYN, SCTP INIT. */
  readonly first: FrameRing;

  /** `frames`: frames of `known`, a power of two. `capacity`: length of the longest packet, bytes. */
  constructor(frames: number, capacity: number) {
    this.known = new FrameRing(frames, capacity);
    this.first = new FrameRing(FIRST_FRAMES, capacity);
  }

  get isEmpty(): boolean {
    return this.known.length + this.first.length === 0;
  }

  /**
   * Reports whether the capture of first packets should be read: not before the earlier ones are handled. The kernel
   * drops those that its buffer cannot hold, at less cost than this process could.
   */
  get wantsFirst(): boolean {
    return this.first.length === 0;
  }

  /** Passes at most `budget` known packets to `sink`, then some first packets, and returns their number. */
  drain(sink: (frame: Frame) => void, budget: number): number {
    const known = this.known.drain(sink, budget);
    return known + this.first.drain(sink, this.known.length === 0 && known < budget ? MAX_FIRST : MIN_FIRST);
  }
}
