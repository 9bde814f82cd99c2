/** The state of a host in a cluster as Prometheus metrics, in the text format 0.0.4. */
import type { ClusterStatus } from './cluster-status.ts';

type Sample = readonly [labels: Readonly<Record<string, string>>, value: number];

const metric = (
  name: string,
  type: 'gauge' | 'counter',
  help: string,
  samples: readonly Sample[],
): string[] => [
  `# HELP ${name} ${help}`,
  `# TYPE ${name} ${type}`,
  ...samples.map(([labels, value]) => {
    const text = Object.entries(labels).map(([key, each]) => `${key}="${each.replace(/[\\"\n]/g, '\\$&')}"`);
    return `${name}${text.length > 0 ? `{${text.join(',')}}` : ''} ${value}`;
  }),
];

/** Returns the text, which ends with a line feed. */
export function formatClusterMetrics(status: ClusterStatus): string {
  const counts = (record: Readonly<Record<string, number>>, label: string): Sample[] =>
    Object.entries(record).map(([key, count]) => [{ [label]: key }, count]);
  return `${[
    metric('lvs_cluster_converged', 'gauge', '1 if the host has converged with the others.', [
      [{}, status.isConverged ? 1 : 0],
    ]),
    metric('lvs_cluster_state', 'gauge', '1 for the state of the host; only an active one serves clients.', [
      [{ state: status.state }, 1],
    ]),
    metric('lvs_cluster_members', 'gauge', 'Members of the cluster as this host knows it.', [
      [{}, status.members.length],
    ]),
    metric('lvs_cluster_epoch', 'gauge', 'Number of the view in force; it rises with each convergence.', [
      [{}, status.epoch],
    ]),
    metric(
      'lvs_cluster_share_ratio',
      'gauge',
      'Share of the clients of a port rule by host.',
      status.rules.flatMap(({ rule, shares }) =>
        Object.entries(shares).map(([host, share]): Sample => [{ rule, host }, share / 100]),
      ),
    ),
    metric(
      'lvs_cluster_service_up',
      'gauge',
      'Whether the service of a port rule on this host is healthy, of rules with a check.',
      status.rules.flatMap(({ rule, service }): Sample[] =>
        service ? [[{ rule }, service === 'down' ? 0 : 1]] : [],
      ),
    ),
    metric('lvs_cluster_open_connections', 'gauge', 'Open connections to the cluster on this host.', [
      [{}, status.connections],
    ]),
    metric(
      'lvs_cluster_packets_total',
      'counter',
      'Packets to the cluster by what the filter did with them.',
      counts(status.packets, 'outcome'),
    ),
    metric(
      'lvs_cluster_heartbeats_total',
      'counter',
      'Heartbeats sent, received and rejected.',
      counts(status.heartbeats, 'outcome'),
    ),
  ]
    .flat()
    .join('\n')}\n`;
}
