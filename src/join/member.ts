/** What a server that joins says of itself, whatever brings it to the director: heartbeats, or a registry. */
import type { DestinationAddress } from '../model/destination.ts';
import type { JoinedSource } from '../model/joined.ts';
import type { ServiceAddress } from '../model/service.ts';

/**
 * joining: not ready yet. up: takes connections. draining: keeps its connections, and wants no new ones. leaving: wants to be
 * removed.
 */
export const SERVER_STATES = ['joining', 'up', 'draining', 'leaving'] as const;
export type ServerState = (typeof SERVER_STATES)[number];

/** A service, and the destination by which the server serves it. */
export interface Place {
  readonly service: ServiceAddress;
  readonly destination: DestinationAddress;
  /** 0 to 65,535. */
  readonly weight: number;
}

export interface Announcement {
  /** Name of the server (isName), unique among those that join. */
  readonly node: string;
  /** Identifies this run of the server's agent. */
  readonly run: string;
  readonly state: ServerState;
  readonly places: readonly Place[];
  /** Default: heartbeats. */
  readonly source?: JoinedSource;
}

/**
 * Takes what a source of members has learned. A source passes only announcements that it believes to be new; it asks
 * again for nothing, so the latest announcement counts.
 */
export interface MemberSink {
  /** Returns false if nothing of the announcement was accepted. `now`: ms. */
  announce(announcement: Announcement, now: number): boolean;
  /**
   * The source misses the server. It is taken for a failure: a server that leaves announces it. Without effect if another source has
   * brought the server's last announcement.
   */
  lose(node: string, now: number, source?: JoinedSource): void;
  /** Reports whether the server has places now. */
  has(node: string): boolean;
}
