/** What a director reports about a cluster of five, for tests: every state occurs. */
import type { ClusterMember, ClusterStatus } from '../../src/model/cluster.ts';

const member = (node: string, more: Partial<ClusterMember> = {}): ClusterMember => ({
  node,
  instance: `${node}-1`,
  state: 'active',
  generation: 7,
  isReady: true,
  version: '1.2.3',
  addresses: ['192.0.2.11', '2001:db8::11'],
  since: '2026-03-01T12:00:00.000Z',
  announced: { count: 2, vips: ['198.51.100.1', '2001:db8:1::1'] },
  load: { connections: 12_000, newConnections: 340, inOctets: 5_600_000 },
  ...more,
});

export const CLUSTER: ClusterStatus = {
  name: 'web',
  node: 'd1',
  state: 'active',
  isReachable: true,
  generation: 7,
  source: 'etcd',
  stored: 7,
  nodes: [
    { node: 'd1', state: 'online' },
    { node: 'd2', state: 'online' },
    { node: 'd3', state: 'offline' },
    { node: 'd4', state: 'paused' },
    { node: 'd5', state: 'evicted' },
  ],
  members: [
    member('d1'),
    member('d2', { generation: 6, rejected: { generation: 7, error: 'lvs.yaml: no such file\nmore' } }),
    member('d4', { state: 'paused', announced: { count: 0, vips: [] } }),
  ],
  groups: [
    { name: 'a', wanted: 1, holders: ['d2'], role: 'spare' },
    { name: 'b', wanted: 2, holders: ['d1'], role: 'active' },
  ],
  events: [
    { time: '2026-03-01T12:00:00.000Z', node: 'd1', event: 'applied', text: 'generation 7' },
    { time: '2026-03-01T12:00:01.000Z', node: 'd2', event: 'rejected', text: 'generation 7: no such file' },
  ],
  errors: { timeout: 2 },
  invalidRecords: 1,
};
