/** Finds groups of VIPs that fewer directors announce than are wanted. */
import type { ClusterGroup } from '../../model/cluster.ts';
import type { Conditions } from '../conditions.ts';

/** ms for which a group may lack a director: another one is about to take its place. */
const SHORT_MS = 3000;

export class GroupShortage {
  /** When a group first lacked a director, ms. */
  #since = new Map<string, number>();
  #error: Error | undefined;

  /** Takes why places could not be claimed; undefined: they could. */
  failed(error: Error | undefined): void {
    this.#error = error;
  }

  /** Sets the conditions. `groups`: undefined if etcd is silent, and nothing is known. `now`: ms. */
  report(groups: readonly ClusterGroup[] | undefined, conditions: Conditions, now: number): void {
    const short = (groups ?? []).filter(({ wanted, holders }) => holders.length < wanted);
    this.#since = new Map(short.map(({ name }) => [name, this.#since.get(name) ?? now]));
    conditions.set(
      'cluster-group-short',
      new Map(
        short.flatMap(({ name, wanted, holders }) => {
          if (now - this.#since.get(name)! < SHORT_MS) return [];
          const by = holders.length > 0 ? ` (${holders.join(', ')})` : '';
          const why = this.#error ? `: no place can be claimed: ${this.#error.message}` : '';
          const text = `group ${name}: ${holders.length} of ${wanted} directors announce its VIPs${by}${why}`;
          return [[name, { text, fields: { group: name, directors: holders.length, wanted } }] as const];
        }),
      ),
    );
  }
}
