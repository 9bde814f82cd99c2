/** Ends the connections of clients that a deny list has. */
import { NONE } from '../../model/connection.ts';
import { type DirectorCore, destinationOf } from '../core.ts';
import { end } from './connection-lifecycle.ts';

/**
 * Ends those in the places from `from` to `to`, exclusive. A template of a network goes if the list has the network's
 * address. Returns the number of connections.
 */
export function endDenied(core: DirectorCore, from: number, to: number): number {
  const { table, access } = core;
  if (access.isEmpty) return 0;
  let ended = 0;
  for (const row of table.rows(from, to)) {
    const { service } = destinationOf(core, row);
    if (!access.isEnding(service, table.select(row).caddr)) continue;
    const template = table.template(row);
    const isConnection = !table.isTemplate(row);
    if (!end(core, row)) continue;
    if (template !== NONE) end(core, template);
    if (isConnection) ended++;
  }
  return ended;
}
