/** What lvs-realserver reports of a cluster. */
import { expect, test } from 'vitest';
import { stepTowards } from '../../src/realserver/agent-check.ts';
import { formatClusterMetrics } from '../../src/realserver/cluster/cluster-metrics.ts';
import { formatClusterStatus } from '../../src/realserver/cluster/cluster-status.ts';

const status = {
  host: 'rs1',
  id: 1,
  addresses: ['192.0.2.1'],
  mac: '02:bf:c0:00:02:01',
  state: 'active',
  isConverged: true,
  epoch: 4,
  coordinator: 'rs1',
  members: ['rs1', 'rs"2'],
  received: ['rs"2'],
  rules: [
    {
      rule: 'tcp 80',
      hosts: 'multiple',
      isDrained: true,
      isSuspended: false,
      shares: { rs1: 49.5, 'rs"2': 50.5 },
    },
    { rule: 'tcp 81', hosts: 'disabled', isDrained: false, isSuspended: false, shares: {} },
  ],
  connections: 3,
  packets: { known: 5, others: 6 },
  heartbeats: { sent: 7 },
} as const;

test('metrics have the state, the shares and the counters, with quoted labels', () => {
  const lines = formatClusterMetrics(status)
    .split('\n')
    .filter((line) => !line.startsWith('#'));
  expect(lines).toEqual([
    'lvs_cluster_converged 1',
    'lvs_cluster_state{state="active"} 1',
    'lvs_cluster_members 2',
    'lvs_cluster_epoch 4',
    'lvs_cluster_share_ratio{rule="tcp 80",host="rs1"} 0.495',
    'lvs_cluster_share_ratio{rule="tcp 80",host="rs\\"2"} 0.505',
    'lvs_cluster_open_connections 3',
    'lvs_cluster_packets_total{outcome="known"} 5',
    'lvs_cluster_packets_total{outcome="others"} 6',
    'lvs_cluster_heartbeats_total{outcome="sent"} 7',
    '',
  ]);
});

test('the status names members, shares and drained rules', () => {
  expect(formatClusterStatus(status).split('\n')).toEqual([
    'rs1 (id 1) of the cluster 192.0.2.1 at 02:bf:c0:00:02:01: active',
    '  converged: epoch 4 by rs1, members rs1, rs"2',
    '  tcp 80: rs1 49.5 %, rs"2 50.5 % (drained here)',
    '  tcp 81: disabled',
    '  open connections: 3',
    '  packets: 5 known, 6 others',
    '  heartbeats: 7 sent',
  ]);
});

test.each([
  [100, 95, 100],
  [100, 50, 80],
  [60, 55, 60],
  [60, 100, 80],
  [95, 100, 100],
])('a capacity of %i %% with a target of %i %% becomes %i %%', (before, target, after) =>
  expect(stepTowards(before, target)).toBe(after),
);
