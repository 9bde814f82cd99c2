/** Checks the synchronization of a document: combinations that the director, like the kernel, refuses. */
import { familyOfService, formatService } from '../model/naming.ts';
import { DEFAULT_SETTINGS } from '../model/settings.ts';
import { familyOfText } from './canonical-address.ts';
import type { Document } from './document.ts';
import type { Notes, Placed } from './parse-result.ts';
import type { Place } from './problem.ts';

const NOWHERE: Place = { line: 1, column: 1, length: 1 };

export function reviewSync(document: Document, notes: Notes, place: (part: Placed) => Place): void {
  const { sync_threshold: threshold, sync_period: period } = { ...DEFAULT_SETTINGS, ...document.settings };
  // No count of packets reaches it.
  if (period > 0 && threshold >= period)
    notes.error(
      NOWHERE,
      `invalid sync_threshold ${threshold}: expected less than sync_period ${period} (sync_period: 0 sends once)`,
    );
  const { sync } = document;
  if (sync === undefined) return;
  const { keyFile, daemon, peers } = sync;
  if (keyFile === undefined && peers.length > 0)
    notes.error(place(sync), 'sync with peers: bulk transfers need a key-file');
  if (keyFile === undefined)
    notes.warning(
      place(sync),
      `sync without key-file: every host on the network of ${daemon.interface} can change connections`,
    );
  else if (document.settings.sync_version === 0)
    notes.error(
      place(sync),
      'messages of sync_version 0 cannot be authenticated: remove key-file or sync_version',
    );
  for (const { service, destinations } of document.services)
    for (const each of destinations)
      if (familyOfText(each.destination.address) !== familyOfService(service))
        notes.error(
          place(each),
          `${each.server} has another address family than ${formatService(service)}: not supported together with sync`,
        );
}
