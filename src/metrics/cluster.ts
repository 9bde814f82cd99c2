/** Formats what a director knows about its cluster. */
import type { ClusterStatus, MemberState } from '../model/cluster.ts';
import { counter, type Family, gauge, single } from './families.ts';

const STATES: readonly MemberState[] = ['active', 'paused', 'evicted', 'left'];

export function clusterFamilies(status: ClusterStatus): Family[] {
  const { members, isReachable, generation, stored, errors, invalidRecords } = status;
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
