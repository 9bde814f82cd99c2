/** What one can see of a running director besides its snapshot: the process, the packet driver, the host. Plain JSON. */

/** Times in seconds. */
export interface EventLoopDelay {
  readonly mean: number;
  readonly p99: number;
  readonly max: number;
}

/** What went on at the control socket, as totals since it was opened. */
export interface ControlCounters {
  clients: number;
  requests: number;
  /** Requests that could not be understood or answered. */
  failed: number;
  /** Clients turned away because there were too many. */
  refused: number;
  /** Clients that were too slow. */
  timedOut: number;
  /** Clients that went away before they had their answer. */
  vanished: number;
}

/** Conditions under which the director is ready, but serves clients worse than it should; with what each means. */
export const CONDITIONS = {
  'table-full': 'the connection table is full: new connections are refused',
  'vip-conflict': 'another host answers for a VIP',
  'interface-unheard': 'packets for a VIP can arrive at an interface on which the director does not receive',
  'send-refused': "the host's packet filter drops packets that the director sends",
  'other-director': 'another director on this host serves the same service',
} as const;

export type ConditionName = keyof typeof CONDITIONS;

export interface Condition {
  readonly name: ConditionName;
  /** A sentence with the addresses and interfaces that the condition is about. */
  readonly text: string;
}

export interface Surroundings {
  /** Of this program, and of Node.js. */
  readonly version: string;
  readonly node: string;
  /** Seconds since the start. */
  readonly uptime: number;
  /** How packets come and go, in words. */
  readonly datapath: string;
  /** False before the first packet can come, and after the last one. */
  readonly running: boolean;
  /** Packets that were lost before the director saw them, by a stable word for the place. */
  readonly losses: Readonly<Record<string, number>>;
  /** Packets that the kernel refused to send, by its words. */
  readonly sendFailures: Readonly<Record<string, number>>;
  /** How late timers come: what packets and requests wait for at most. */
  readonly eventLoopDelay: EventLoopDelay;
  readonly control: Readonly<ControlCounters>;
  /** The conditions that hold now. */
  readonly conditions: readonly Condition[];
  /** Announcements of VIPs (gratuitous ARP, unsolicited neighbor advertisements) since the start. */
  readonly announcements: number;
  /** With a kernel path: packets that it handed up, and flows that it was given to forward by itself, since the start. */
  readonly offload?: { readonly upcalls: number; readonly installed: number };
}
