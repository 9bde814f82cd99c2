/** Ends processes that were started with a mark in their environment, when the runs that they belong to have ended. */
import { readdir, readFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';

/** Searches for processes that were started while an earlier search ran. */
const MAX_SEARCHES = 3;
/** Minimum time between two searches, ms: each reads the environment of every process of the host. */
const SEARCH_INTERVAL_MS = 1000;

/**
 * Kills every process with NAME=value in the environment that it was started with (proc(5)), for the values of runs that
 * have ended. Processes of other users and those that replaced their environment are not found.
 */
export class MarkedProcesses {
  readonly #mark: string;
  #ended = new Set<string>();
  #isSearching = false;

  /** `name`: of the variable. */
  constructor(name: string) {
    this.#mark = `${name}=`;
  }

  /** The run with this value has ended: its processes are killed now, or after the search that runs. */
  end(value: string): void {
    this.#ended.add(value);
    if (!this.#isSearching) void this.#search();
  }

  async #search(): Promise<void> {
    this.#isSearching = true;
    try {
      while (this.#ended.size > 0) {
        const ended = this.#ended;
        this.#ended = new Set();
        for (let search = 0; search < MAX_SEARCHES && (await this.#kill(ended)) > 0; search++);
        await sleep(SEARCH_INTERVAL_MS, undefined, { ref: false });
      }
    } finally {
      this.#isSearching = false;
    }
  }

  /** Resolves with the number of processes that were found. */
  async #kill(ended: ReadonlySet<string>): Promise<number> {
    let found = 0;
    for (const name of await readdir('/proc').catch(() => [])) {
      if (!/^\d+$/.test(name) || !ended.has(await this.#valueOf(name))) continue;
      found++;
      try {
        process.kill(Number(name), 'SIGKILL');
      } catch {
        // It has ended, or is another user's.
      }
    }
    return found;
  }

  /** Resolves with the value of a process; '' if it has no mark. */
  async #valueOf(pid: string): Promise<string> {
    const environment = await readFile(`/proc/${pid}/environ`, 'latin1').catch(() => '');
    const line = environment.split('\0').find((each) => each.startsWith(this.#mark));
    return line?.slice(this.#mark.length) ?? '';
  }
}
