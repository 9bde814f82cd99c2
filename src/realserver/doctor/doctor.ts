/** Examines a host in its roles of a real server. Changes nothing permanently. */

import type { Machine } from '../machine.ts';
import type { Role } from '../plan.ts';
import type { Asker } from './director-client.ts';
import type { Finding, Served } from './finding.ts';
import { guardFindings } from './guard-findings.ts';
import { hostFacts } from './host-facts.ts';
import { listenerFindings } from './listener-findings.ts';
import { inputFindings } from './packet-filter-findings.ts';
import { decapsulationFindings, filterFindings, routeFindings, tunnelMtuFindings } from './path-findings.ts';
import { vipFindings } from './vip-findings.ts';

export interface Examination {
  readonly roles: readonly Role[];
  /** Where servers must listen; empty: not examined. */
  readonly served: readonly Served[];
  readonly machine: Machine;
  readonly ask: Asker;
}

/** Resolves with what is wrong with the host in its roles, each finding once. */
export async function examine({ roles, served, machine, ask }: Examination): Promise<Finding[]> {
  const facts = await hostFacts(machine);
  const findings: Finding[] = [];
  for (const role of roles) {
    const direct = role.method !== 'nat';
    findings.push(
      ...(direct
        ? await vipFindings(role, facts, machine, ask)
        : await routeFindings(role, servedBy(role, served), machine)),
      ...(direct ? await filterFindings(role, facts, machine) : []),
      ...(role.method === 'tunnel' ? decapsulationFindings(role, facts) : []),
      ...(role.method === 'tunnel' ? await tunnelMtuFindings(role, facts, machine) : []),
    );
  }
  findings.push(...listenerFindings(served, facts), ...(await inputFindings(served, machine)));
  findings.push(...(await guardFindings(machine)));
  return [...new Map(findings.map((each) => [JSON.stringify(each), each])).values()];
}

/** The addresses of a role under nat: replies leave from them. */
const servedBy = ({ method }: Role, served: readonly Served[]): string[] =>
  method === 'nat' ? served.filter(({ isDirect }) => !isDirect).map(({ address }) => address) : [];

/** Returns a line per finding, followed by the command that fixes it. */
export function formatFindings(findings: readonly Finding[]): string {
  if (findings.length === 0) return 'no problems found';
  return findings.map(({ name, what, remedy }) => `${name}: ${what}\n  fix: ${remedy}`).join('\n');
}
