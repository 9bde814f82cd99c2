/** Lets a director announce VIPs for as long as the one that follows it may not have begun to. */
import type { ClusterView } from '../../cluster/view.ts';

/** ms within which a director that has taken a place announces its VIPs, on a busy host, too. */
const TAKEN_MS = 1000;
/** ms within which a director announces VIPs that a new configuration gives it: it looks at them once a second. */
const APPLIED_MS = 2000;

export class RoleDelays {
  /** Since when other directors have all places of a group, ms. */
  readonly #fullSince = new Map<string, number>();
  /** Until when the directors of a group may not announce all of its VIPs, ms. */
  readonly #settlingUntil = new Map<string, number>();
  #generation: number;
  /** Until when a new configuration may not be in effect everywhere, ms. */
  #appliedUntil = 0;

  /** `generation`: of the configuration in effect. */
  constructor(generation: number) {
    this.#generation = generation;
  }

  /** Returns the ms after which a director is a spare of a group whose places others have taken. */
  untilSpare(group: string, now: number): number {
    const since = this.#fullSince.get(group) ?? now;
    this.#fullSince.set(group, since);
    return Math.max(0, since + TAKEN_MS - now);
  }

  /** The group has a free place, or one of this director. */
  notFull(group: string): void {
    this.#fullSince.delete(group);
  }

  /**
   * Reports whether a new configuration may have moved VIPs to a group whose directors do not announce them yet. `generation`:
   * of the configuration in effect. `holders`: the directors of the group.
   */
  isSettling(
    group: string,
    holders: readonly (string | undefined)[],
    { members }: ClusterView,
    generation: number,
    now: number,
  ): boolean {
    if (generation !== this.#generation) this.#appliedUntil = now + APPLIED_MS;
    this.#generation = generation;
    const isBehind = holders.some(
      (node) => node !== undefined && (members.get(node)?.generation ?? 0) < generation,
    );
    if (isBehind) this.#settlingUntil.set(group, now + APPLIED_MS);
    return now < Math.max(this.#appliedUntil, this.#settlingUntil.get(group) ?? 0);
  }

  /** Forgets groups that the configuration no longer has. */
  forget(group: string): void {
    this.#fullSince.delete(group);
    this.#settlingUntil.delete(group);
  }
}
