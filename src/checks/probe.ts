/** The interface of probes: a probe checks a destination once and returns what it observed. */
import type { Check } from '../model/check.ts';

/** An agent's report about its server. A missing field leaves the previous value unchanged. */
export interface AgentReport {
  readonly health?: 'up' | 'down';
  /** Set by the server's administrator; applies until the other value is reported. */
  readonly admin?: 'ready' | 'drain';
  /** Percentage of the configured weight. */
  readonly percent?: number;
  /** Replaces the configured weight until the next report. */
  readonly weight?: number | 'configured';
}

/** The result of a probe. */
export interface Observation {
  readonly healthy: boolean;
  /** One line of text. */
  readonly message: string;
  readonly agent?: AgentReport;
  /** The check could not run: nothing is known about the destination. */
  readonly isInconclusive?: boolean;
}

/** The destination to check, and the check. */
export interface Target {
  readonly address: string;
  readonly port: number;
  /** The service's address: the Host header of http if none is configured. */
  readonly virtual: string;
  readonly check: Check;
}

/**
 * Checks a target. A failure is an observation; rejects only if the check is invalid. Ends soon after the signal aborts,
 * which is also its timeout.
 */
export type Probe = (target: Target, signal: AbortSignal) => Promise<Observation>;
