/** Finds chains of nftables, or iptables on top of it, that drop packets of the services, by policy or by a rule. */

import type { Document } from '../../config/document.ts';
import { hookedChains } from '../../host/output-policy.ts';
import type { Machine } from '../machine.ts';
import type { Finding, Served } from './finding.ts';

/** Finds chains that drop incoming packets: a server behind them never receives the director's packets. */
export async function inputFindings(served: readonly Served[], machine: Machine): Promise<Finding[]> {
  const chains = hookedChains(await listing(machine), 'input');
  const ports = [...new Set(served.map(({ protocol, port }) => `${protocol} dport ${port}`))];
  if (ports.length === 0) return [];
  const findings: Finding[] = [];
  for (const { chain, dropsByPolicy } of chains) {
    // Rules are not interpreted: a rule that mentions the port and does not drop is taken to accept it.
    const { stdout } = await machine.run(['nft', 'list', 'chain', ...chain.split(' ')]);
    const rules = stdout.split('\n');
    const dropsRest = dropsByPolicy || rules.some((rule) => DROPS_ALL.test(rule));
    const refused = ports.filter((port) => {
      const rule = rules.find((each) => new RegExp(`\\b${port.split(' ').at(-1)}\\b`).test(each));
      return rule === undefined ? dropsRest : DROPS.test(rule);
    });
    if (refused.length > 0)
      findings.push({
        name: 'input-dropped',
        what: `the chain ${chain} drops incoming packets, and has no rule that accepts ${refused.join(', ')}`,
        remedy: refused.map((port) => `nft insert rule ${chain} ${port} accept`).join('; '),
      });
  }
  return findings;
}

/** A rule of nft that ends with a verdict against the packet. */
const DROPS = /\b(?:drop|reject(?: with .*)?)(?: comment ".*")?\s*$/;
/** The same without any condition. */
const DROPS_ALL =
  /^\s*(?:counter packets \d+ bytes \d+ )?(?:log(?: prefix "[^"]*")? )?(?:drop|reject(?: with .*)?)(?: comment ".*")?\s*$/;

/** A rule that ends with a verdict against some senders. */
const DROPS_CLIENTS = /\bsaddr\b.*\b(?:drop|reject(?: with .*)?)(?: comment ".*")?\s*$/;

/** Finds chains of the director's host that drop sent packets: with --datapath live, forwarded packets pass them. */
export async function outputFindings(machine: Machine): Promise<Finding[]> {
  const chains = hookedChains(await listing(machine), 'output').filter(({ dropsByPolicy }) => dropsByPolicy);
  return chains.map(({ chain }) => ({
    name: 'output-dropped',
    what: `the chain ${chain} drops packets that this host sends unless a rule accepts them, with --datapath live also forwarded packets`,
    remedy: `nft insert rule ${chain} ip daddr ADDRESS accept, for each real server and, under nat, the clients`,
  }));
}

/** Finds chains of the director's host that block clients: packets of services do not pass them. */
export async function bypassedFindings(document: Document, machine: Machine): Promise<Finding[]> {
  const { deny, services } = document;
  if (deny || services.some((each) => each.deny)) return [];
  const findings: Finding[] = [];
  for (const { chain, dropsByPolicy } of hookedChains(await listing(machine), 'input')) {
    const { stdout } = await machine.run(['nft', 'list', 'chain', ...chain.split(' ')]);
    if (dropsByPolicy || stdout.split('\n').some((rule) => DROPS_CLIENTS.test(rule)))
      findings.push({
        name: 'firewall-bypassed',
        what: `the chain ${chain} blocks clients of this host, but not of the services: their packets do not pass it`,
        remedy: 'deny: [ADDRESS, ...] in lvs.yaml, or lvs-director deny ADDRESS',
      });
  }
  return findings;
}

/** Resolves with the chains; with an empty text if nft is missing or fails. */
async function listing(machine: Machine): Promise<string> {
  const { status, stdout } = await machine
    .run(['nft', '-j', 'list', 'chains'])
    .catch(() => ({ status: 1, stdout: '' }));
  return status === 0 ? stdout : '';
}
