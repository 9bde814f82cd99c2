/** What the convergence of a host requires, and what it reports. */
import type { Heartbeat, HostState, Member, View } from './heartbeat.ts';
import type { GroupsByRule } from './own-places.ts';
import type { Timing } from './peers.ts';

export interface ConvergenceOptions extends Timing {
  readonly id: number;
  /** Ids of all hosts of the configuration. */
  readonly hosts: readonly number[];
  /** Returns a random number of 32 bits for a run. */
  readonly newBoot: () => number;
  readonly configuration: number;
  /** Own weights by port rule. */
  readonly weights: readonly number[];
  /** Returns the id of the owner of each place, by port rule; 0: none. The same for the same members on all hosts. */
  readonly assign: (members: readonly Member[]) => readonly Uint8Array[];
  /** Returns the groups that had clients lately, of rules with stickiness. */
  readonly recent: (now: number) => GroupsByRule;
}

export interface ConvergenceStatus {
  readonly state: HostState;
  readonly view: View | undefined;
  /** The host has entered the last phase of its view. */
  readonly isConverged: boolean;
  /** Owners of the places of the view in force, by port rule. */
  readonly owners: readonly Uint8Array[];
  /** The last heartbeats of the other hosts. */
  readonly peers: readonly Heartbeat[];
}
