/** Keeps the files of /proc/net in a folder, for programs that read a kernel's. */
import type { DirectorApi } from '../control/director-api.ts';
import { ProcfsFolder } from '../control/procfs-files.ts';

/** ms between two versions of the short files, and of the connections. */
const SHORT = 1000;
const CONNECTIONS = 5000;

export interface ProcfsFiles {
  /** Removes the files. */
  close(): void;
}

/** Throws LvsError where the folder cannot be written. */
export function keepProcfs(folder: string, api: DirectorApi, failed: (error: unknown) => void): ProcfsFiles {
  const files = new ProcfsFolder(folder, api);
  const timers = [
    repeated(SHORT, () => files.writeServices(), failed),
    repeated(CONNECTIONS, () => files.writeConnections(), failed),
  ];
  return {
    close() {
      for (const timer of timers) clearInterval(timer);
      files.remove();
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
