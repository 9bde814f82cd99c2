/** Expands the announcements of lvs.yaml. */
import { canonical, isHostAddress } from '../canonical-address.ts';
import { type AnnounceDocument, DEFAULT_BIRD, DEFAULT_RISE } from '../document.ts';
import type { YamlContext } from './yaml-context.ts';

export function expandAnnounce({ file, notes, place }: YamlContext): AnnounceDocument | undefined {
  if (file.announce === undefined) return undefined;
  const { vips, rise = DEFAULT_RISE, bird } = file.announce;
  const seen = new Set<string>();
  let isValid = true;
  for (const [i, vip] of (vips ?? []).entries()) {
    const problem = !isHostAddress(vip)
      ? `invalid VIP '${vip}': expected an IPv4 or IPv6 address that is not link-local`
      : seen.has(canonical(vip))
        ? `duplicate VIP ${vip}`
        : undefined;
    if (problem !== undefined) {
      isValid = false;
      notes.error(place(['announce', 'vips', i]), problem);
    }
    seen.add(canonical(vip));
  }
  if (!isValid) return undefined;
  return notes.at(place(['announce']), {
    ...(vips && { vips: vips.map(canonical) }),
    rise,
    ...(bird && { bird: { ...DEFAULT_BIRD, ...bird } }),
  });
}
