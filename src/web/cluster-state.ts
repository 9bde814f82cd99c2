/** Judges the state of a cluster of directors, as the status page, `top` and `status` show it. */
import type { ClusterGroup, ClusterMember, ClusterStatus, NodeState } from '../model/cluster.ts';

/** Maximum length of what another director has written, characters. */
const MAX_TEXT = 200;
/** Problems that a line names. */
const MAX_NAMED = 3;

/** A director as it is shown. */
export interface NodeRow {
  readonly node: string;
  readonly word: NodeState | 'behind' | 'rejected' | 'not ready';
  readonly mood: 'good' | 'plain' | 'fair' | 'bad';
  readonly why?: string;
  /** Missing: it does not run. */
  readonly member?: ClusterMember;
}

type Judgment = Omit<NodeRow, 'node' | 'member'>;

const MOODS = ['bad', 'fair', 'plain', 'good'] as const;

/** Returns all directors, problems first. */
export function nodeRows({ nodes, members, stored }: ClusterStatus): NodeRow[] {
  const byName = new Map(members.map((member) => [member.node, member]));
  const rank = ({ mood }: NodeRow) => MOODS.indexOf(mood);
  return nodes
    .map(({ node, state }): NodeRow => {
      const member = byName.get(node);
      return { node, ...judgmentOf(state, member, stored), ...(member && { member }) };
    })
    .sort((a, b) => rank(a) - rank(b));
}

function judgmentOf(state: NodeState, member: ClusterMember | undefined, stored: number): Judgment {
  if (state === 'offline') return { word: state, mood: 'bad', why: 'does not run, or cannot reach etcd' };
  if (state === 'evicted') return { word: state, mood: 'plain', why: 'applies no changes' };
  if (member?.rejected?.generation === stored)
    return { word: 'rejected', mood: 'bad', why: shortLine(member.rejected.error) };
  if (member && member.generation < stored)
    return { word: 'behind', mood: 'bad', why: `etcd has generation ${stored}` };
  if (state === 'paused')
    return { word: state, mood: 'plain', why: `announces no VIPs${member ? '' : ', does not run'}` };
  if (member?.isReady === false)
    return { word: 'not ready', mood: 'fair', why: 'forwards no packets, or connections are being copied' };
  return { word: 'online', mood: 'good' };
}

/** Returns the directors that are online, the generation and the problems, without the name of the cluster. */
export function clusterLine(status: ClusterStatus): string {
  const { nodes, groups, isReachable, generation, stored } = status;
  const online = nodes.filter(({ state }) => state === 'online').length;
  const problems = nodeRows(status).filter(({ mood }) => mood === 'bad' || mood === 'fair');
  const more = problems.length - MAX_NAMED;
  return [
    ...(isReachable ? [] : ['etcd cannot be reached']),
    `${online} of ${nodes.length} directors online`,
    `generation ${generation}${stored === generation ? '' : `, etcd has ${stored}`}`,
    ...groups
      .filter(isShort)
      .slice(0, MAX_NAMED)
      .map(({ name, wanted, holders }) => `group ${name} ${holders.length} of ${wanted}`),
    ...problems.slice(0, MAX_NAMED).map(({ node, word }) => `${node} ${word}`),
    ...(more > 0 ? [`${more} more problems`] : []),
  ].join(', ');
}

/** Reports whether fewer directors announce a group of VIPs than are wanted. */
export const isShort = ({ wanted, holders }: ClusterGroup): boolean => holders.length < wanted;

/** Reports whether etcd answers, every director is online, paused or evicted, ready and up to date, and no group is short. */
export const isWell = (status: ClusterStatus): boolean =>
  status.isReachable &&
  !status.groups.some(isShort) &&
  nodeRows(status).every(({ mood }) => mood === 'good' || mood === 'plain');

/** Returns the first line of a text, of limited length. */
export function shortLine(text: string): string {
  const [line] = text.split('\n', 1);
  return line!.length <= MAX_TEXT ? line! : `${line!.slice(0, MAX_TEXT - 3)}...`;
}
