/** Asks all members what a configuration would change, and waits until they have applied a generation. */
import { randomUUID } from 'node:crypto';
import type { EtcdError } from '../etcd/etcd-error.ts';
import { Mirror } from '../etcd/mirror.ts';
import type { ClusterMember } from '../model/cluster.ts';
import { answerOf, type Proposal, type ProposalAnswer } from './records.ts';
import type { ClusterStore } from './store.ts';
import { viewOf } from './view.ts';

/** Seconds for which a proposal stays if its author vanishes. */
const PROPOSAL_S = 60;

/** ms for which a member may be missing that has not said that it leaves: its lease may have ended while etcd elected a leader. */
const MISSING_MS = 8000;
/** ms between two looks without a change. */
const LOOK_MS = 500;

/** What became of a generation at a member. */
export interface Applied {
  readonly node: string;
  /** Missing: the member has neither applied nor rejected it in time. */
  readonly outcome?: 'applied' | 'rejected' | 'left';
  readonly error?: string;
}

/**
 * Resolves with the answers of the members that run; undefined: a member has not answered within `timeout` ms. Throws
 * EtcdError.
 */
export async function propose(
  store: ClusterStore,
  proposal: Proposal,
  timeout: number,
): Promise<ReadonlyMap<string, ProposalAnswer | undefined>> {
  const { client, keys } = store;
  const id = randomUUID();
  const members = [...(await store.view()).members.keys()];
  const lease = await client.grantLease(PROPOSAL_S);
  try {
    await client.put(keys.proposal(id), JSON.stringify(proposal), lease);
    return await until(
      store,
      keys.answers(id),
      (values) =>
        new Map(
          members.map((node) => {
            const stored = values.get(`${keys.answers(id)}${node}`);
            return [node, stored && answerOf(stored.value)];
          }),
        ),
      (answers) => [...answers.values()].every((answer) => answer !== undefined),
      timeout,
    );
  } finally {
    await client.revokeLease(lease);
  }
}

/** Resolves with what became of a generation at all members that run, or at the latest after `timeout` ms. Throws EtcdError. */
export function spread(
  store: ClusterStore,
  generation: number,
  timeout: number,
): Promise<readonly Applied[]> {
  const { keys } = store;
  /** The last state of each member, and when it was there, ms. */
  const seen = new Map<string, { readonly member: ClusterMember; readonly at: number }>();
  return until(
    store,
    keys.state,
    (values) => {
      const { members } = viewOf(keys, values);
      const at = performance.now();
      for (const [node, member] of members) seen.set(node, { member, at });
      return [...seen].map(([node, last]) =>
        outcomeOf(node, at - last.at < MISSING_MS ? last.member : undefined, generation),
      );
    },
    (all) =>
      all.every(({ outcome }) => outcome !== undefined) || all.some(({ outcome }) => outcome === 'rejected'),
    timeout,
  );
}

function outcomeOf(node: string, member: ClusterMember | undefined, generation: number): Applied {
  if (!member || member.state === 'left' || member.state === 'evicted') return { node, outcome: 'left' };
  if (member.generation >= generation) return { node, outcome: 'applied' };
  const { rejected } = member;
  if (rejected?.generation === generation) return { node, outcome: 'rejected', error: rejected.error };
  return { node };
}

/** Follows a prefix until `isDone`; resolves with what `of` makes of the values then, or after `timeout` ms. */
async function until<T>(
  { client }: ClusterStore,
  prefix: string,
  of: (values: Mirror['values']) => T,
  isDone: (result: T) => boolean,
  timeout: number,
): Promise<T> {
  let error: EtcdError | undefined;
  let look = (): void => {};
  using mirror = new Mirror({
    client,
    prefix,
    changed: () => look(),
    failed: (failure) => {
      error = failure;
    },
  });
  await mirror.read();
  let timer: NodeJS.Timeout | undefined;
  let looking: NodeJS.Timeout | undefined;
  await new Promise<void>((resolve) => {
    timer = setTimeout(resolve, timeout);
    look = () => {
      if (isDone(of(mirror.values))) resolve();
    };
    mirror.follow();
    looking = setInterval(look, LOOK_MS);
    look();
  });
  clearTimeout(timer);
  clearInterval(looking);
  const result = of(mirror.values);
  if (error && !isDone(result)) throw error;
  return result;
}
