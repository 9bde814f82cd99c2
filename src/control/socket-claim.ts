/** Claims the path of the control socket for one director, even if several start at the same time. */
import {
  chmodSync,
  chownSync,
  linkSync,
  lstatSync,
  mkdtempSync,
  readdirSync,
  renameSync,
  rmSync,
  unlinkSync,
} from 'node:fs';
import { connect, type Server } from 'node:net';
import { dirname, join } from 'node:path';
import { LvsError } from '../model/errors.ts';
import { prepareFolder, socketExists } from './socket-path.ts';

/** A claimed path. */
export interface SocketClaim {
  /** Removes the socket, if it still belongs to this director. */
  release(): void;
}

const OWNER_ONLY = 0o600;
const OWNER_AND_GROUP = 0o660;
/** Maximum number of stale sockets that are removed; more means that another process keeps re-creating them. */
const MAX_ATTEMPTS = 10;

/** Beginning of the name of a private folder. */
const PRIVATE_PREFIX = '.s-';
/** ms after which a private folder without a socket is not one of a director that starts now. */
const STRAY_MS = 10_000;

/** Removes the private folders that directors left behind when they were killed at their start. */
async function removeStrayFolders(parent: string): Promise<void> {
  for (const name of readdirSync(parent)) {
    const folder = join(parent, name);
    const isPrivate = name.startsWith(PRIVATE_PREFIX);
    const status = isPrivate ? lstatSync(folder, { throwIfNoEntry: false }) : undefined;
    if (!status?.isDirectory()) continue;
    const socket = join(folder, 's');
    const hasSocket = lstatSync(socket, { throwIfNoEntry: false }) !== undefined;
    if (hasSocket ? await answers(socket) : Date.now() - status.mtimeMs < STRAY_MS) continue;
    rmSync(folder, { recursive: true, force: true });
  }
}

/**
 * Makes `server` listen at `path`. Creates the socket in a private folder, sets its permissions there, and links it to
 * its path. link(2) fails if the path exists: a stale socket is then removed, and a director that answers is an error.
 */
export async function claimSocket(server: Server, path: string, group?: number): Promise<SocketClaim> {
  let folder: string | undefined;
  try {
    prepareFolder(path);
    await removeStrayFolders(dirname(path));
    folder = mkdtempSync(join(dirname(path), PRIVATE_PREFIX));
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
  for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
    try {
      linkSync(own, path);
      return;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    }
    await removeStale(path);
  }
  throw new LvsError(
    'IO',
    `control socket ${path}: another process keeps re-creating it: gave up after ${MAX_ATTEMPTS} attempts`,
  );
}

/** Removes a socket without a listener. Throws LvsError UNAVAILABLE if a director listens on it. */
async function removeStale(path: string): Promise<void> {
  if (!socketExists(path)) return;
  const identity = identityOf(path);
  if (await answers(path))
    throw new LvsError(
      'UNAVAILABLE',
      `control socket ${path}: already in use by another director (stop it, or pass another --socket)`,
    );
  const aside = `${path}.${process.pid}`;
  try {
    renameSync(path, aside);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return; // another process removed it
    throw error;
  }
  if (identityOf(aside) !== identity) linkSync(aside, path); // another process had replaced it
  unlinkSync(aside);
}

/** Resolves with whether a process listens on the socket, even if its backlog is full. */
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

/** Returns an identity that differs for a later file of the same name. Inode numbers alone are reused. */
function identityOf(path: string): string | undefined {
  const status = lstatSync(path, { bigint: true, throwIfNoEntry: false });
  return status && `${status.dev}:${status.ino}:${status.birthtimeNs}`;
}
