/** Determines the path of the control socket, and prepares its folder. */
import { lstatSync, mkdirSync } from 'node:fs';
import { dirname } from 'node:path';
import { LvsError } from '../model/errors.ts';
import { replaceableFolder } from './owned-folder.ts';

export const DEFAULT_SOCKET = '/run/lvs/director.sock';
/** Maximum length of the path of a unix socket without its terminating NUL, bytes (unix(7)). */
const MAX_PATH_BYTES = 107;

/** Returns the path in the variable LVS_SOCKET, or the default. */
export const socketPath = (environment: Readonly<Record<string, string | undefined>>): string =>
  environment['LVS_SOCKET'] || DEFAULT_SOCKET;

/** Creates the socket's folder if it is missing. Throws LvsError CONFIG if other users can replace files in it. */
export function prepareFolder(path: string): void {
  if (Buffer.byteLength(path) > MAX_PATH_BYTES)
    throw new LvsError(
      'CONFIG',
      `control socket ${path}: path too long: expected at most ${MAX_PATH_BYTES} bytes`,
    );
  const folder = dirname(path);
  mkdirSync(folder, { recursive: true, mode: 0o755 });
  const unsafe = replaceableFolder(folder);
  if (unsafe !== undefined)
    throw new LvsError(
      'CONFIG',
      `control socket ${path}: folder ${unsafe} is writable by other users: expected root or this user as its owner, and write permission for the owner only (chown, chmod go-w)`,
    );
}

/** Reports whether a socket exists at `path`. Throws LvsError CONFIG if the path is another kind of file. */
export function socketExists(path: string): boolean {
  const status = lstatSync(path, { throwIfNoEntry: false });
  if (status === undefined) return false;
  if (!status.isSocket())
    throw new LvsError(
      'CONFIG',
      `control socket ${path}: not a socket (remove the file, or pass another --socket)`,
    );
  return true;
}
