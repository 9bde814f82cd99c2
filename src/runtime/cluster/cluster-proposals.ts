/** Checks configurations that an operator is about to apply to the cluster, and answers what they would change on this host. */
import type { Keys } from '../../cluster/keys.ts';
import { type ProposalAnswer, proposalOf, shortened } from '../../cluster/records.ts';
import type { KeyValue } from '../../etcd/answers.ts';
import type { EtcdClient } from '../../etcd/client.ts';
import { LvsError } from '../../model/errors.ts';
import type { ConfigurationRequests } from '../configuration/configuration-requests.ts';
import type { ClusterCopy } from './cluster-copy.ts';

/** Seconds for which an answer stays. */
const ANSWER_S = 60;

export interface ClusterProposalsOptions {
  readonly client: EtcdClient;
  readonly keys: Keys;
  /** Name of this director. */
  readonly node: string;
  readonly copy: ClusterCopy;
  readonly configuration: Pick<ConfigurationRequests, 'tryFile'>;
}

export class ClusterProposals {
  readonly #options: ClusterProposalsOptions;
  /** Revisions that were answered, by the keys of proposals. */
  #answered = new Map<string, number>();

  constructor(options: ClusterProposalsOptions) {
    this.#options = options;
  }

  /** Answers the proposals that are new. `values`: all keys of the state. Throws EtcdError. */
  async answer(values: ReadonlyMap<string, KeyValue>): Promise<void> {
    const prefix = this.#options.keys.proposal('');
    const before = this.#answered;
    this.#answered = new Map();
    const added: [id: string, value: Buffer][] = [];
    for (const [key, { value, modRevision }] of values) {
      if (!key.startsWith(prefix)) continue;
      this.#answered.set(key, modRevision);
      if (before.get(key) !== modRevision) added.push([key.slice(prefix.length), value]);
    }
    for (const [id, value] of added) await this.#answer(id, value);
  }

  async #answer(id: string, value: Buffer): Promise<void> {
    const { client, keys, node, copy, configuration } = this.#options;
    const proposal = proposalOf(value);
    if (!proposal) return;
    const nothing = { node, changes: 0, draining: 0, warnings: [], manualChanges: [] };
    let answer: ProposalAnswer;
    const path = copy.writeCandidate(`proposal-by-${fileWord(proposal.author)}`, proposal.text);
    try {
      answer = { node, ...(await configuration.tryFile(path)) };
    } catch (error) {
      if (!(error instanceof LvsError)) throw error;
      answer = { ...nothing, error: shortened(error.message) };
    } finally {
      copy.remove(path);
    }
    const lease = await client.grantLease(ANSWER_S);
    await client.put(`${keys.answers(id)}${node}`, JSON.stringify(answer), lease);
  }
}

/** Returns a text as a part of a file name. */
const fileWord = (text: string): string => text.replace(/[^A-Za-z0-9]+/g, '-').slice(0, 40);
