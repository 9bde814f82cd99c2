/**
 * The folder of a bpf file system that keeps a kernel path while no director runs: its arrays, programs and links. Each
 * network namespace has one, named by the cookie of the namespace.
 */
import { existsSync, mkdirSync, readdirSync, readFileSync, rmdirSync, statSync, unlinkSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { Bpf } from '../ebpf/bpf.ts';
import { openPin, pin } from '../ebpf/pin.ts';
import { isBpfFileSystem } from '../host/pins-folders.ts';
import { LvsError } from '../model/errors.ts';
import { networkNamespaceCookie } from '../sys/network-namespace.ts';

const OWNER_ONLY = 0o700;
const OTHERS = 0o077;

export class Pins {
  readonly folder: string;
  readonly #bpf: Bpf;

  /** Use `openPins`. */
  constructor(bpf: Bpf, folder: string) {
    this.#bpf = bpf;
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

  /** Keeps what the descriptor refers to, instead of what had the name. Names have no dots. Throws SystemCallError. */
  keep(name: string, descriptor: number): void {
    this.remove(name);
    pin(this.#bpf, descriptor, this.pathOf(name));
  }

  /** Returns a descriptor of what has the name. Throws SystemCallError. */
  open(name: string): number {
    return openPin(this.#bpf, this.pathOf(name));
  }

  /** Ceases to keep it: the kernel detaches a link, and frees an array, when no process has it open. */
  remove(name: string): void {
    if (this.has(name)) unlinkSync(this.pathOf(name));
  }

  /** Removes everything, links first: no program finds an empty program array. */
  clear(): void {
    const { names } = this;
    const links = names.filter((name) => name.startsWith('link'));
    for (const name of [...links, ...names.filter((each) => !links.includes(each))]) this.remove(name);
  }

  /** Removes everything, and the folder. */
  removeAll(): void {
    this.clear();
    if (existsSync(this.folder)) rmdirSync(this.folder);
  }
}

/**
 * Opens the folder of this network namespace below `root`, and makes it unless it exists. Throws LvsError UNAVAILABLE with
 * the reason where pins cannot be kept, or would vanish with this process.
 */
export function openPins(bpf: Bpf, root: string): Pins {
  try {
    const parent = existsSync(root) ? root : dirname(root);
    if (!isBpfFileSystem(parent))
      throw new LvsError('UNAVAILABLE', `${parent}: no bpf file system (mount -t bpf bpf /sys/fs/bpf)`);
    makeFolder(root);
    if (!isShared(root))
      throw new LvsError(
        'UNAVAILABLE',
        `${root}: mounted for this process alone (enter the namespace without a new /sys, or mount a bpf file system elsewhere and pass --pins)`,
      );
    const folder = join(root, `${networkNamespaceCookie(bpf.system)}`);
    makeFolder(folder);
    const { uid, mode } = statSync(folder);
    if (uid !== process.geteuid?.() || (mode & OTHERS) !== 0)
      throw new LvsError('UNAVAILABLE', `${folder}: other users have access (remove the folder)`);
    return new Pins(bpf, folder);
  } catch (cause) {
    if (cause instanceof LvsError) throw cause;
    throw new LvsError('UNAVAILABLE', `${root}: ${(cause as Error).message}`, { cause });
  }
}

/** Returns the folder of this network namespace if it exists; undefined: nothing is kept. */
export function existingPins(bpf: Bpf, root: string): Pins | undefined {
  try {
    const folder = join(root, `${networkNamespaceCookie(bpf.system)}`);
    return existsSync(folder) && isBpfFileSystem(folder) ? new Pins(bpf, folder) : undefined;
  } catch {
    return undefined;
  }
}

function makeFolder(path: string): void {
  if (!existsSync(path)) mkdirSync(path, { mode: OWNER_ONLY });
}

/** Reports whether the first process has the file system mounted, so that it outlives this one's mounts. */
function isShared(path: string): boolean {
  const { dev } = statSync(path);
  const major = (dev >>> 8) & 0xfff;
  const minor = (dev & 0xff) | ((dev >>> 12) & 0xfff00);
  try {
    return readFileSync('/proc/1/mountinfo', 'latin1').includes(` ${major}:${minor} `);
  } catch {
    // Processes of others are hidden here.
    return true;
  }
}
