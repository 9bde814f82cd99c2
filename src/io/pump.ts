/** Packets from a driver through the director, in batches; the one place where a running director meets a clock. */
import type { Frame } from '../wire/frame.ts';
import type { PacketIo } from './packet-io.ts';

/** What the pump needs of a director. */
export interface Handler<Verdict extends string> {
  handle(frame: Frame, now: number): Verdict;
  /** What the last verdict was about: that frame, or the datagram that it completed as a fragment. */
  readonly subject: Frame;
  expire(now: number): void;
}

export interface PumpOptions<Verdict extends string> {
  readonly io: PacketIo;
  readonly director: Handler<Verdict>;
  /** ms, monotonic, whole. */
  readonly clock: () => number;
  /** A packet that is not the director's; the frame is only lent. */
  readonly passed?: (frame: Frame) => void;
  readonly signal: AbortSignal;
}

/** Packets between two looks at the clock, the timers and the control plane. */
export const BATCH = 128;
/** ms between two calls of expire, at least. */
const EXPIRY_TICK = 100;

/** Whole milliseconds that never go back, however long the process runs. */
export const monotonicClock = (): number => Math.floor(performance.now());

/** Runs until there will be no more packets, or the signal aborts. */
export async function pump<Verdict extends string>(options: PumpOptions<Verdict>): Promise<void> {
  const { io, director, clock, passed, signal } = options;
  let now = clock();
  let expired = now;
  const sink = (frame: Frame) => {
    if (director.handle(frame, now) === 'pass') passed?.(director.subject);
  };
  while (await io.ready(signal)) {
    now = clock();
    if (now - expired >= EXPIRY_TICK) {
      director.expire(now);
      expired = now;
    }
    io.receive(sink, BATCH);
    io.flush();
  }
}
