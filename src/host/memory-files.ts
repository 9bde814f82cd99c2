/** Keeps arrays of a connection table in files of a tmpfs, which the next director maps again. */
import { lstatSync, statfsSync, truncateSync } from 'node:fs';
import { dirname } from 'node:path';
import { makeMemoryFile, openMemoryFile } from '../sys/memory-file.ts';
import type { System } from '../sys/system.ts';
import type { ArrayStore, KeptArray } from '../table/kept-memory.ts';
import type { RegionName } from '../table/memory.ts';
import { UnfitMemory } from '../table/unfit-memory.ts';
import {
  existingKeptFolder,
  folderProblem,
  type KeepingFileSystem,
  KeptFolder,
  openKeptFolder,
} from './kept-folder.ts';

/** Folder of the files of all network namespaces. */
export const MEMORY_FOLDER = '/dev/shm/lvs-director';

const TMPFS: KeepingFileSystem = {
  magic: 0x01021994,
  missing: 'no tmpfs (mount -t tmpfs tmpfs /dev/shm)',
  advice: 'mount the tmpfs of the host',
};

export class MemoryFiles extends KeptFolder implements ArrayStore<KeptArray> {
  readonly #system: System;

  /** Use `openMemoryFiles`. */
  constructor(system: System, folder: string) {
    super(folder);
    this.#system = system;
  }

  make(name: RegionName, bytes: number): KeptArray {
    this.remove(name);
    return arrayIn(makeMemoryFile(this.#system, this.pathOf(name), bytes).bytes);
  }

  /** Removes all files, and frees their memory although it is mapped: this process must not use it any more. */
  discard(): void {
    for (const name of this.names) {
      const path = this.pathOf(name);
      if (lstatSync(path).isFile()) truncateSync(path);
    }
    this.clear();
  }

  open(name: RegionName): KeptArray {
    try {
      return arrayIn(openMemoryFile(this.#system, this.pathOf(name)).bytes);
    } catch (error) {
      throw new UnfitMemory(`array ${name}: ${(error as Error).message}`);
    }
  }
}

const arrayIn = ({ buffer, byteOffset, length }: Uint8Array<ArrayBuffer>): KeptArray => ({
  bytes: length,
  region: { buffer, offset: byteOffset },
});

/**
 * Returns the files of this network namespace below `root`, and makes their folder unless it exists. Throws LvsError
 * UNAVAILABLE where there can be none, or where they would vanish with this process.
 */
export const openMemoryFiles = (system: System, root: string): MemoryFiles =>
  new MemoryFiles(system, openKeptFolder(system, root, TMPFS));

/** Returns why there can be no files of `bytes` bytes below `root`; undefined: there can be. */
export function memoryFilesProblem(system: System, root: string, bytes: number): string | undefined {
  const problem = folderProblem(system, root, TMPFS);
  if (problem !== undefined) return problem;
  const parent = dirname(root);
  const { bavail, bsize } = statfsSync(parent);
  const free = bavail * bsize;
  return free < bytes ? `${parent}: ${free} bytes are free: expected ${bytes}` : undefined;
}

/** Returns the files of this network namespace if there are any. */
export function existingMemoryFiles(system: System, root: string): MemoryFiles | undefined {
  const folder = existingKeptFolder(system, root, TMPFS);
  return folder === undefined ? undefined : new MemoryFiles(system, folder);
}
