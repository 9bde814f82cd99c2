/** The content of a heartbeat, and the views that hosts agree on. */
import type { GroupsByRule } from './own-places.ts';

/** Identifies a view: hosts with the same epoch have the same members and weights, and therefore the same owners. */
export interface Epoch {
  /** Greater than that of every view that a member accepted before. */
  readonly counter: number;
  /** Host id and boot of the host that made the view. */
  readonly coordinator: number;
  readonly boot: number;
}

export interface Member {
  readonly id: number;
  /** Random number of this run of the agent: a restarted host is another member. */
  readonly boot: number;
  /** Share of new connections by port rule, 0 to 100; 0: none. */
  readonly weights: readonly number[];
}

export interface View {
  readonly epoch: Epoch;
  /** Whether members came from different views, so that several of them may accept the same places. */
  readonly isMerge: boolean;
  /** In the order of their ids. */
  readonly members: readonly Member[];
}

/** How far a host has come with a view: it knows the view, gives up places, takes places. */
export const PREPARED = 1;
export const RELEASED = 2;
export const SERVING = 3;
export type Phase = 1 | 2 | 3;

/**
 * States other than active serve nothing. muted: another host does not receive this one; duplicate: another host has the
 * same id; mismatch: hosts with another configuration serve.
 */
export const HOST_STATES = ['active', 'muted', 'duplicate', 'mismatch'] as const;
export type HostState = (typeof HOST_STATES)[number];

export interface Heartbeat extends Member {
  /** Counts the heartbeats of this boot. */
  readonly sequence: number;
  /** Hash of the configuration: hosts agree only if theirs is the same. */
  readonly configuration: number;
  readonly state: HostState;
  /** The last heartbeat received from each other host. */
  readonly received: readonly { readonly id: number; readonly boot: number; readonly sequence: number }[];
  /** Greatest counter of a view that this host accepted or made. */
  readonly counter: number;
  /** The view that the host follows, and its phase. */
  readonly held?: { readonly epoch: Epoch; readonly phase: Phase };
  /** The view in force: the host has given up the places that are another host's in it, or announces when it does. */
  readonly inForce?: Epoch;
  /** ms from the sending until the host has given up those places; 0: it has. */
  readonly ends: number;
  /** Groups of places that the host does not give up, because it had clients there lately. */
  readonly kept: GroupsByRule;
  /** A coordinator's view, and the phase that members may enter. */
  readonly led?: { readonly view: View; readonly phase: Phase };
}

export const sameEpoch = (a: Epoch | undefined, b: Epoch | undefined): boolean =>
  a !== undefined &&
  b !== undefined &&
  a.counter === b.counter &&
  a.coordinator === b.coordinator &&
  a.boot === b.boot;

/** Reports whether the view contains this run of the host. */
export const isMember = ({ members }: View, { id, boot }: Pick<Member, 'id' | 'boot'>): boolean =>
  members.some((member) => member.id === id && member.boot === boot);
