/** The probe of every type of check. */
import type { Check } from '../model/check.ts';
import { agentProbe } from './agent-probe.ts';
import { commandProbe } from './command-probe.ts';
import { httpProbe } from './http-probe.ts';
import type { Probe } from './probe.ts';
import { tcpProbe } from './tcp-probe.ts';
import { udpProbe } from './udp-probe.ts';

export const probes = {
  tcp: tcpProbe,
  http: httpProbe,
  https: httpProbe,
  udp: udpProbe,
  command: commandProbe,
  agent: agentProbe,
} as const satisfies Record<Check['type'], Probe>;
