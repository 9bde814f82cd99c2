/** Ends the processes that were started with a mark in their environment. */
import { readdir, readFile } from 'node:fs/promises';

/** Searches for processes that were started while an earlier search ran. */
const MAX_SEARCHES = 3;

/**
 * Kills every process with the line `variable` (NAME=value) in the environment that it was started with (proc(5)).
 * Processes of other users and those that replaced their environment are not found.
 */
export async function endProcesses(variable: string): Promise<void> {
  for (let search = 0; search < MAX_SEARCHES; search++) {
    let found = 0;
    for (const name of await readdir('/proc').catch(() => [])) {
      if (!/^\d+$/.test(name) || !(await hasVariable(name, variable))) continue;
      found++;
      try {
        process.kill(Number(name), 'SIGKILL');
      } catch {
        // It has ended, or is another user's.
      }
    }
    if (found === 0) return;
  }
}

async function hasVariable(pid: string, variable: string): Promise<boolean> {
  const environment = await readFile(`/proc/${pid}/environ`, 'latin1').catch(() => '');
  return environment.split('\0').includes(variable);
}
