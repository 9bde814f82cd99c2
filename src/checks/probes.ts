/** The probe of every type of check. */
import type { Check } from '../model/check.ts';
import { agentProbe } from './agent-probe.ts';
import { commandProbe } from './command-probe.ts';
import { dnsProbe } from './dns-probe.ts';
import { httpProbe } from './http-probe.ts';
import { pingProbe } from './ping-probe.ts';
import type { Probe } from './probe.ts';
import { smtpProbe } from './smtp-probe.ts';
import { tcpProbe } from './tcp-probe.ts';
import { udpProbe } from './udp-probe.ts';

export const probes = {
  tcp: tcpProbe,
  http: httpProbe,
  https: httpProbe,
  udp: udpProbe,
  dns: dnsProbe,
  smtp: smtpProbe,
  ping: pingProbe,
  command: commandProbe,
  agent: agentProbe,
} as const satisfies Record<Check['type'], Probe>;
