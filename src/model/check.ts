/** A health check: how the director watches a destination, and the state that it reports. */
import type { ProgramUser } from './notify.ts';

export type StatusRange = readonly [first: number, last: number];

export const CHECK_TYPES = [
  ...(['tcp', 'http', 'https', 'udp', 'dns', 'smtp', 'ping', 'command', 'agent'] as const),
];

/** Types of DNS records that a check queries. */
export const RECORD_TYPES = ['A', 'AAAA', 'CNAME', 'MX', 'NS', 'PTR', 'SOA', 'SRV', 'TXT'] as const;

/** Times in seconds. */
export interface Check {
  readonly type: (typeof CHECK_TYPES)[number];
  /** Missing: the destination's port. */
  readonly port?: number;
  readonly interval: number;
  /** From a failed check to the next one while the destination is not down yet. Missing: `interval`. */
  readonly retryInterval?: number;
  readonly timeout: number;
  /** Consecutive failures after which the destination is taken out of service. */
  readonly fall: number;
  /** Consecutive successes after which the destination returns to service. */
  readonly rise: number;
  readonly path?: string;
  readonly host?: string;
  /** Healthy HTTP statuses, as ranges from first to last. Missing: 200 to 399. */
  readonly status?: readonly StatusRange[];
  /** Redirects that http and https follow, at the same destination. Missing: 0. */
  readonly redirects?: number;
  /** Server name of the TLS handshake (RFC 6066 section 3). Missing: the name in `host`, if it has one. */
  readonly sni?: string;
  /** False: the certificate is not verified. Missing: true. */
  readonly verify?: boolean;
  /** Name and record type of a DNS query. Missing: `.` and SOA. */
  readonly query?: string;
  readonly record?: (typeof RECORD_TYPES)[number];
  /** The name by which a check introduces itself to a mail server. Missing: the host's name. */
  readonly helo?: string;
  readonly send?: string;
  readonly expect?: string;
  /** Regular expression that the body, or a DNS record, must match (parseBodyPattern). */
  readonly match?: string;
  /** MD5 of the whole body, in hexadecimal digits. */
  readonly digest?: string;
  readonly command?: readonly string[];
  /** User and group of the command, as `user` or `user:group`. Missing: those of the director. */
  readonly user?: string;
  /** The ids of `user`, which are known when the file is run. */
  readonly ids?: ProgramUser;
  /** True: exit status 2 to 255 is healthy, and means a weight of status - 2. */
  readonly dynamic?: boolean;
  /** Largest change of the weight, in percent, by one response of an agent. */
  readonly maxStep: number;
  /** Time in which a destination that returns grows to its weight; 0: immediately. */
  readonly slowStart: number;
}

/** Reports whether a check connects to a port. */
export const usesPort = ({ type }: Check): boolean => type !== 'command' && type !== 'ping';

/**
 * up: the destination has its configured weight. growing: it returned and its weight is rising. down: its
 * check failed. drained: its agent requested no new connections.
 */
export type HealthState = 'up' | 'growing' | 'down' | 'drained';

export interface CheckSnapshot {
  /** Of several checks the first that fails, or the first. */
  readonly type: Check['type'];
  readonly state: HealthState;
  /** Whole seconds in this state. */
  readonly since: number;
  /** Its last result; empty before the first. */
  readonly message: string;
  /** The configured weight, which the check may lower. */
  readonly weight: number;
}
