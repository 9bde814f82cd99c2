/** Writes the /proc/net files of IPVS to a folder at intervals, for programs that read those of a kernel. */
import type { DirectorApi } from '../../control/director-api.ts';
import { ProcfsFolder } from '../../control/procfs-files.ts';

/** Time between two updates of the files of services and of connections, ms. */
const SERVICES_INTERVAL_MS = 1000;
const CONNECTIONS_INTERVAL_MS = 5000;

export interface ProcfsFiles {
  /** Removes the files. */
  close(): void;
}

/** Starts to write the files. Throws LvsError if the folder is not writable. */
export function startProcfsFiles(
  folder: string,
  api: DirectorApi,
  onError: (error: unknown) => void,
): ProcfsFiles {
  const files = new ProcfsFolder(folder, api);
  const timers = [
    repeat(SERVICES_INTERVAL_MS, () => files.writeServices(), onError),
    repeat(CONNECTIONS_INTERVAL_MS, () => files.writeConnections(), onError),
  ];
  return {
    close() {
      for (const timer of timers) clearInterval(timer);
      files.remove();
    },
  };
}

/** Runs `work` now and at intervals; skips a run while the last one is running. */
function repeat(interval: number, work: () => Promise<void>, onError: (error: unknown) => void) {
  let busy = false;
  const run = () => {
    if (busy) return;
    busy = true;
    work()
      .catch(onError)
      .finally(() => {
        busy = false;
      });
  };
  run();
  return setInterval(run, interval);
}
