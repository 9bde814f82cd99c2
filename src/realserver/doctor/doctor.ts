/** Examines a host in its role of a real server: what is wrong, and how it is mended. Changes nothing for longer than it asks. */

import type { Machine } from '../machine.ts';
import type { Role } from '../plan.ts';
import type { Asker } from './director-client.ts';
import type { Finding, Served } from './finding.ts';
import { hostFacts } from './host-facts.ts';
import { listenerFindings } from './listener-findings.ts';
import { decapsulationFindings, filterFindings, routeFindings, tunnelMtuFindings } from './path-findings.ts';
import { vipFindings } from './vip-findings.ts';

export interface Examination {
  readonly role: Role;
  /** Where servers have to listen; empty: that is not looked at. */
  readonly served: readonly Served[];
  readonly machine: Machine;
  readonly ask: Asker;
}

export async function examine({ role, served, machine, ask }: Examination): Promise<Finding[]> {
  const facts = await hostFacts(machine);
  const direct = role.method !== 'nat';
  const findings = [
    ...(direct ? await vipFindings(role, facts, machine, ask) : await routeFindings(role, machine)),
    ...(direct ? await filterFindings(role, facts, machine) : []),
    ...(role.method === 'tunnel' ? decapsulationFindings(role, facts) : []),
    ...(role.method === 'tunnel' ? await tunnelMtuFindings(role, facts, machine) : []),
  ];
  return [...findings, ...listenerFindings(served, facts, direct)];
}

/** A line a finding, with the command that mends it below. */
export function formatFindings(findings: readonly Finding[]): string {
  if (findings.length === 0) return 'nothing is wrong';
  return findings.map(({ name, what, mend }) => `${name}: ${what}\n  mend: ${mend}`).join('\n');
}
