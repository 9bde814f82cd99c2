/** The journal of what the agent changed, so that a later agent can put it back after a kill -9. */
import { mkdirSync, readFileSync, readlinkSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { LvsError } from '../model/errors.ts';
import type { Made } from './change.ts';

const VERSION = 1;

export interface State {
  readonly version: typeof VERSION;
  /** In the order in which they were made. */
  readonly made: readonly Made[];
}

/** The network namespace's number: hosts that share a file system do not share a journal. */
const namespace = (): string => /\d+/.exec(readlinkSync('/proc/self/ns/net'))?.[0] ?? '0';

/** Gone after a restart of the machine, as are the changes. */
export const defaultStateFile = (): string => `/run/lvs/realserver-${namespace()}.json`;

/** What was changed and not put back; empty when there is no file. */
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
    const why = `${file} is no journal of this program (${(cause as Error).message}): look at it, then remove it`;
    throw new LvsError('IO', why, { cause });
  }
}

/** Replaces the journal in one step; an empty one is removed. */
export function writeState(file: string, made: readonly Made[]): void {
  if (made.length === 0) {
    rmSync(file, { force: true });
    return;
  }
  mkdirSync(dirname(file), { recursive: true });
  const state: State = { version: VERSION, made };
  writeFileSync(`${file}.new`, `${JSON.stringify(state, null, 2)}\n`);
  renameSync(`${file}.new`, file);
}
