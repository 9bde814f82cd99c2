/** Expands the announcements of lvs.yaml. */

import type { VipGroup } from '../../model/announcement.ts';
import { canonical, isHostAddress } from '../canonical-address.ts';
import { type AnnounceDocument, DEFAULT_BIRD, DEFAULT_RISE } from '../document.ts';
import type { Path } from './position.ts';
import type { YamlContext } from './yaml-context.ts';

export function expandAnnounce(context: YamlContext): AnnounceDocument | undefined {
  const { file, notes, place } = context;
  if (file.announce === undefined) return undefined;
  const { vips, groups, rise = DEFAULT_RISE, bird } = file.announce;
  const isValid = [
    areVipsValid(context, vips ?? [], ['announce', 'vips'], new Set()),
    areGroupsValid(context, groups ?? []),
  ].every(Boolean);
  if (!isValid) return undefined;
  return notes.at(place(['announce']), {
    ...(vips && { vips: vips.map(canonical) }),
    ...(groups && {
      groups: groups.map((group, i) => notes.at(place(['announce', 'groups', i]), groupOf(group))),
    }),
    rise,
    ...(bird && { bird: { ...DEFAULT_BIRD, ...bird } }),
  });
}

const groupOf = ({ name, vips, active }: VipGroup): VipGroup => ({
  name,
  ...(vips && { vips: vips.map(canonical) }),
  active,
});

/** Reports addresses that no VIP can have, and those of `seen`, to which it adds the others. */
function areVipsValid(
  { notes, place }: YamlContext,
  vips: readonly string[],
  path: Path,
  seen: Set<string>,
): boolean {
  let isValid = true;
  for (const [i, vip] of vips.entries()) {
    const problem = !isHostAddress(vip)
      ? `invalid VIP '${vip}': expected an IPv4 or IPv6 address that is not link-local`
      : seen.has(canonical(vip))
        ? `duplicate VIP ${vip}`
        : undefined;
    if (problem !== undefined) {
      isValid = false;
      notes.error(place([...path, i]), problem);
    }
    seen.add(canonical(vip));
  }
  return isValid;
}

/** Reports what several groups have in common. */
function areGroupsValid(context: YamlContext, groups: readonly VipGroup[]): boolean {
  const { notes, place } = context;
  const names = new Set<string>();
  const seen = new Set<string>();
  let hasRest = false;
  let isValid = true;
  for (const [i, { name, vips }] of groups.entries()) {
    const problem = names.has(name)
      ? `duplicate group ${name}`
      : vips === undefined && hasRest
        ? `group ${name}: vips are missing: one group may have the VIPs of no other group`
        : undefined;
    if (problem !== undefined) {
      isValid = false;
      notes.error(place(['announce', 'groups', i]), problem);
    }
    names.add(name);
    hasRest ||= vips === undefined;
    if (!areVipsValid(context, vips ?? [], ['announce', 'groups', i, 'vips'], seen)) isValid = false;
  }
  return isValid;
}
