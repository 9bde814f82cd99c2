/** Formats what a director knows about its cluster. */
import type { ClusterStatus, GroupRole, MemberState, NodeState } from '../model/cluster.ts';
import { counter, type Family, gauge, type Sample, single } from './families.ts';

const STATES: readonly MemberState[] = ['active', 'paused', 'evicted', 'left'];
const ROLES: readonly GroupRole[] = ['active', 'spare'];
const NODE_STATES: readonly NodeState[] = ['online', 'offline', 'paused', 'evicted'];
/** Maximum number of directors that have rows. */
const MAX_NODES = 100;

export function clusterFamilies(status: ClusterStatus): Family[] {
  const { nodes, members, groups, isReachable, generation, stored, errors, invalidRecords } = status;
  const listed = nodes.slice(0, MAX_NODES);
  const names = new Set(listed.map(({ node }) => node));
  const running = members.filter(({ node }) => names.has(node));
  return [
    gauge('lvs_cluster_reachable', 'Whether etcd answers.', single(Number(isReachable))),
    gauge('lvs_cluster_generation', 'Generation of the configuration: in effect here, and that of etcd.', [
      [{ of: 'applied' }, generation],
      [{ of: 'stored' }, stored],
    ]),
    gauge(
      'lvs_cluster_members',
      'Directors of the cluster that run, by state.',
      STATES.map((state) => [{ state }, members.filter((each) => each.state === state).length]),
    ),
    gauge(
      'lvs_cluster_rejected',
      'Directors of the cluster that have rejected the generation of etcd.',
      single(members.filter(({ rejected }) => rejected?.generation === stored).length),
    ),
    gauge(
      'lvs_cluster_node_state',
      'State of a director of the cluster: 1 for the present one.',
      listed.flatMap(({ node, state }) =>
        NODE_STATES.map((each): Sample => [{ node, state: each }, Number(each === state)]),
      ),
    ),
    gauge(
      'lvs_cluster_node_generation',
      'Generation of the configuration that a director of the cluster has in effect.',
      running.map(({ node, generation: its }) => [{ node }, its]),
    ),
    gauge(
      'lvs_cluster_node_ready',
      'Whether a director of the cluster forwards packets and knows the connections of the others.',
      running.map(({ node, isReady }) => [{ node }, Number(isReady)]),
    ),
    gauge(
      'lvs_cluster_announced',
      'VIPs that a director of the cluster announces to routers.',
      running.flatMap(({ node, announced }) =>
        (announced?.vips ?? []).map((vip): Sample => [{ node, vip }, 1]),
      ),
    ),
    gauge(
      'lvs_cluster_group_wanted',
      'Directors that are to announce a group of VIPs.',
      groups.map(({ name, wanted }) => [{ group: name }, wanted]),
    ),
    gauge(
      'lvs_cluster_group_active',
      'Directors that announce a group of VIPs, as etcd has it.',
      groups.map(({ name, holders }) => [{ group: name }, holders.length]),
    ),
    gauge(
      'lvs_cluster_group_role',
      'Role of this director in a group of VIPs: 1 for the present one.',
      groups.flatMap(({ name, role }) =>
        ROLES.map((each): Sample => [{ group: name, role: each }, Number(each === role)]),
      ),
    ),
    counter(
      'lvs_cluster_errors_total',
      'Failed requests to etcd, by kind.',
      Object.entries(errors).map(([kind, count]) => [{ kind }, count]),
    ),
    counter(
      'lvs_cluster_invalid_records_total',
      'Values in etcd that are no records of a cluster, and are ignored.',
      single(invalidRecords),
    ),
  ];
}
