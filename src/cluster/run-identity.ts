/** Recognizes which members of a cluster are runs of one director: those that use the same copy of its state. */
import { randomUUID } from 'node:crypto';
import type { ClusterMember } from '../model/cluster.ts';

/** Later runs that are remembered. */
const MAX_LATER = 16;

type Run = Pick<ClusterMember, 'instance' | 'copy' | 'since'>;

export class RunIdentity {
  /** Identifies this process. */
  readonly instance = randomUUID();
  /** When it started, ISO 8601. */
  readonly since: string;
  /** Identifies the copy, which all runs of a director share. */
  readonly copy: string;
  /** Runs that have displaced this one: a folder with a copy was duplicated. */
  readonly #later = new Set<string>();

  constructor(copy: string, since: string) {
    this.copy = copy;
    this.since = since;
  }

  /** Reports whether this run may replace the key of a member: it is that of this run, or of an earlier one. */
  isOwn(member: Run | undefined): boolean {
    if (member === undefined) return false;
    return (
      member.instance === this.instance || (member.copy === this.copy && !this.#later.has(member.instance))
    );
  }

  /**
   * Takes how the key of this director has changed. Returns whether the key of this run was replaced: by a later run, which keeps
   * it, or by an earlier one, as in an etcd that was restored from a backup.
   */
  isDisplaced(before: Run | undefined, now: Run | undefined): boolean {
    if (before?.instance !== this.instance || !now || now.instance === this.instance) return false;
    if (now.since > this.since && this.#later.size < MAX_LATER) this.#later.add(now.instance);
    return true;
  }

  /**
   * Reports whether the key of this director has another value than that of this run with its generation: an etcd
   * that was restored from a backup has an earlier one.
   */
  isReplaced(
    before: Run | undefined,
    now: (Run & Pick<ClusterMember, 'generation'>) | undefined,
    generation: number,
  ): boolean {
    const isDisplaced = this.isDisplaced(before, now);
    return isDisplaced || (now?.instance === this.instance && now.generation !== generation);
  }
}
