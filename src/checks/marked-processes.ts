/** Ends processes that were started with a mark in their environment, when the runs that they belong to have ended. */
import { readdirSync, readFileSync } from 'node:fs';
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

  /**
   * Kills the processes of all runs whose values begin with `prefix`, before it returns: for the end of this process, which a
   * search would not outlive.
   */
  endAll(prefix: string): void {
    const isFound = (pid: string) => this.#valueIn(environmentOf(pid)).startsWith(prefix);
    for (let search = 0; search < MAX_SEARCHES; search++) {
      const found = processes(readdirSync('/proc')).filter(isFound);
      if (found.length === 0) return;
      for (const pid of found) kill(pid);
    }
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
    for (const pid of processes(await readdir('/proc').catch(() => []))) {
      const environment = await readFile(`/proc/${pid}/environ`, 'latin1').catch(() => '');
      if (!ended.has(this.#valueIn(environment))) continue;
      found++;
      kill(pid);
    }
    return found;
  }

  /** Returns the value of a process by its environment; '' if it has no mark. */
  #valueIn(environment: string): string {
    const line = environment.split('\0').find((each) => each.startsWith(this.#mark));
    return line?.slice(this.#mark.length) ?? '';
  }
}

/** The names of processes in /proc. */
const processes = (names: readonly string[]): string[] => names.filter((name) => /^\d+$/.test(name));

function environmentOf(pid: string): string {
  try {
    return readFileSync(`/proc/${pid}/environ`, 'latin1');
  } catch {
    // It has ended, or is another user's.
    return '';
  }
}

function kill(pid: string): void {
  try {
    process.kill(Number(pid), 'SIGKILL');
  } catch {
    // It has ended, or is another user's.
  }
}
