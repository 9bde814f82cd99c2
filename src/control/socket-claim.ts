/** Takes the control socket's name for one director alone: two that start at once do not both get it. */
import {
  chmodSync,
  chownSync,
  linkSync,
  lstatSync,
  mkdtempSync,
  renameSync,
  rmSync,
  unlinkSync,
} from 'node:fs';
import { connect, type Server } from 'node:net';
import { dirname, join } from 'node:path';
import { LvsError } from '../model/errors.ts';
import { isSocketThere, prepareFolder } from './socket-path.ts';

/** A name that is held. */
export interface SocketClaim {
  /** Removes the name, if it is still this director's. */
  release(): void;
}

const OWNER_ONLY = 0o600;
const OWNER_AND_GROUP = 0o660;
/** A stale socket is taken away at most so often; more means that somebody else does the same. */
const ATTEMPTS = 10;

/**
 * Makes `server` listen at `path`. The socket is made in a private folder, gets its permissions there, and then its
 * name by link(2), which fails where the name is taken: by a director that answers, or by a stale socket, which goes.
 */
export async function claimSocket(server: Server, path: string, group?: number): Promise<SocketClaim> {
  let folder: string | undefined;
  try {
    prepareFolder(path);
    folder = mkdtempSync(join(dirname(path), '.s-'));
    const own = join(folder, 's');
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(own, () => {
        server.off('error', reject);
        resolve();
      });
    });
    chmodSync(own, group === undefined ? OWNER_ONLY : OWNER_AND_GROUP);
    if (group !== undefined) chownSync(own, -1, group);
    const identity = identityOf(own);
    await takeName(own, path);
    return {
      release: () => {
        if (identityOf(path) === identity) rmSync(path, { force: true });
      },
    };
  } catch (error) {
    server.close();
    if (error instanceof LvsError) throw error;
    throw new LvsError('IO', `control socket ${path}: ${(error as Error).message}`, { cause: error });
  } finally {
    if (folder !== undefined) rmSync(folder, { recursive: true, force: true });
  }
}

async function takeName(own: string, path: string): Promise<void> {
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    try {
      linkSync(own, path);
      return;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    }
    await removeStale(path);
  }
  throw new LvsError('IO', `control socket ${path}: other directors start and stop there all the time`);
}

/** Removes a socket that nobody listens on. Throws an LvsError when somebody does. */
async function removeStale(path: string): Promise<void> {
  if (!isSocketThere(path)) return;
  const identity = identityOf(path);
  if (await answers(path))
    throw new LvsError(
      'UNAVAILABLE',
      `control socket ${path}: another director listens there; stop it, or give this one another --socket`,
    );
  const aside = `${path}.${process.pid}`;
  try {
    renameSync(path, aside);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return; // somebody else removed it
    throw error;
  }
  if (identityOf(aside) !== identity) linkSync(aside, path); // a new one had come in between
  unlinkSync(aside);
}

/** True when a connection is accepted, or would be if there were room. */
function answers(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path);
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', ({ code }: NodeJS.ErrnoException) =>
      resolve(code !== 'ECONNREFUSED' && code !== 'ENOENT'),
    );
  });
}

/** Tells a file from another one that came later under the same name: numbers of inodes are used again. */
function identityOf(path: string): string | undefined {
  const status = lstatSync(path, { bigint: true, throwIfNoEntry: false });
  return status && `${status.dev}:${status.ino}:${status.birthtimeNs}`;
}
