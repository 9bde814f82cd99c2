/** What a probe is: one look at a destination, of whatever kind, and what it found. */
import type { Check } from '../model/check.ts';

/** What an agent says of its server; what it does not mention stays as it was. */
export interface AgentWords {
  readonly health?: 'up' | 'down';
  /** Asked for by the server's administrator: stays until the other is said. */
  readonly admin?: 'ready' | 'drain';
  /** Of the configured weight. */
  readonly percent?: number;
}

export interface Observation {
  readonly healthy: boolean;
  /** One line for people. */
  readonly message: string;
  readonly agent?: AgentWords;
}

/** Where and how to look. */
export interface Target {
  readonly address: string;
  readonly port: number;
  /** The service's address: what http asks for where no host is configured. */
  readonly virtual: string;
  readonly check: Check;
}

/** What goes wrong is what it found; it rejects where its check makes no sense. Ends soon after the signal, which also limits its time. */
export type Probe = (target: Target, signal: AbortSignal) => Promise<Observation>;
