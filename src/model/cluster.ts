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
  readonly state: MemberState;
  /** Generation of the configuration that is in effect; 0: none of the cluster. */
  readonly generation: number;
  /** Packets are forwarded, and connections of other directors are known. */
  readonly isReady: boolean;
  readonly version: string;
  readonly addresses: readonly string[];
  /** When the process started, ISO 8601. */
  readonly since: string;
  /** The generation that this member has rejected, and why. */
  readonly rejected?: { readonly generation: number; readonly error: string };
}

/** What a director reports about its cluster. */
export interface ClusterStatus {
  readonly name: string;
  readonly node: string;
  readonly state: MemberState;
  readonly isReachable: boolean;
  /** Generation in effect here, and that of etcd as far as it is known. */
  readonly generation: number;
  readonly stored: number;
  readonly members: readonly ClusterMember[];
  /** Failed requests, by kind. */
  readonly errors: Readonly<Record<string, number>>;
  /** Values in etcd that were no records of a cluster, and are ignored. */
  readonly invalidRecords: number;
}
