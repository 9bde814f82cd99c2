/** The interface of a kernel path that forwards packets of known connections, and its place in a director. */
import type { Row } from '../model/connection.ts';

/** A kernel path that forwards packets of known connections: a cache of the connection table. */
export interface FlowOffload {
  /** Offers a connection; returns false when it cannot be offloaded, and the director keeps forwarding it. */
  install(row: Row): boolean;
  /** Returns the connection to the director, after reporting packets that were not reported yet. */
  remove(row: Row): void;
  /** Reports traffic since the last call, so that counters and timeouts are current. */
  sweep(): void;
}

/**
 * Reports packets and bytes forwarded by the kernel path for a connection since the last report. `lastSeen`:
 * ms. `isReply`: sent by the destination.
 */
export type FlowReport = (
  row: Row,
  packets: number,
  octets: number,
  lastSeen: number,
  isReply: boolean,
) => void;

/** Does nothing: for a director without a kernel path. */
export const noOffload: FlowOffload = {
  install: () => false,
  remove: () => {},
  sweep: () => {},
};

/** The kernel path of a director, if any. Connections can be excluded from it. */
export class AttachedOffload implements FlowOffload {
  #offload: FlowOffload = noOffload;
  #isExcluded: ((row: Row) => boolean) | undefined;

  /** Replaces the kernel path. */
  attach(offload: FlowOffload): void {
    this.#offload = offload;
  }

  get isAttached(): boolean {
    return this.#offload !== noOffload;
  }

  /** Refuses connections for which `isExcluded` returns true, until the next call. undefined: refuses none. */
  exclude(isExcluded: ((row: Row) => boolean) | undefined): void {
    this.#isExcluded = isExcluded;
  }

  install(row: Row): boolean {
    return !this.#isExcluded?.(row) && this.#offload.install(row);
  }

  remove(row: Row): void {
    this.#offload.remove(row);
  }

  sweep(): void {
    this.#offload.sweep();
  }
}
