/**
 * A folder for what outlives a director: pins of a kernel path, or files of memory. Each network namespace has one, named by the
 * cookie of the namespace.
 */
import {
  accessSync,
  closeSync,
  constants,
  existsSync,
  fstatSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  rmdirSync,
  rmSync,
  type Stats,
  statfsSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { LvsError } from '../model/errors.ts';
import { networkNamespaceCookie } from '../sys/network-namespace.ts';
import type { System } from '../sys/system.ts';

const OWNER_ONLY = 0o700;
const OTHERS = 0o077;
/* flock(2), include/uapi/asm-generic/fcntl.h */
const LOCK_EXCLUSIVE_NOW = 2 | 4;

/** The kind of file system that has the folders. */
export interface KeepingFileSystem {
  /** Type that statfs(2) returns (include/uapi/linux/magic.h). */
  readonly magic: number;
  /** What is missing where the type is another one, and what to do about it. */
  readonly missing: string;
  /** What to do where the mount is private to the process. */
  readonly advice: string;
}

export class KeptFolder {
  readonly folder: string;
  #lock = -1;

  /** Use `openKeptFolder` or `existingKeptFolder`. */
  constructor(folder: string) {
    this.folder = folder;
  }

  /** The names of what is kept. */
  get names(): readonly string[] {
    return existsSync(this.folder) ? readdirSync(this.folder) : [];
  }

  pathOf(name: string): string {
    return join(this.folder, name);
  }

  has(name: string): boolean {
    return existsSync(this.pathOf(name));
  }

  /** Ceases to keep what has the name. */
  remove(name: string): void {
    rmSync(this.pathOf(name), { recursive: true, force: true });
  }

  /** Removes everything that is kept. */
  clear(): void {
    for (const name of this.names) this.remove(name);
  }

  /** Removes everything, and the folder. */
  removeAll(): void {
    this.clear();
    if (existsSync(this.folder)) rmdirSync(this.folder);
    this.unlock();
  }

  /** Locks the folder for this process, until `unlock` or its end. Returns false if another process has it. */
  lock(system: System): boolean {
    for (;;) {
      makeFolder(this.folder);
      const descriptor = openSync(
        this.folder,
        constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW,
      );
      const isLocked = system.flock(descriptor, LOCK_EXCLUSIVE_NOW) >= 0;
      const status = lstatSync(this.folder, { throwIfNoEntry: false });
      if (isLocked && status?.ino === fstatSync(descriptor).ino) {
        this.#lock = descriptor;
        return true;
      }
      closeSync(descriptor);
      // Otherwise the process before has removed the folder.
      if (!isLocked) return false;
    }
  }

  unlock(): void {
    if (this.#lock >= 0) closeSync(this.#lock);
    this.#lock = -1;
  }
}

/**
 * Returns the folder of this network namespace below `root`, and makes it unless it exists. Throws LvsError UNAVAILABLE with the
 * reason where nothing can be kept, or where it would vanish with this process.
 */
export function openKeptFolder(system: System, root: string, fileSystem: KeepingFileSystem): string {
  try {
    const folder = folderOf(system, root);
    // Another user may make them at the same time.
    const check = () => {
      const problem = folderProblem(system, root, fileSystem);
      if (problem !== undefined) throw new LvsError('UNAVAILABLE', problem);
    };
    for (const each of [root, folder]) {
      check();
      makeFolder(each);
    }
    check();
    // The file system may be read-only, and the folder an earlier one.
    const trial = join(folder, `trial-${process.pid}`);
    mkdirSync(trial, { mode: OWNER_ONLY });
    rmdirSync(trial);
    return folder;
  } catch (cause) {
    if (cause instanceof LvsError) throw cause;
    throw new LvsError('UNAVAILABLE', `${root}: ${(cause as Error).message}`, { cause });
  }
}

/** Returns why nothing can be kept below `root`, or would vanish with this process; undefined: it can. Changes nothing. */
export function folderProblem(
  system: System,
  root: string,
  { magic, missing, advice }: KeepingFileSystem,
): string | undefined {
  try {
    const parent = existsSync(root) ? root : dirname(root);
    if (!isOf(parent, magic)) return `${parent}: ${missing}`;
    const foreign = [root, folderOf(system, root)].find((folder) => existsSync(folder) && !isOurs(folder));
    if (foreign !== undefined) return `${foreign}: not a folder of this user alone (remove it)`;
    if (!isShared(lstatSync(parent))) return `${parent}: mounted for this process alone (${advice})`;
    accessSync(parent, constants.W_OK | constants.X_OK);
    return undefined;
  } catch (error) {
    return `${root}: ${(error as Error).message}`;
  }
}

/** Returns the folder of this network namespace. Throws SystemCallError. */
const folderOf = (system: System, root: string): string => join(root, `${networkNamespaceCookie(system)}`);

/** Returns the folder of this network namespace if it exists; undefined: nothing is kept. */
export function existingKeptFolder(
  system: System,
  root: string,
  { magic }: KeepingFileSystem,
): string | undefined {
  try {
    const folder = folderOf(system, root);
    return existsSync(folder) && isOf(folder, magic) ? folder : undefined;
  } catch {
    return undefined;
  }
}

const isOf = (path: string, magic: number): boolean => existsSync(path) && statfsSync(path).type === magic;

function makeFolder(path: string): void {
  if (!existsSync(path)) mkdirSync(path, { mode: OWNER_ONLY });
}

function isOurs(folder: string): boolean {
  const status = lstatSync(folder);
  return status.isDirectory() && status.uid === process.geteuid?.() && (status.mode & OTHERS) === 0;
}

/** Reports whether the first process has the file system mounted, so that it outlives this one's mounts. */
function isShared({ dev }: Stats): boolean {
  const major = (dev >>> 8) & 0xfff;
  const minor = (dev & 0xff) | ((dev >>> 12) & 0xfff00);
  try {
    return readFileSync('/proc/1/mountinfo', 'latin1').includes(` ${major}:${minor} `);
  } catch {
    // Processes of others are hidden here.
    return true;
  }
}
