/** `lvs-director stop`: ends the running director, and with --release removes what a killed one left on the host. */
import { dirname } from 'node:path';
import type { ControlClient } from '../../control/client.ts';
import { instancesIn, unixSockets } from '../../host/director-instances.ts';
import { restoreAllMerging } from '../../host/merge-offloads.ts';
import { orphanedGuards, releaseGuard } from '../../host/orphaned-guards.ts';
import { directorEnd } from '../../runtime/restart/director-end.ts';

/** Errors of a socket without a director. */
const NOT_RUNNING = ['ENOENT', 'ECONNREFUSED'];

const NOTHING_KEPT = '`lvs-director features` reports why restarts lose connections here';

export interface StopOptions {
  readonly socket: string;
  readonly release: boolean;
  /** The kernel path goes on for the next director. */
  readonly keep: boolean;
  /** Folders of pins. */
  readonly pins: readonly string[];
}

/** Throws LvsError if no director runs, unless it has to release, and if the director does not end. */
export async function stop(
  api: Pick<ControlClient, 'stop'>,
  { socket, release, keep, pins }: StopOptions,
  print: (text: string) => void,
): Promise<void> {
  try {
    const { instance, keeps } = await api.stop(keep);
    await directorEnd(instance);
    if (keeps) print('stopped, connections are kept for the next director\n');
    else print(keep ? `stopped, and nothing is kept: ${NOTHING_KEPT}\n` : 'stopped\n');
  } catch (error) {
    const { cause } = error as { cause?: NodeJS.ErrnoException };
    if (!release || !NOT_RUNNING.includes(cause?.code ?? '')) throw error;
  }
  if (!release) return;
  // Its programs forward packets before the guard sees them.
  const { removeOrphanedPaths } = await import('../../runtime/restart/orphaned-path.ts');
  for (const folder of await removeOrphanedPaths(pins)) print(`released: kernel path of ${folder}\n`);
  const { removeOrphanedTable } = await import('../../runtime/restart/live-table.ts');
  const files = await removeOrphanedTable();
  if (files !== undefined) print(`released: connection table of ${files}\n`);
  for (const table of await orphanedGuards()) {
    await releaseGuard(table, new Set());
    print(`released: table netdev ${table} and the VIPs of its director\n`);
  }
  if (instancesIn(unixSockets()).length === 0) await restoreAllMerging(dirname(socket), []);
}
