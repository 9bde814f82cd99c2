/** What is wrong between a director and its cluster, as conditions, and which directors come and go. */
import type { ClusterView } from '../../cluster/view.ts';
import type { ClusterMember, HoldReason } from '../../model/cluster.ts';
import type { Conditions } from '../conditions.ts';
import type { Log } from '../log.ts';

/** ms for which etcd may be silent before that is a condition. */
const UNREACHABLE_MS = 3000;

/** What a director knows of its cluster. */
export interface ClusterSituation {
  /** Names of the cluster and of this director. */
  readonly cluster: string;
  readonly node: string;
  readonly view: ClusterView;
  /** The generation in effect. */
  readonly generation: number;
  readonly held: HoldReason | undefined;
  /** For how long etcd has failed, ms, and why at last; undefined: it answers. */
  readonly failing: { readonly duration: number; readonly error: Error } | undefined;
  /** etcd has not answered since the start. */
  readonly isUnread: boolean;
  /** The keys are not those of the cluster that this director has joined. */
  readonly isOther: boolean;
  /** Another director has the name of this one. */
  readonly isTaken: boolean;
}

/** Sets the conditions of the cluster. */
export function reportSituation(situation: ClusterSituation, conditions: Conditions): void {
  const { cluster, generation, held, failing } = situation;
  const one = (key: string, text: string, fields = {}) => new Map([[key, { text, fields }]]);
  conditions.set(
    'cluster-unreachable',
    failing !== undefined && failing.duration >= UNREACHABLE_MS
      ? one(
          cluster,
          `the cluster ${cluster} cannot be reached, and its last known state is in effect: ${failing.error.message}`,
          { error: failing.error.message, generation },
        )
      : new Map(),
  );
  const reason = ignoredBecause(situation);
  // By the reason: another one is reported, too.
  conditions.set('cluster-ignored', reason === undefined ? new Map() : one(reason, reason, { reason }));
  conditions.set(
    'cluster-held',
    held ? one(held, `this director is ${held} in the cluster ${cluster}, and announces no VIPs`) : new Map(),
  );
}

/** Returns why the present keys are not followed; undefined: they are. */
function ignoredBecause(situation: ClusterSituation): string | undefined {
  const { cluster, node, view, generation, held, isUnread, isOther, isTaken } = situation;
  const { meta, config, nodes } = view;
  if (isUnread) return undefined;
  if (isOther)
    return `etcd has ${meta ? 'another cluster' : 'no cluster'} with the name ${cluster}: its keys are ignored`;
  if (isTaken)
    return `another director has the name ${node} in the cluster (give each one its own "node" in cluster.yaml)`;
  if (!nodes.has(node) && held !== 'evicted')
    return `${node} is no longer a member of the cluster: it needs to join again before its next start`;
  const stored = config?.generation ?? 0;
  if (stored < generation)
    return `etcd has generation ${stored}, and generation ${generation} is in effect: apply a configuration to continue`;
  return undefined;
}

/** Logs which other directors run now, and which do not any more. `own`: name of this one. */
export function logMembers(
  before: ReadonlyMap<string, ClusterMember>,
  now: ReadonlyMap<string, ClusterMember>,
  own: string,
  log: Log,
): void {
  for (const [node, { instance, state }] of now) {
    if (node === own || before.get(node)?.instance === instance) continue;
    if (state !== 'left') log('info', 'cluster-member-joined', { member: node });
  }
  for (const [node, { state }] of before) {
    if (node === own || now.has(node)) continue;
    if (state === 'left') log('info', 'cluster-member-left', { member: node });
    else log('warning', 'cluster-member-lost', { member: node });
  }
}
