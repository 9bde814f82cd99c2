/** State of a running director outside its snapshot: the process, the packet driver, the host. Plain JSON. */

import type { AccessCounts } from './access-list.ts';
import type { AnnouncementListing } from './announcement.ts';
import type { ClusterStatus } from './cluster.ts';
import type { JoinCounts } from './joined.ts';
import type { UpcallCounts } from './kernel-admission.ts';
import type { NotifyCounts } from './notify.ts';

/** Times in seconds. */
export interface EventLoopDelay {
  readonly mean: number;
  readonly p99: number;
  readonly max: number;
}

/** Counters of the control socket since it was opened. */
export interface ControlCounters {
  clients: number;
  requests: number;
  /** Requests that were invalid or could not be answered. */
  failed: number;
  /** Clients rejected because of the connection limit. */
  refused: number;
  /** Clients disconnected because they were too slow. */
  timedOut: number;
  /** Clients that disconnected before they received a response. */
  vanished: number;
}

/** Conditions that impair a ready director, with their meanings. */
export const CONDITIONS = {
  'table-full': 'the connection table is full: new connections are refused',
  'descriptors-exhausted':
    'the process has no file descriptors left: fewer clients are served, and health checks wait',
  'vip-conflict': 'another host answers for a VIP',
  'interface-ignored': 'packets for a VIP can arrive at an interface on which the director does not receive',
  'send-refused': "the host's packet filter drops packets that the director sends",
  'other-director': 'another director on this host serves the same service',
  'joined-servers-kept':
    'heartbeats of most servers of a service are missing: the servers are kept, and health checks decide',
  'announce-failed': 'BIRD does not announce or withdraw the VIPs as the director wants',
  'file-not-applied': 'the last reload was rejected: the director runs by an earlier file',
  'cluster-unreachable': 'etcd cannot be reached: the last known state of the cluster is in effect',
  'cluster-ignored':
    'etcd has another cluster or an earlier state than this director, or the director is no member',
  'cluster-group-short': 'fewer directors of the cluster announce a group of VIPs than are wanted',
  'announce-groups-ignored':
    'the file limits the directors that announce a group of VIPs, and this director belongs to no cluster',
  'cluster-held': 'this director is paused or evicted in its cluster, and announces no VIPs',
} as const;

export type ConditionName = keyof typeof CONDITIONS;

export interface Condition {
  readonly name: ConditionName;
  /** A sentence with the addresses and interfaces that the condition is about. */
  readonly text: string;
}

export interface Surroundings {
  /** Versions of this program and of Node.js. */
  readonly version: string;
  readonly node: string;
  /** Seconds since the start. */
  readonly uptime: number;
  /** How packets are received and sent, as text. */
  readonly datapath: string;
  /** False before packets are received, and after the director stopped receiving. */
  readonly running: boolean;
  /** Packets lost before the director received them, by a stable name of the place. */
  readonly losses: Readonly<Record<string, number>>;
  /** Packets that the kernel refused to send, by error. */
  readonly sendFailures: Readonly<Record<string, number>>;
  /** Delay of timers: the longest that packets and requests wait. */
  readonly eventLoopDelay: EventLoopDelay;
  /** The longest turn of the event loop within the last minute, seconds: packets wait for as long. */
  readonly longestTurn: number;
  readonly control: Readonly<ControlCounters>;
  /** Programs that were run for events. */
  readonly notify: Readonly<NotifyCounts>;
  /** Entries of deny and allow lists. */
  readonly access: AccessCounts;
  /** The conditions that hold now. */
  readonly conditions: readonly Condition[];
  /** Announcements of VIPs (gratuitous ARP, unsolicited neighbor advertisements) since the start. */
  readonly announcements: number;
  /**
   * With a kernel path: packets that it handed up and that it forwarded itself, connections that it admitted, and those that
   * the director admitted, by reason, since the start.
   */
  readonly offload?: {
    readonly upcalls: number;
    readonly forwarded: number;
    readonly admitted: number;
    readonly leftToDirector: UpcallCounts;
  };
  /** Announcements of VIPs to routers; missing: none are configured. */
  readonly routes?: AnnouncementListing;
  /** Missing: this director belongs to no cluster. */
  readonly cluster?: ClusterStatus;
  /** Servers that join by themselves; missing: the file allows none. */
  readonly join?: JoinCounts;
  /** What restarts keep. */
  readonly restart: {
    /** The next director can take the connections over. */
    readonly keeps: boolean;
    /** Missing: this director has taken none over. */
    readonly adopted?: {
      readonly connections: number;
      /** Seconds for which there was no director; 0: not known. */
      readonly absence: number;
      /** When the former director was alive last, ISO 8601. */
      readonly since: string;
    };
  };
}
