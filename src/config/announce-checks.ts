/** Checks the announcements of a document. */
import type { Document } from './document.ts';
import type { Notes, Placed } from './parse-result.ts';
import type { Place } from './problem.ts';

const NOWHERE: Place = { line: 1, column: 1, length: 1 };

export function reviewAnnounce({ announce, services, vips }: Document, notes: Notes): void {
  if (announce === undefined) return;
  const place = (part: Placed): Place => notes.places.get(part) ?? NOWHERE;
  const served = new Set(services.flatMap(({ service }) => ('address' in service ? [service.address] : [])));
  const hasMarks = services.some(({ service }) => 'mark' in service);
  for (const vip of announce.vips ?? [])
    if (!served.has(vip) && !hasMarks)
      notes.error(place(announce), `announce: ${vip} is the address of no service, so it is never ready`);
  for (const group of announce.groups ?? [])
    for (const vip of group.vips ?? []) {
      const isAnnounced = announce.vips ? announce.vips.includes(vip) : served.has(vip);
      if (!isAnnounced)
        notes.error(
          place(group),
          `group ${group.name}: ${vip} is ${announce.vips ? 'not in vips of announce' : 'the address of no service'}, so it is never announced`,
        );
    }
  if (announce.vips === undefined && served.size === 0 && services.length > 0)
    notes.warning(
      place(announce),
      'announce: services of marks have no address: nothing is announced (list the addresses in vips)',
    );
  const held = vips.find(({ address }) => announce.vips?.includes(address) ?? served.has(address));
  if (held)
    notes.warning(
      place(held),
      `${held.address} is an address of this host and announced, too: the host resets connections of other directors that it does not know (remove it from vips)`,
    );
}
