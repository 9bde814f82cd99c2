/** Files of a tmpfs as memory: processes that map them share it, and it outlives them. */
import { closeSync, constants, fstatSync, openSync } from 'node:fs';
import { type Block, share } from './memory.ts';
import type { System } from './system.ts';
import { succeeded } from './system-call-error.ts';

const OWNER_ONLY = 0o600;
const PERMISSIONS = 0o7777;

/**
 * Makes a file of `bytes` zeros and maps it for the lifetime of the process. All of its memory is reserved, because an access
 * without memory would end the process (SIGBUS). Throws SystemCallError: ENOSPC, and errors of open(2): EEXIST.
 */
export function makeMemoryFile(system: System, path: string, bytes: number): Block {
  const descriptor = openSync(path, constants.O_RDWR | constants.O_CREAT | constants.O_EXCL, OWNER_ONLY);
  return mapped(system, descriptor, bytes);
}

/**
 * Maps a file that another process of this user has made. Only this user and root can shorten it afterwards. Throws an
 * Error if another user could, or if it is no regular file or has no bytes, and errors of open(2) and SystemCallError.
 */
export function openMemoryFile(system: System, path: string): Block {
  const descriptor = openSync(path, constants.O_RDWR | constants.O_NOFOLLOW);
  const { uid, mode, nlink, size } = fstatSync(descriptor);
  const problem =
    (mode & constants.S_IFMT) !== constants.S_IFREG
      ? 'not a regular file'
      : uid !== process.geteuid?.()
        ? 'of another user'
        : (mode & PERMISSIONS) !== OWNER_ONLY || nlink !== 1
          ? 'accessible to other users'
          : size === 0
            ? 'empty'
            : undefined;
  if (problem === undefined) return mapped(system, descriptor, size);
  closeSync(descriptor);
  throw new Error(problem);
}

/** The mapping remains when the descriptor is closed. */
function mapped(system: System, descriptor: number, bytes: number): Block {
  try {
    // Of a file that exists, holes.
    succeeded('fallocate', system.fallocate(descriptor, 0, 0, bytes));
    return share(system, descriptor, bytes);
  } finally {
    closeSync(descriptor);
  }
}
