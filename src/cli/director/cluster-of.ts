/** Asks a running director for its cluster. */
import type { DirectorApi } from '../../control/director-api.ts';
import type { ClusterStatus } from '../../model/cluster.ts';
import { LvsError } from '../../model/errors.ts';

/** Resolves with undefined if the director belongs to no cluster, or is of a release without them. Throws LvsError. */
export async function clusterOf(api: DirectorApi): Promise<ClusterStatus | undefined> {
  try {
    return await api.cluster?.();
  } catch (error) {
    if (error instanceof LvsError && error.code === 'PROTOCOL') return undefined;
    throw error;
  }
}
