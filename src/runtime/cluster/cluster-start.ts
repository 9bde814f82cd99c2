/** Starts with the configuration of a cluster: that of etcd, or the copy on this host while etcd cannot be reached. */
import { digestOf } from '../../cluster/store.ts';
import type { ClusterView } from '../../cluster/view.ts';
import { EtcdError } from '../../etcd/etcd-error.ts';
import type { GenerationSource } from '../../model/cluster.ts';
import { LvsError } from '../../model/errors.ts';
import { type OpenConfiguration, openConfiguration } from '../configuration/configuration-thread.ts';
import type { Log } from '../log.ts';
import { type ClusterAccess, openClusterAccess } from './cluster-access.ts';
import { ClusterCopy } from './cluster-copy.ts';

/** A cluster that a director is about to run by. */
export interface ClusterStart {
  readonly access: ClusterAccess;
  readonly copy: ClusterCopy;
  /** The file to start with, and its path. */
  readonly opened: OpenConfiguration;
  readonly path: string;
  readonly source: GenerationSource;
  /** The generation that could not be applied, and why. */
  readonly rejected?: { readonly generation: number; readonly error: string };
}

/**
 * Reads the cluster and opens the configuration. Throws LvsError if this director is no member, or if there is neither etcd nor a
 * copy.
 */
export async function startCluster(settingsFile: string, log: Log): Promise<ClusterStart> {
  const access = await openClusterAccess(settingsFile);
  const { settings, store } = access;
  const { cluster, node } = settings;
  const copy = new ClusterCopy(settings.state, cluster);
  const { state } = copy;
  if (!state)
    throw new LvsError(
      'CONFIG',
      `cluster ${cluster}: this director has not joined (lvs-director cluster join --file ${settingsFile})`,
    );
  let view: ClusterView;
  try {
    ({ view } = await store.read());
  } catch (error) {
    if (!(error instanceof EtcdError)) throw error;
    if (state.generation === 0)
      throw new LvsError(
        'UNAVAILABLE',
        `cluster ${cluster}: no copy of the configuration is on this host, and ${error.message}`,
        { cause: error },
      );
    log('warning', 'cluster-copy-used', { cluster, generation: state.generation, error: error.message });
    const path = copy.path(state.generation);
    return { access, copy, path, opened: await openConfiguration(path), source: 'copy' };
  }
  const meta = store.check(view.meta);
  if (meta.id !== state.id)
    throw new LvsError(
      'CONFIG',
      `cluster ${cluster}: etcd has another cluster of this name: expected ${state.id}, found ${meta.id} (join it to leave the former)`,
    );
  if (!view.nodes.has(node))
    throw new LvsError(
      'CONFIG',
      `cluster ${cluster}: ${node} is ${view.evicted.has(node) ? 'evicted' : 'not a member'} (lvs-director cluster join --file ${settingsFile})`,
    );
  const held = view.paused.has(node) ? 'paused' : undefined;
  const stored = view.config?.generation ?? 0;
  if (stored === 0 && state.generation === 0)
    throw new LvsError(
      'CONFIG',
      `cluster ${cluster}: no configuration yet (lvs-director cluster apply lvs.yaml)`,
    );
  if (stored > state.generation) {
    try {
      const path = copy.write(stored, await textOf(access, stored, view.config!.digest));
      const opened = await openConfiguration(path);
      copy.save({ generation: stored, held });
      return { access, copy, path, opened, source: 'etcd' };
    } catch (error) {
      if (!(error instanceof LvsError) || state.generation === 0) throw error;
      log('error', 'config-rejected', { generation: stored, error: error.message });
      const path = copy.path(state.generation);
      const rejected = { generation: stored, error: error.message };
      return { access, copy, path, opened: await openConfiguration(path), source: 'copy', rejected };
    }
  }
  copy.save({ held });
  const path = copy.path(state.generation);
  // An etcd that was restored from a backup may have an earlier one.
  const source = stored === state.generation ? 'etcd' : 'copy';
  return { access, copy, path, opened: await openConfiguration(path), source };
}

/** Resolves with the text of a generation. Throws LvsError if etcd has another one than announced. */
export async function textOf({ store }: ClusterAccess, generation: number, digest: string): Promise<string> {
  const stored = await store.generation(generation);
  if (stored === undefined || digestOf(stored.text) !== digest)
    throw new LvsError(
      'CONFIG',
      `generation ${generation}: ${stored ? 'its text is not the one that was applied' : 'missing in etcd, or no configuration'}`,
    );
  return stored.text;
}
