/** A health check: how the director watches a destination, and the state that it reports. */

export type StatusRange = readonly [first: number, last: number];

/** Times in seconds. */
export interface Check {
  readonly type: 'tcp' | 'http' | 'udp' | 'command' | 'agent';
  /** Missing: the destination's port. */
  readonly port?: number;
  readonly interval: number;
  /** From a failed check to the next one while the destination is not down yet. Missing: `interval`. */
  readonly retryInterval?: number;
  readonly timeout: number;
  /** Failures in a row that take a destination out. */
  readonly fall: number;
  /** Successes in a row that bring it back. */
  readonly rise: number;
  readonly path?: string;
  readonly host?: string;
  /** Healthy HTTP statuses, as ranges from first to last. Missing: 200 to 399. */
  readonly status?: readonly StatusRange[];
  readonly send?: string;
  readonly expect?: string;
  /** Regular expression that the body must match (parseBodyPattern). */
  readonly match?: string;
  readonly command?: readonly string[];
  /** Most percent of the weight that one answer of an agent may change. */
  readonly maxStep: number;
  /** Time in which a returning server grows to its weight; 0: at once. */
  readonly slowStart: number;
}

/**
 * up: it has its weight. growing: it came back, and grows to its weight. down: it failed. drained: its agent asks for
 * no new connections.
 */
export type HealthState = 'up' | 'growing' | 'down' | 'drained';

export interface CheckSnapshot {
  readonly type: Check['type'];
  readonly state: HealthState;
  /** Whole seconds that it has been in this state. */
  readonly since: number;
  /** What the last check found; empty before the first. */
  readonly message: string;
  /** The weight that was configured, which the check lowers. */
  readonly weight: number;
}
