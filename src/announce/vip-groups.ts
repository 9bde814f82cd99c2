/** Finds the groups of VIPs. */
import type { VipGroup } from '../model/announcement.ts';

/** Returns the name of the group that has a VIP; undefined: none, so that every director announces it. */
export function groupFinder(groups: readonly VipGroup[]): (vip: string) => string | undefined {
  const named = new Map(groups.flatMap(({ name, vips }) => (vips ?? []).map((vip) => [vip, name] as const)));
  const rest = groups.find(({ vips }) => vips === undefined)?.name;
  return (vip) => named.get(vip) ?? rest;
}
