/** Directors that share their configuration in etcd: what is known about the cluster and its members. Plain JSON. */

/** Settings of one director, from its file. */
export interface ClusterSettings {
  /** Name of the cluster: keys in etcd begin with /lvs/NAME/. */
  readonly cluster: string;
  /** Name of this director. */
  readonly node: string;
  /** Such as https://192.0.2.1:2379. */
  readonly endpoints: readonly string[];
  readonly tls?: { readonly ca?: string; readonly cert?: string; readonly key?: string };
  readonly user?: string;
  /** File with the password of `user`. */
  readonly passwordFile?: string;
  /** Folder of the copy that a start without etcd uses. */
  readonly state: string;
}

/** `left`: the member ends, and its key is about to vanish. */
export type MemberState = 'active' | 'paused' | 'evicted' | 'left';

/** Why a cluster makes a director announce nothing. */
export type HoldReason = Extract<MemberState, 'paused' | 'evicted'>;

export interface ClusterMember {
  readonly node: string;
  /** Identifies the process. */
  readonly instance: string;
  /** Identifies the copy of the state on the director's host, which all its processes use. */
  readonly copy?: string;
  readonly state: MemberState;
  /** Generation of the configuration that is in effect; 0: none of the cluster. */
  readonly generation: number;
  /** Packets are forwarded, and connections of other directors are known. */
  readonly isReady: boolean;
  /** It announces no VIPs: it has withdrawn them, or its BIRD does not run or has no session. Missing: it can. */
  readonly cannotAnnounce?: boolean;
  readonly version: string;
  readonly addresses: readonly string[];
  /** When the process started, ISO 8601. */
  readonly since: string;
  /** The generation that this member has rejected, and why. */
  readonly rejected?: { readonly generation: number; readonly error: string };
  /** The VIPs that it announces to routers: how many, and the first of them. Missing: its configuration announces none. */
  readonly announced?: { readonly count: number; readonly vips: readonly string[] };
  /** Rounded, and up to a minute old. */
  readonly load?: MemberLoad;
}

export interface MemberLoad {
  /** Entries of the connection table. */
  readonly connections: number;
  /** Per second. */
  readonly newConnections: number;
  /** Bytes from clients per second. */
  readonly inOctets: number;
}

/** `offline`: it does not run, or etcd has lost it. */
export type NodeState = 'online' | 'offline' | 'paused' | 'evicted';

/** A director that was admitted to a cluster. */
export interface ClusterNodeState {
  readonly node: string;
  readonly state: NodeState;
}

/** `spare`: other directors announce the VIPs of a group. */
export type GroupRole = 'active' | 'spare';

/** A group of VIPs that a limited number of directors announce. */
export interface ClusterGroup {
  readonly name: string;
  /** Number of directors that are to announce it. */
  readonly wanted: number;
  /** Those that do, as etcd has it, in the order of their places. */
  readonly holders: readonly string[];
  /** Role of this director; missing: not decided yet. */
  readonly role?: GroupRole;
}

/** An entry in the log of a cluster. */
export interface LogEntry {
  /** ISO 8601. */
  readonly time: string;
  readonly node: string;
  readonly event: string;
  readonly text: string;
}

/** Where a director has the generation in effect from. `copy`: that on its host, and etcd has not confirmed it since. */
export const GENERATION_SOURCES = ['etcd', 'copy'] as const;
export type GenerationSource = (typeof GENERATION_SOURCES)[number];

/** The configuration in effect on a director of a cluster. */
export interface ClusterGeneration {
  /** Name of the cluster. */
  readonly name: string;
  readonly generation: number;
  readonly source: GenerationSource;
  /** Generation of etcd, as far as it is known; 0: none. */
  readonly stored: number;
  readonly isReachable: boolean;
}

/** What a director reports about its cluster. */
export interface ClusterStatus extends ClusterGeneration {
  readonly node: string;
  readonly state: MemberState;
  /** All directors, in the order of their names, at most 1000. */
  readonly nodes: readonly ClusterNodeState[];
  /** Those that run. */
  readonly members: readonly ClusterMember[];
  /** Groups of VIPs in the configuration of this director. */
  readonly groups: readonly ClusterGroup[];
  /** The last entries of the log, the oldest first; up to 10 s old. */
  readonly events: readonly LogEntry[];
  /** Failed requests, by kind. */
  readonly errors: Readonly<Record<string, number>>;
  /** Values in etcd that were no records of a cluster, and are ignored. */
  readonly invalidRecords: number;
}
