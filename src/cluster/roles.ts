/**
 * Decides which director takes which free place among those that announce a group of VIPs. All directors decide by the same
 * keys, so that each free place has one director that claims it first; etcd decides if their keys differ.
 */
import { slotNameOf } from './records.ts';
import type { ClusterView } from './view.ts';

/** A group of VIPs and its places. */
export interface GroupPlaces {
  readonly name: string;
  /** The directors that have the places; undefined: the place is free. */
  readonly holders: readonly (string | undefined)[];
}

export interface Claim {
  readonly place: number;
  /** Number of rounds of other directors that are to claim it before. */
  readonly rank: number;
}

/** Returns the places of a group. `wanted`: their number. */
export function placesOf({ slots, members, nodes }: ClusterView, name: string, wanted: number): GroupPlaces {
  const holders = Array.from({ length: wanted }, (_, place) => {
    const slot = slots.get(`${name}/${place}`);
    if (!slot) return undefined;
    // A place without a director that runs has no lease, or soon loses it.
    const isRunning = members.get(slot.node)?.instance === slot.instance;
    return isRunning || (slot.isKept && nodes.has(slot.node)) ? slot.node : undefined;
  });
  return { name, holders };
}

/** Reports whether other directors have all places of a group, and announce its VIPs. `id`: identifies the VIPs. */
export function areAnnouncedByOthers(
  view: ClusterView,
  name: string,
  wanted: number,
  own: string,
  id: string,
): boolean {
  return placesOf(view, name, wanted).holders.every(
    (node, place) =>
      node !== undefined && node !== own && view.slots.get(`${name}/${place}`)!.announced === id,
  );
}

/** Returns the groups that directors announce, in the order of their names, whatever number is wanted. */
export function holdersOf(
  view: ClusterView,
): { readonly name: string; readonly holders: readonly string[] }[] {
  const places = new Map<string, number>();
  for (const key of view.slots.keys()) {
    const { group, place } = slotNameOf(key)!;
    places.set(group, Math.max(places.get(group) ?? 0, place + 1));
  }
  return [...places]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, count]) => {
      const { holders } = placesOf(view, name, count);
      return { name, holders: holders.flatMap((node) => node ?? []) };
    });
}

/** Returns the directors that can take a place, as far as the others know. */
export const candidatesOf = ({ members, paused }: ClusterView): string[] =>
  [...members.values()].flatMap(({ node, state, isReady, cannotAnnounce }) =>
    state === 'active' && isReady && cannotAnnounce !== true && !paused.has(node) ? node : [],
  );

/**
 * Returns the places that a director is to claim, by the names of groups. Directors with the fewest places come first, so that
 * places spread over all. `isAble`: whether the director can announce a group.
 */
export function claimsOf(
  groups: readonly GroupPlaces[],
  candidates: readonly string[],
  own: string,
  isAble: (group: string) => boolean,
): Map<string, Claim> {
  const claims = new Map<string, Claim>();
  const counts = new Map(candidates.map((node) => [node, 0]));
  const count = (node: string) => counts.set(node, (counts.get(node) ?? 0) + 1);
  for (const { holders } of groups) for (const node of holders) if (node !== undefined) count(node);
  for (const { name, holders } of groups) {
    const free = holders.flatMap((node, place) => (node === undefined ? place : []));
    const ranked = candidates
      .filter((node) => !holders.includes(node) && (node !== own || isAble(name)))
      .sort((a, b) => counts.get(a)! - counts.get(b)! || (a < b ? -1 : 1));
    const index = ranked.indexOf(own);
    if (free.length > 0 && index >= 0)
      claims.set(name, { place: free[index % free.length]!, rank: Math.floor(index / free.length) });
    for (const node of ranked.slice(0, free.length)) count(node);
  }
  return claims;
}
