/** Finds problems of a server in a cluster without a director (mode: nlb). */
import { linkFacts } from '../../host/link-facts.ts';
import type { NlbCluster } from '../../model/nlb.ts';
import { clusterMac, HEARTBEAT_PORT } from '../../nlb/cluster-address.ts';
import { formatMac } from '../../wire/ethernet.ts';
import { STATE_REASONS } from '../cluster/change-log.ts';
import type { ClusterStatus } from '../cluster/cluster-status.ts';
import type { Machine } from '../machine.ts';
import type { Finding, Served } from './finding.ts';
import { inputFindings } from './packet-filter-findings.ts';

export interface ClusterExamination {
  readonly cluster: NlbCluster;
  /** Addresses of this host. */
  readonly own: ReadonlySet<string>;
  /** What the agent reports; undefined if none runs. */
  readonly status: ClusterStatus | undefined;
  readonly machine: Machine;
}

export async function clusterFindings({
  cluster,
  own,
  status,
  machine,
}: ClusterExamination): Promise<Finding[]> {
  const findings: Finding[] = [];
  const { device, hosts } = cluster;
  if (!hosts.some(({ address }) => own.has(address)))
    findings.push({
      name: 'cluster-host',
      what: `this host has none of the addresses of the hosts: ${hosts.map(({ address }) => address).join(', ')}`,
      remedy: 'add its address to cluster.hosts in the file of every server',
    });
  const link = linkFacts(device);
  if (!link?.up)
    findings.push({
      name: 'cluster-host',
      what: `device ${device} of the cluster ${link ? 'is down' : 'does not exist'}`,
      remedy: link ? `ip link set ${device} up` : 'name the device of the segment in cluster.interface',
    });
  const heartbeats: Served = { protocol: 'udp', address: '', port: HEARTBEAT_PORT, isDirect: true };
  findings.push(...(await inputFindings([heartbeats], machine)));
  if (status) findings.push(...statusFindings(cluster, status));
  return findings;
}

function statusFindings({ hosts }: NlbCluster, status: ClusterStatus): Finding[] {
  const findings: Finding[] = [];
  const { state, received, heartbeats } = status;
  if (state !== 'active' && state !== 'suspended')
    findings.push({ name: 'cluster-state', what: `the agent is ${state}`, remedy: STATE_REASONS[state] });
  for (const { name, address } of hosts)
    if (name !== status.host && !received.includes(name))
      findings.push({
        name: 'heartbeat-missing',
        what: `no heartbeat of ${name} (${address}) arrives`,
        remedy: `lvs-realserver run on ${name}; if it runs, udp port ${HEARTBEAT_PORT} has to pass packet filters and the switch`,
      });
  if ((heartbeats['unauthenticated'] ?? 0) > 0)
    findings.push({
      name: 'heartbeat-key',
      what: `${heartbeats['unauthenticated']} heartbeats arrived that another key signed`,
      remedy:
        'copy the same file to all hosts; clusters on one segment need addresses with different last bytes',
    });
  return findings;
}

/** Returns where servers must listen: the ports of rules for one port. */
export const clusterServed = ({ addresses, rules }: NlbCluster): Served[] =>
  rules.flatMap(({ protocol, address, first, last, hosts }) =>
    protocol === 'any' || first !== last || hosts === 'disabled'
      ? []
      : (address === undefined ? addresses : [address]).map((each) => ({
          protocol,
          address: each,
          port: first,
          isDirect: true,
        })),
  );

/** Returns what the network must do, which a server cannot examine, with the commands. */
export function networkNotes(cluster: NlbCluster): string[] {
  const mac = formatMac(clusterMac(cluster));
  const flooded = `the switch must send frames to ${mac} to the ports of all hosts`;
  if (cluster.mac === 'unicast') return [`${flooded}; it must not have a static entry for it`];
  const entries = cluster.addresses.map(
    (address) => `ip neigh replace ${address} lladdr ${mac} nud permanent dev DEVICE`,
  );
  return [
    cluster.mac === 'igmp' ? `${flooded}, which are members of the group` : flooded,
    'a Linux bridge with IGMP snooping does so for router ports only: ip link set PORT type bridge_slave mcast_router 2',
    `routers that reject multicast MAC addresses in ARP (RFC 1812, 3.3.2) need static entries: ${entries.join('; ')}`,
  ];
}
