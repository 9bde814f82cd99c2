/** Moves packets from a driver through the director in batches, and drives the director's clock. */
import type { Frame } from '../wire/frame.ts';
import type { PacketIo } from './packet-io.ts';

/** The part of a director that the pump needs. */
export interface Handler<Verdict extends string> {
  handle(frame: Frame, now: number): Verdict;
  /** The subject of the last verdict: the frame, or the datagram that it completed as a fragment. */
  readonly subject: Frame;
  expire(now: number): void;
}

export interface PumpOptions<Verdict extends string> {
  readonly io: PacketIo;
  readonly director: Handler<Verdict>;
  /** ms, monotonic, whole. */
  readonly clock: () => number;
  /** Called for a packet that the director leaves to the host; the frame is reused afterwards. */
  readonly unmatched?: (frame: Frame) => void;
  readonly signal: AbortSignal;
  /** Returns the number of packets between two reads of the clock; default BATCH. */
  readonly batch?: () => number;
}

/** Packets between two reads of the clock; timers and the control plane run between batches. */
export const BATCH = 128;
/** Minimum time between two calls of expire, ms. */
const EXPIRY_INTERVAL_MS = 100;

/** Returns whole milliseconds of a monotonic clock. */
export const monotonicClock = (): number => Math.floor(performance.now());

/** Runs until the driver has no more packets, or the signal aborts. */
export async function pump<Verdict extends string>(options: PumpOptions<Verdict>): Promise<void> {
  const { io, director, clock, unmatched, signal, batch = () => BATCH } = options;
  let now = clock();
  let expired = now;
  const sink = (frame: Frame) => {
    if (director.handle(frame, now) === 'pass') unmatched?.(director.subject);
  };
  while (await io.ready(signal)) {
    now = clock();
    if (now - expired >= EXPIRY_INTERVAL_MS) {
      director.expire(now);
      expired = now;
    }
    io.receive(sink, batch());
    io.flush();
  }
}
