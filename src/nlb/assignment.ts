/** What follows from a cluster's configuration: weights, owners of places, and the numbers that hosts compare. */
import { createHash, createHmac } from 'node:crypto';
import { MAX_WEIGHT, type NlbCluster, type PortRule } from '../model/nlb.ts';
import type { Member } from './heartbeat.ts';
import { type Assigned, GROUP_SHIFT, GROUPS, PLACES, rendezvous } from './places.ts';

/** Returns the seed of clients' places, which depends on the secret: strangers cannot choose their host. */
export const placeSeed = ({ key }: Pick<NlbCluster, 'key'>): number =>
  createHmac('sha256', key).update('places').digest().readUInt32BE(0);

/**
 * Returns a number that differs if the hosts would assign places differently. Weights and checks do not count: each host
 * announces its weights.
 */
export function configurationHash({ addresses, mac, period, missed, hosts, rules }: NlbCluster): number {
  const ofRule = ({ weights: _, check: __, ...rule }: PortRule) => rule;
  const text = JSON.stringify([
    addresses,
    mac,
    period,
    missed,
    hosts.map(({ id, address }) => [id, address]),
    rules.map(ofRule),
  ]);
  return createHash('sha256').update(text).digest().readUInt32BE(0);
}

/** What a host's weights depend on apart from the file. */
export interface Willingness {
  /** Rules, by index, for which the host takes no new connections. */
  readonly drained: ReadonlySet<number>;
  /** Percentage of the weights that the host can bear. */
  readonly capacity: number;
  /** Returns the weight that the health of the rule's service allows. */
  readonly healthy: (rule: number, weight: number) => number;
}

/** Returns the weights that a host announces, by rule. */
export const weightsOf = (
  rules: readonly PortRule[],
  id: number,
  { drained, capacity, healthy }: Willingness,
): number[] =>
  rules.map(({ hosts, weights }, i) => {
    if (hosts === 'disabled' || drained.has(i)) return 0;
    if (hosts === 'single') return healthy(i, MAX_WEIGHT);
    const weight = healthy(i, weights.get(id) ?? 0);
    return weight === 0 ? 0 : Math.max(1, Math.round((weight * capacity) / 100));
  });

/** Returns the owner of each place for the owners of the groups. */
function spread(owners: Uint8Array): Uint8Array {
  const places = new Uint8Array(PLACES);
  for (const [i, owner] of owners.entries()) places.fill(owner, i << GROUP_SHIFT, (i + 1) << GROUP_SHIFT);
  return places;
}

/** Returns the function that assigns places to members. Rules with equal weights share their result. */
export function assignment(
  rules: readonly PortRule[],
): (members: readonly Member[]) => readonly Uint8Array[] {
  /** The last result of each rule, of which the next one is computed. */
  const last: Assigned[] = [];
  return (members) => {
    const made = new Map<string, Assigned>();
    return rules.map(({ hosts, priorities, stickiness }, i) => {
      const candidates = members.map(({ id, weights }) => ({ id, weight: weights[i]! }));
      if (hosts === 'single') {
        const first = priorities.find((id) => candidates.some((each) => each.id === id && each.weight > 0));
        return new Uint8Array(PLACES).fill(first ?? 0);
      }
      const places = stickiness > 0 ? GROUPS : PLACES;
      const key = [places, ...candidates.map(({ id, weight }) => `${id}:${weight}`)].join();
      const assigned = made.get(key) ?? rendezvous(candidates, last[i], places);
      made.set(key, assigned);
      last[i] = assigned;
      return places === PLACES ? assigned.owners : spread(assigned.owners);
    });
  };
}
