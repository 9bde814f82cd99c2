/** Where the control socket is, and a folder for it that only its owner can write to. */
import { lstatSync, mkdirSync } from 'node:fs';
import { dirname } from 'node:path';
import { LvsError } from '../model/errors.ts';
import { isOwnersAlone } from './owned-folder.ts';

export const DEFAULT_SOCKET = '/run/lvs/director.sock';
/** Octets of a unix socket's path, its end excluded (unix(7)). */
const LONGEST_PATH = 107;

/** The socket that is meant when none is named: the variable LVS_SOCKET, or the default. */
export const socketPath = (environment: Readonly<Record<string, string | undefined>>): string =>
  environment['LVS_SOCKET'] || DEFAULT_SOCKET;

/** Makes the socket's folder where it is missing. Throws an LvsError where somebody else could replace what is in it. */
export function prepareFolder(path: string): void {
  if (Buffer.byteLength(path) > LONGEST_PATH)
    throw new LvsError('CONFIG', `control socket ${path}: its path is longer than ${LONGEST_PATH} octets`);
  const folder = dirname(path);
  mkdirSync(folder, { recursive: true, mode: 0o755 });
  if (!isOwnersAlone(folder))
    throw new LvsError(
      'CONFIG',
      `control socket ${path}: others can write to ${folder}; give it a folder that only its owner can write to (chmod go-w)`,
    );
}

/** True when there is a socket at `path`; false when there is nothing. Throws an LvsError for anything else. */
export function isSocketThere(path: string): boolean {
  const status = lstatSync(path, { throwIfNoEntry: false });
  if (status === undefined) return false;
  if (!status.isSocket())
    throw new LvsError('CONFIG', `control socket ${path}: there is something else than a socket`);
  return true;
}
