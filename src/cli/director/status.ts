/** `lvs-director status`: reports whether a director runs, and what one has left that was killed. */
import type { DirectorApi } from '../../control/director-api.ts';
import type { ClusterStatus } from '../../model/cluster.ts';
import { LvsError } from '../../model/errors.ts';
import { directorStatus, hasLeft, statusLines } from '../../runtime/director-status.ts';
import { clusterLine } from '../../web/cluster-state.ts';
import { clusterOf } from './cluster-of.ts';

/** Exit statuses: a director runs, none runs but one has left something, none runs. */
const RUNS = 0;
const LEFT = 1;
const NONE = 3;

/** Resolves with the exit status. `roots`: folders of pins; `api`: the director whose cluster is reported. */
export async function printStatus(
  roots: readonly string[],
  api: DirectorApi,
  json: boolean,
  print: (text: string) => void,
): Promise<number> {
  const status = await directorStatus(roots);
  const asked = status.running.length > 0 ? await askedOf(api) : {};
  const lines = [...statusLines(status, Date.now()), ...clusterLines(asked)];
  print(`${json ? JSON.stringify({ ...status, ...asked }, null, 2) : lines.join('\n')}\n`);
  if (status.running.length > 0) return RUNS;
  return hasLeft(status) ? LEFT : NONE;
}

/** The cluster of a director, or why it is not known; neither: it belongs to none. */
export interface Asked {
  readonly cluster?: ClusterStatus;
  readonly clusterError?: string;
}

async function askedOf(api: DirectorApi): Promise<Asked> {
  try {
    const cluster = await clusterOf(api);
    return cluster ? { cluster } : {};
  } catch (error) {
    // Another director may run, with a socket elsewhere.
    if (error instanceof LvsError) return { clusterError: error.message };
    throw error;
  }
}

/** Returns lines of text about the cluster. */
export function clusterLines({ cluster, clusterError }: Asked): string[] {
  if (clusterError !== undefined) return [`cluster: unknown: ${clusterError}`];
  return cluster
    ? [
        `director ${cluster.node} of the cluster ${cluster.name}, ${cluster.state}, ${cluster.isReachable ? 'etcd is reachable' : 'etcd is not reachable'}`,
        `cluster ${cluster.name}: ${clusterLine(cluster)}`,
      ]
    : [];
}
