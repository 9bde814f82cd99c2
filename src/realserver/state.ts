/** Reads and writes the journal of the agent's changes, by which a later agent restores the host after a kill -9. */
import { mkdirSync, readFileSync, readlinkSync, rmSync } from 'node:fs';
import { dirname } from 'node:path';
import { LvsError } from '../model/errors.ts';
import { replaceFileSync } from '../sys/replace-file.ts';
import type { Made } from './change.ts';

const VERSION = 1;

export interface State {
  readonly version: typeof VERSION;
  /** The changes in the order in which they were made. */
  readonly made: readonly Made[];
}

/** Returns the number of the network namespace: hosts that share a file system have separate journals. */
const namespace = (): string => /\d+/.exec(readlinkSync('/proc/self/ns/net'))?.[0] ?? '0';

/** Returns the default path of the journal, in a directory that a reboot empties, as it undoes the changes. */
export const defaultStateFile = (): string => `/run/lvs/realserver-${namespace()}.json`;

/** Returns the changes that were not undone; none if there is no file. Throws LvsError IO for an unreadable journal. */
export function readState(file: string): readonly Made[] {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw new LvsError('IO', `${file}: ${(error as Error).message}`, { cause: error });
  }
  try {
    const state = JSON.parse(text) as State;
    if (state.version === VERSION && Array.isArray(state.made)) return state.made;
    throw new Error(`version ${state.version}`);
  } catch (cause) {
    const message = `${file}: not a journal of this program: ${(cause as Error).message} (inspect and remove it)`;
    throw new LvsError('IO', message, { cause });
  }
}

/** Replaces the journal atomically; removes it if there are no changes. */
export function writeState(file: string, made: readonly Made[]): void {
  if (made.length === 0) {
    rmSync(file, { force: true });
    return;
  }
  mkdirSync(dirname(file), { recursive: true });
  const state: State = { version: VERSION, made };
  replaceFileSync(file, `${JSON.stringify(state, null, 2)}\n`);
}
