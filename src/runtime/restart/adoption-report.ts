/** Logs what became of a connection table that another director has left. */

import type { Log } from '../log.ts';
import type { AdoptedTable } from './adopted-table.ts';
import { type Adoption, adoptionOf } from './kept-table.ts';

const EVENTS = {
  path: { adopted: 'path-adopted', replaced: 'path-replaced' },
  table: { adopted: 'table-adopted', replaced: 'table-replaced' },
  files: { adopted: 'table-carried', replaced: 'table-replaced' },
} as const;

/** What was left: a kernel path, or the table of a director without one, for another one or for a kernel path (files). */
export type Left = keyof typeof EVENTS;

export interface Takeover {
  /** The most connections that this director would have had. */
  readonly connections: number;
  /** ms that it took. */
  readonly ms: number;
}

/** Logs that it was taken over, and returns what is known of it. */
export function reportAdopted(
  left: Left,
  adopted: Pick<AdoptedTable<unknown>, 'found' | 'header' | 'table'>,
  { connections, ms }: Takeover,
  log: Log,
): Adoption {
  const { found, table } = adopted;
  const adoption = adoptionOf(adopted);
  log('info', EVENTS[left].adopted, {
    connections: found.rows,
    silent: adoption.silent,
    freed: found.freed,
    corrected: found.repaired,
    ms,
  });
  if (table.capacity !== connections)
    log('warning', 'table-size-kept', {
      connections: table.capacity,
      wanted: connections,
      reason: 'the table of the former director is in use (lvs-director stop, and start again)',
    });
  return adoption;
}

/** Logs that it is replaced or removed. */
export const reportReplaced = (left: Left, folder: string, reason: string, log: Log): void =>
  log('warning', EVENTS[left].replaced, { folder, reason, effect: 'connections are lost' });
