/** The folder of a bpf file system that keeps a kernel path while no director runs: its arrays, programs and links. */
import type { Bpf } from '../ebpf/bpf.ts';
import { openPin, pin } from '../ebpf/pin.ts';
import {
  existingKeptFolder,
  folderProblem,
  type KeepingFileSystem,
  KeptFolder,
  openKeptFolder,
} from '../host/kept-folder.ts';
import { BPF_FS_MAGIC } from '../host/pins-folders.ts';

const BPF_FILE_SYSTEM: KeepingFileSystem = {
  magic: BPF_FS_MAGIC,
  missing: 'no bpf file system (mount -t bpf bpf /sys/fs/bpf)',
  advice: 'enter the namespace without a new /sys, or mount a bpf file system elsewhere and pass --pins',
};

export class Pins extends KeptFolder {
  readonly #bpf: Bpf;

  /** Use `openPins`. */
  constructor(bpf: Bpf, folder: string) {
    super(folder);
    this.#bpf = bpf;
  }

  /** Keeps what the descriptor refers to, instead of what had the name. Names have no dots. Throws SystemCallError. */
  keep(name: string, descriptor: number): void {
    this.remove(name);
    pin(this.#bpf, descriptor, this.pathOf(name));
  }

  /** Returns a descriptor of what has the name. Throws SystemCallError. */
  open(name: string): number {
    return openPin(this.#bpf, this.pathOf(name));
  }

  /** Removes everything, links first: no program finds an empty program array. The kernel frees what no process has open. */
  override clear(): void {
    for (const name of this.names) if (name.startsWith('link')) this.remove(name);
    super.clear();
  }
}

/**
 * Opens the folder of this network namespace below `root`, and makes it unless it exists. Throws LvsError UNAVAILABLE with
 * the reason where pins cannot be kept, or would vanish with this process.
 */
export const openPins = (bpf: Bpf, root: string): Pins =>
  new Pins(bpf, openKeptFolder(bpf.system, root, BPF_FILE_SYSTEM));

/** Returns why nothing can be pinned below `root`; undefined: it can. */
export const pinsProblem = (bpf: Bpf, root: string): string | undefined =>
  folderProblem(bpf.system, root, BPF_FILE_SYSTEM);

/** Returns the folder of this network namespace if it exists; undefined: nothing is kept. */
export function existingPins(bpf: Bpf, root: string): Pins | undefined {
  const folder = existingKeptFolder(bpf.system, root, BPF_FILE_SYSTEM);
  return folder === undefined ? undefined : new Pins(bpf, folder);
}
