/** Servers that join by themselves, as snapshots and outputs have them. */

import type { DestinationAddress } from './destination.ts';
import type { ServiceAddress } from './service.ts';

/**
 * joining: the server is not ready yet. up: it takes connections. draining: it wants no new ones. leaving: it is removed when its
 * connections have ended. silent: its heartbeats, or its key in etcd, are missing, the rest is as for leaving. kept: they are missing, too, but so
 * are those of most servers, so the checks decide.
 */
export const JOINED_STATES = ['joining', 'up', 'draining', 'leaving', 'silent', 'kept'] as const;
export type JoinedState = (typeof JOINED_STATES)[number];

export interface JoinedSnapshot {
  /** The name of the server. */
  readonly server: string;
  readonly state: JoinedState;
  /** The weight that it announces. */
  readonly weight: number;
}

/** Outcomes of received heartbeats, see docs/join.md. */
export const HEARTBEAT_OUTCOMES = [
  ...(['accepted', 'unproven', 'replayed', 'unauthenticated', 'foreign', 'malformed', 'overload'] as const),
] as const;
export type HeartbeatOutcome = (typeof HEARTBEAT_OUTCOMES)[number];

/**
 * Why something that a server announces is refused. service: no service of the file has it, or it allows no joining; address:
 * outside of the networks, a VIP, or of another family; taken: another server, or the file, has the destination; limit: too many
 * servers; duplicate: another server has the name.
 */
export const JOIN_REFUSALS = ['service', 'address', 'taken', 'limit', 'duplicate'] as const;
export type JoinRefusal = (typeof JOIN_REFUSALS)[number];

/** What a director has received of servers that join, since its start. */
export interface JoinCounts {
  readonly heartbeats: Readonly<Record<HeartbeatOutcome, number>>;
  readonly refusals: Readonly<Record<JoinRefusal, number>>;
  /** Servers now, by the state that they announced last. */
  readonly servers: Readonly<Record<JoinedState, number>>;
  /** Servers whose keys etcd has; missing: the director does not follow etcd. */
  readonly registered?: number;
  /** Times that most servers of a service were lost at once, so that all were kept. */
  readonly massLosses: number;
}

/** What brings announcements to the director. */
export const JOINED_SOURCES = ['heartbeats', 'etcd'] as const;
export type JoinedSource = (typeof JOINED_SOURCES)[number];

/**
 * How a destination that joined fares. slow-start: its weight grows. quiesced: it is up, and has weight 0 by checks or by a
 * command. removed: a command has removed it, until the agent starts again.
 */
export type JoinedCondition = JoinedState | 'slow-start' | 'quiesced' | 'removed';

/** A destination that has joined, as listings have it. */
export interface JoinedPlace {
  readonly server: string;
  readonly source: JoinedSource;
  readonly service: ServiceAddress;
  readonly destination: DestinationAddress;
  /** In the rules; missing: they do not have it. */
  readonly weight?: number;
  /** The weight that the server announces. */
  readonly announced: number;
  readonly state: JoinedCondition;
  /** Since when the server has its state, ISO 8601: that without slow-start, quiesced and removed. */
  readonly since: string;
}

const WORDS: Readonly<Record<JoinedState, string>> = {
  joining: 'the server announces that it is not ready yet',
  up: 'joined',
  draining: 'the server announces that it drains',
  leaving: 'the server has left, its connections continue',
  silent: 'the server is silent, its connections continue',
  kept: 'most servers are silent: checks decide',
};

/** Returns why a destination that joined has its weight. */
export const joinedWords = ({ state, weight }: JoinedSnapshot): string =>
  state === 'up' && weight === 0 ? 'the server announces weight 0' : WORDS[state];
