/** Finds chains of nftables, or iptables on top of it, that drop packets of the services by policy. */
import { droppingChains } from '../../host/output-policy.ts';
import type { Machine } from '../machine.ts';
import type { Finding, Served } from './finding.ts';

/** Finds chains that drop incoming packets: a server behind them never receives the director's packets. */
export async function inputFindings(served: readonly Served[], machine: Machine): Promise<Finding[]> {
  const chains = droppingChains(await listing(machine), 'input');
  const ports = [...new Set(served.map(({ protocol, port }) => `${protocol} dport ${port}`))];
  if (ports.length === 0) return [];
  const findings: Finding[] = [];
  for (const chain of chains) {
    // Rules are not interpreted: a chain that mentions the port is taken to accept it.
    const { stdout } = await machine.run(['nft', 'list', 'chain', ...chain.split(' ')]);
    const missing = ports.filter((port) => !new RegExp(`\\b${port.split(' ').at(-1)}\\b`).test(stdout));
    if (missing.length > 0)
      findings.push({
        name: 'input-dropped',
        what: `the chain ${chain} drops incoming packets, and has no rule for ${missing.join(', ')}`,
        remedy: missing.map((port) => `nft insert rule ${chain} ${port} accept`).join('; '),
      });
  }
  return findings;
}

/** Finds chains of the director's host that drop sent packets: with --datapath live, forwarded packets pass them. */
export async function outputFindings(machine: Machine): Promise<Finding[]> {
  return droppingChains(await listing(machine), 'output').map((chain) => ({
    name: 'output-dropped',
    what: `the chain ${chain} drops packets that this host sends unless a rule accepts them, with --datapath live also forwarded packets`,
    remedy: `nft insert rule ${chain} ip daddr ADDRESS accept, for each real server and, under nat, the clients`,
  }));
}

/** Resolves with the chains; with an empty text if nft is missing or fails. */
async function listing(machine: Machine): Promise<string> {
  const { status, stdout } = await machine
    .run(['nft', '-j', 'list', 'chains'])
    .catch(() => ({ status: 1, stdout: '' }));
  return status === 0 ? stdout : '';
}
