/** `lvs-director stop`: ends the running director, and with --release removes what a killed one left on the host. */
import { dirname } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { ControlClient } from '../../control/client.ts';
import { instancesIn, unixSockets } from '../../host/director-instances.ts';
import { restoreAllMerging } from '../../host/merge-offloads.ts';
import { orphanedGuards, releaseGuard } from '../../host/orphaned-guards.ts';
import { LvsError } from '../../model/errors.ts';

const POLL_MS = 50;
/** A director that hangs is killed after 4 s. */
const END_TIMEOUT_MS = 10_000;
/** Errors of a socket without a director. */
const NOT_RUNNING = ['ENOENT', 'ECONNREFUSED'];

export interface StopOptions {
  readonly socket: string;
  readonly release: boolean;
  /** Folder of all pins. */
  readonly pins: string;
}

/** Throws LvsError if no director runs, unless it has to release, and if the director does not end. */
export async function stop(
  api: Pick<ControlClient, 'stop'>,
  { socket, release, pins }: StopOptions,
  print: (text: string) => void,
): Promise<void> {
  try {
    await ended(await api.stop());
    print('stopped\n');
  } catch (error) {
    const { cause } = error as { cause?: NodeJS.ErrnoException };
    if (!release || !NOT_RUNNING.includes(cause?.code ?? '')) throw error;
  }
  if (!release) return;
  // Its programs forward packets before the guard sees them.
  const { removeOrphanedPath } = await import('../../runtime/orphaned-path.ts');
  const folder = await removeOrphanedPath(pins);
  if (folder !== undefined) print(`released: kernel path of ${folder}\n`);
  for (const table of await orphanedGuards()) {
    await releaseGuard(table, new Set());
    print(`released: table netdev ${table} and the VIPs of its director\n`);
  }
  if (instancesIn(unixSockets()).length === 0) await restoreAllMerging(dirname(socket), []);
}

/** Resolves when the director has restored the host. */
async function ended(instance: string): Promise<void> {
  const deadline = performance.now() + END_TIMEOUT_MS;
  while (instancesIn(unixSockets()).includes(instance)) {
    if (performance.now() > deadline)
      throw new LvsError(
        'UNAVAILABLE',
        `director ${instance}: has not ended after ${END_TIMEOUT_MS / 1000} s`,
      );
    await sleep(POLL_MS);
  }
}
