/** Keeps net/ip_vs, net/ip_vs_conn and net/ip_vs_stats in a folder, for programs that read a kernel's. */
import { mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { open, rename } from 'node:fs/promises';
import { join } from 'node:path';
import type { DirectorDoor } from '../control/door.ts';
import { LvsError } from '../model/errors.ts';
import { CONNECTIONS_HEAD, procConnection, procServices, procStats } from './procfs.ts';

/** ms between two versions of the short files, and of the connections. */
const SHORT = 1000;
const CONNECTIONS = 5000;

export interface ProcfsFiles {
  /** Removes the files. */
  close(): void;
}

/** Every file is whole at any time: it is replaced, not rewritten. Throws LvsError where the folder cannot be written. */
export function keepProcfs(
  folder: string,
  door: DirectorDoor,
  failed: (error: unknown) => void,
): ProcfsFiles {
  const net = join(folder, 'net');
  const path = (name: string) => join(net, name);
  const next = (name: string) => join(net, `.${name}.new`);
  const replace = (name: string, text: string) => {
    writeFileSync(next(name), text);
    renameSync(next(name), path(name));
  };
  const writeShort = async () => {
    const snapshot = await door.snapshot({ services: true });
    replace('ip_vs', procServices(snapshot));
    replace('ip_vs_stats', procStats(snapshot));
  };
  const writeConnections = async () => {
    const file = await open(next('ip_vs_conn'), 'w');
    try {
      await file.write(CONNECTIONS_HEAD);
      for await (const chunk of door.connections()) await file.write(chunk.map(procConnection).join(''));
    } finally {
      await file.close();
    }
    await rename(next('ip_vs_conn'), path('ip_vs_conn'));
  };
  try {
    mkdirSync(net, { recursive: true });
    replace('ip_vs_conn', CONNECTIONS_HEAD);
  } catch (cause) {
    throw new LvsError('IO', `${net}: ${(cause as Error).message}`, { cause });
  }
  const timers = [repeated(SHORT, writeShort, failed), repeated(CONNECTIONS, writeConnections, failed)];
  return {
    close() {
      for (const timer of timers) clearInterval(timer);
      for (const name of ['ip_vs', 'ip_vs_stats', 'ip_vs_conn'])
        for (const file of [path(name), next(name)]) rmSync(file, { force: true });
    },
  };
}

/** Now and at intervals, never twice at a time. */
function repeated(interval: number, work: () => Promise<void>, failed: (error: unknown) => void) {
  let busy = false;
  const run = () => {
    if (busy) return;
    busy = true;
    work()
      .catch(failed)
      .finally(() => {
        busy = false;
      });
  };
  run();
  return setInterval(run, interval);
}
