/** What a probe is: one look at a destination, of whatever kind, and what it found. */
import type { Check } from '../model/check.ts';
import { agentProbe } from './agent-probe.ts';
import { commandProbe } from './command-probe.ts';
import { httpProbe } from './http-probe.ts';
import { tcpProbe } from './tcp-probe.ts';
import { udpProbe } from './udp-probe.ts';

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

export const probes = {
  tcp: tcpProbe,
  http: httpProbe,
  udp: udpProbe,
  command: commandProbe,
  agent: agentProbe,
} as const satisfies Record<Check['type'], Probe>;
