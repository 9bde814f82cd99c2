/**
 * The copy of a cluster's state on this host, with which a director starts while etcd cannot be reached: the configuration in
 * `generation-N.yaml`, and the rest in `cluster.json`. No other user can read them.
 */
import { chmodSync, mkdirSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { replaceableFolder } from '../../control/owned-folder.ts';
import type { GroupRole, HoldReason } from '../../model/cluster.ts';
import { LvsError } from '../../model/errors.ts';
import { replaceFileSync } from '../../sys/replace-file.ts';
import type { Log } from '../log.ts';

const OWNER_ONLY = 0o600;
const OWNER_ONLY_FOLDER = 0o700;
const VERSION = 1;
const FILE = /^generation-(\d{1,15})\.yaml$/;

export interface CopiedState {
  /** ID of the cluster that this director has joined. */
  readonly id: string;
  /** Identifies this copy; missing: no director has run with it. */
  readonly copy?: string;
  /** Generation that was applied last; 0: none. */
  readonly generation: number;
  /** This director announces nothing. */
  readonly held?: HoldReason;
  /** Value of the rules over the configuration, as in etcd. */
  readonly rules?: string;
  /** Roles in groups of VIPs, by their names. */
  readonly roles?: Readonly<Record<string, GroupRole>>;
}

/** `held` undefined: no longer. */
export type CopiedChanges = { readonly [K in keyof CopiedState]?: CopiedState[K] | undefined };

export class ClusterCopy {
  readonly #folder: string;
  #state: CopiedState | undefined;

  /** Opens the folder `state/CLUSTER`, and makes it if it is missing. Throws LvsError. */
  constructor(state: string, cluster: string) {
    this.#folder = join(state, cluster);
    try {
      mkdirSync(this.#folder, { recursive: true, mode: OWNER_ONLY_FOLDER });
      const replaceable = replaceableFolder(this.#folder);
      if (replaceable !== undefined)
        throw new Error(
          `another user can replace it: ${replaceable} must belong to this user or root, and not be writable for others`,
        );
      chmodSync(this.#folder, OWNER_ONLY_FOLDER);
    } catch (cause) {
      throw new LvsError('CONFIG', `folder ${this.#folder}: ${(cause as Error).message}`, { cause });
    }
    this.#state = this.#read();
  }

  /** Undefined: this host has joined no cluster. */
  get state(): CopiedState | undefined {
    return this.#state;
  }

  /** Path of the configuration of a generation. */
  path(generation: number): string {
    return join(this.#folder, `generation-${generation}.yaml`);
  }

  /** Writes the configuration of a generation, which is not in effect yet. Throws LvsError IO. */
  write(generation: number, text: string): string {
    const path = this.path(generation);
    this.#put(path, text);
    return path;
  }

  /** Writes a file for a short time. Throws LvsError IO. */
  writeCandidate(name: string, text: string): string {
    const path = join(this.#folder, `${name}.yaml`);
    this.#put(path, text);
    return path;
  }

  remove(path: string): void {
    rmSync(path, { force: true });
  }

  /** Changes the state. A new generation removes the others: before, one may have been written that is being applied. Throws LvsError IO. */
  save(parts: CopiedChanges): void {
    const { held, rules, ...rest } = { ...this.#state, ...parts };
    const state = { ...rest, ...(held && { held }), ...(rules !== undefined && { rules }) } as CopiedState;
    this.#put(join(this.#folder, 'cluster.json'), `${JSON.stringify({ version: VERSION, ...state })}\n`);
    this.#state = state;
    if (parts.generation === undefined) return;
    for (const name of readdirSync(this.#folder)) {
      const number = FILE.exec(name)?.[1];
      if (number !== undefined && Number(number) !== state.generation) this.remove(join(this.#folder, name));
    }
  }

  /** Like `save`: what cannot be written is logged. */
  trySave(parts: CopiedChanges, log: Log): void {
    try {
      this.save(parts);
    } catch (error) {
      if (!(error instanceof LvsError)) throw error;
      log('error', 'cluster-copy-failed', { error: error.message });
    }
  }

  #put(path: string, text: string): void {
    try {
      replaceFileSync(path, text, { mode: OWNER_ONLY });
    } catch (cause) {
      throw new LvsError('IO', `${path}: not written: ${(cause as Error).message}`, { cause });
    }
  }

  #read(): CopiedState | undefined {
    const path = join(this.#folder, 'cluster.json');
    let text: string;
    try {
      text = readFileSync(path, 'utf8');
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
      throw new LvsError('CONFIG', `${path}: ${(error as Error).message}`, { cause: error });
    }
    try {
      const { version, id, copy, generation, held, rules, roles = {} } = JSON.parse(text);
      const isHeld = held === undefined || held === 'paused' || held === 'evicted';
      const areRoles = Object.values(roles).every((role) => role === 'active' || role === 'spare');
      const isState = typeof id === 'string' && Number.isSafeInteger(generation) && isHeld && areRoles;
      if (version === VERSION && isState)
        return {
          ...{ id, generation, roles, ...(held && { held }) },
          ...(typeof copy === 'string' && { copy }),
          ...(typeof rules === 'string' && { rules }),
        };
    } catch {
      // Reported below.
    }
    throw new LvsError(
      'CONFIG',
      `${path}: invalid: expected what a director has written (remove it, and join again)`,
    );
  }
}
