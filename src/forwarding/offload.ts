/** What a kernel path that forwards packets of known connections must offer, and the one that offers nothing. */
import type { Row } from '../model/connection.ts';

/** A kernel path that forwards packets of known connections by itself: a cache of the connection table. */
export interface FlowOffload {
  /** false: it cannot take this connection; the director keeps forwarding it. */
  install(row: Row): boolean;
  /** The connection's packets are the director's from now on. What it was forwarded and was not told yet is reported. */
  remove(row: Row): void;
  /** Reports what happened since the last call, so that counters and timeouts stay true. */
  sweep(): void;
}

/** Told of packets and bytes that a kernel path forwarded for a connection since it was told last. `lastSeen`: ms. `isReply`: they were the destination's. */
export type FlowReport = (
  row: Row,
  packets: number,
  octets: number,
  lastSeen: number,
  isReply: boolean,
) => void;

/** A director without a kernel path is the same director. */
export const noOffload: FlowOffload = {
  install: () => false,
  remove: () => {},
  sweep: () => {},
};
