/** Puts generations of the configuration into effect on this director, in its turn, and remembers the one that it has rejected. */
import { shortened } from '../../cluster/records.ts';
import type { ClusterView } from '../../cluster/view.ts';
import type { ClusterMember, GenerationSource } from '../../model/cluster.ts';
import { LvsError } from '../../model/errors.ts';
import type { ConfigurationRequests } from '../configuration/configuration-requests.ts';
import type { Log } from '../log.ts';
import type { CopiedChanges } from './cluster-copy.ts';
import { type ClusterStart, textOf } from './cluster-start.ts';
import { ClusterTurns } from './cluster-turns.ts';

/** ms between two attempts of a generation that could not be read. */
const RETRY_MS = 5000;

export interface ClusterGenerationsOptions {
  readonly start: ClusterStart;
  readonly configuration: Pick<ConfigurationRequests, 'applyFile'>;
  /** The lease of this director; undefined: it has none now. */
  readonly lease: () => string | undefined;
  readonly save: (parts: CopiedChanges) => void;
  /** Does work with etcd; resolves with undefined if etcd has failed. */
  readonly tried: <T>(work: () => Promise<T>) => Promise<T | undefined>;
  /** Called with what others are to know. */
  readonly event: (event: string, text: string) => void;
  readonly log: Log;
}

export class ClusterGenerations {
  readonly #options: ClusterGenerationsOptions;
  readonly #turns: ClusterTurns;
  #source: GenerationSource;
  #rejected: ClusterStart['rejected'];
  #retryAt = 0;

  constructor(options: ClusterGenerationsOptions) {
    const { access, source, rejected } = options.start;
    this.#options = options;
    this.#turns = new ClusterTurns(access.store.client, access.store.keys, access.settings.node);
    this.#source = source;
    this.#rejected = rejected;
  }

  /** The generation in effect; 0: none of the cluster. */
  get inEffect(): number {
    return this.#options.start.copy.state!.generation;
  }

  get source(): GenerationSource {
    return this.#source;
  }

  /** The part of the member. */
  get rejected(): Pick<ClusterMember, 'rejected'> {
    const rejected = this.#rejected;
    return rejected ? { rejected: { ...rejected, error: shortened(rejected.error) } } : {};
  }

  /** Takes the generation of etcd. */
  confirm(stored: number | undefined): void {
    if (stored === this.inEffect) this.#source = 'etcd';
  }

  /** Applies the generation of etcd if it is a later one, and it is the turn of this director. Resolves with whether it was tried. */
  async apply({ config, halted }: ClusterView): Promise<boolean> {
    const { start, configuration, lease, save, tried, event, log } = this.#options;
    if (!config || config.generation <= this.inEffect) return false;
    const { generation, digest, atMost } = config;
    if (this.#rejected?.generation === generation || halted.has(generation)) return false;
    if (performance.now() < this.#retryAt) return false;
    const begun = await tried(() => this.#turns.begin(generation, atMost, lease()));
    if (begun !== true) {
      this.#retryAt = begun === undefined ? performance.now() + RETRY_MS : 0;
      return false;
    }
    let error: LvsError | undefined;
    try {
      const text = await textOf(start.access, generation, digest);
      await configuration.applyFile(start.copy.write(generation, text));
      this.#rejected = undefined;
      save({ generation });
      this.#source = 'etcd';
      log('info', 'cluster-generation-applied', { generation });
      event('applied', `generation ${generation}`);
    } catch (cause) {
      if (!(cause instanceof LvsError)) throw cause;
      error = cause;
    }
    if (error && error.code !== 'CONFIG') {
      // etcd or this host: the next attempt may succeed.
      log('warning', 'cluster-generation-delayed', { generation, error: error.message });
      this.#retryAt = performance.now() + RETRY_MS;
    } else if (error) {
      this.#rejected = { generation, error: error.message };
      event('rejected', `generation ${generation}: ${error.message}`);
      log('error', 'cluster-generation-rejected', { generation });
    }
    await tried(() => this.#turns.end(generation, error?.code === 'CONFIG'));
    return true;
  }
}
