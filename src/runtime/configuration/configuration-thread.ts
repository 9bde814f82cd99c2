/** Reads and checks a configuration file, and plans its reload, in a separate thread. It is kept for a while for the next file. */
import { Worker } from 'node:worker_threads';
import type { Policy } from '../../checks/policy.ts';
import type { Watched } from '../../checks/watch.ts';
import type { AnnounceDocument, RestartDocument, TakeoverDocument } from '../../config/document.ts';
import type { Rule } from '../../config/reload/applied-state.ts';
import type { CheckDigests } from '../../config/reload/check-digests.ts';
import type { Drain } from '../../config/reload/reconcile.ts';
import type { VipAddress } from '../../host/vip-addresses.ts';
import type { AccessEntry } from '../../model/access-list.ts';
import type { Command } from '../../model/command.ts';
import type { ListedService } from '../../model/entity-name.ts';
import { type ErrorCode, LvsError } from '../../model/errors.ts';
import type { ProgramUser } from '../../model/notify.ts';
import type { Snapshot } from '../../model/snapshot.ts';
import type { Joinable } from '../join/joinable.ts';
import type { ListDigests } from './access-files.ts';
import type { LoadedJoin, LoadedSync } from './configuration.ts';
import type { Packed } from './packed.ts';

/** Maximum time to read the file, ms: it may be on a network file system. */
const READ_MS = 20_000;
/** Maximum time of everything else, ms: starting the thread, parsing, planning. Slow hosts need minutes. */
const WORK_MS = 300_000;
/** ms for which a thread without work is kept: starting one takes longer than most files. */
const KEEP_MS = 60_000;
/** Maximum number of threads that were terminated and still run. */
const MAX_ENDING = 4;
/** MiB of the thread's heap. A file that needs more ends the thread, not the director. */
const HEAP_MIB = 1024;

/** A configuration file that was read and has no errors. */
export interface ReadConfiguration {
  /** The commands that configure a director without rules. */
  readonly commands: Packed<Command>;
  readonly watched: Packed<Watched>;
  readonly policies: Packed<Policy>;
  /** Names and order of services and servers. */
  readonly listed: Packed<ListedService>;
  readonly checks: CheckDigests;
  /** Entries of deny and allow lists, and what they are. */
  readonly access: Packed<AccessEntry>;
  readonly lists: ListDigests;
  /** Programs of notify run as this user. Missing: as that of this process. */
  readonly programUser?: ProgramUser;
  readonly vips: readonly VipAddress[];
  /** Interfaces that receive packets of services, from clients and from real servers. */
  readonly interfaces: readonly string[];
  readonly sync?: LoadedSync;
  readonly join?: LoadedJoin;
  /** Services that servers may join. */
  readonly joinable: Packed<Joinable>;
  readonly announce?: AnnounceDocument;
  readonly takeover?: TakeoverDocument;
  readonly warnings: readonly string[];
  /** The number of services. */
  readonly services: number;
  readonly adopt: 'keep' | 'replace';
  /** Seconds for which removed destinations keep their connections. */
  readonly drain: number;
  readonly restart: RestartDocument;
  /** Equal for files with the same effect. */
  readonly digest: string;
}

/** The state from which a reload starts. */
export interface PlanRequest {
  readonly running: Packed<Rule>;
  readonly snapshot: Pick<Snapshot, 'settings' | 'timeouts' | 'daemons'>;
  /** Commands of the file that was applied before. */
  readonly commands: Packed<Command>;
  readonly draining: Packed<Drain>;
}

export interface ReloadPlan {
  readonly commands: Packed<Command>;
  readonly drains: Packed<Drain>;
  /** Manual changes, as text. */
  readonly manualChanges: readonly string[];
}

export type Answer =
  | { readonly value: ReadConfiguration | ReloadPlan }
  | { readonly error: { readonly code: ErrorCode; readonly message: string } };

/** Asks the thread to read a file. */
export interface OpenRequest {
  readonly open: string;
}

/** Sent when the thread begins to read the file, and when it has read it. */
export interface Phase {
  readonly phase: 'reading' | 'working';
}

/** A file that was read, and its thread, which runs until this is disposed. */
export interface OpenConfiguration extends ReadConfiguration, Disposable {
  plan(from: PlanRequest): Promise<ReloadPlan>;
}

/** Returns the part of a configuration that remains after its thread has ended. */
export function configurationOf(opened: OpenConfiguration): ReadConfiguration {
  const { plan: _plan, [Symbol.dispose]: _dispose, ...read } = opened;
  return read;
}

/** The thread's program. */
const WORKER = new URL('./configuration-worker.js', import.meta.url);

/** Threads that were terminated and still run: one of their system calls hangs, as it would in the next thread. */
const ending = new Set<Worker>();

/**
 * Reads a configuration file in a thread. Throws LvsError CONFIG with every error of the file, UNAVAILABLE after a
 * timeout.
 */
export async function openConfiguration(
  path: string,
  worker = WORKER,
  timeout = READ_MS,
): Promise<OpenConfiguration> {
  if (ending.size >= MAX_ENDING)
    throw new LvsError('UNAVAILABLE', `${path}: cannot be read: earlier reads still hang in the kernel`);
  const thread = (worker === WORKER && Thread.reuse(path, timeout)) || new Thread(path, worker, timeout);
  try {
    const read = (await thread.answer()) as ReadConfiguration;
    return {
      ...read,
      plan: (from) => thread.ask(from) as Promise<ReloadPlan>,
      [Symbol.dispose]: () => thread.leave(),
    };
  } catch (error) {
    thread.leave();
    throw error;
  }
}

class Thread {
  /** The thread without work that is kept. */
  static #idle: Thread | undefined;
  #path: string;
  readonly #program: URL;
  readonly #worker: Worker;
  #timeout: number;
  #settle: ((answer: Answer | Error) => void) | undefined;
  #ended: Error | undefined;
  /** It may still work on what it was asked. */
  #isLate = false;
  #timer: NodeJS.Timeout | undefined;

  constructor(path: string, worker: URL, timeout: number) {
    this.#path = path;
    this.#program = worker;
    this.#timeout = timeout;
    try {
      this.#worker = new Worker(worker, {
        workerData: { open: path } satisfies OpenRequest,
        resourceLimits: { maxOldGenerationSizeMb: HEAP_MIB },
      });
    } catch (cause) {
      // Out of descriptors or memory.
      throw new LvsError('UNAVAILABLE', `${path}: no thread to read it: ${(cause as Error).message}`, {
        cause,
      });
    }
    this.#worker.on('message', (message: Answer | Phase) => {
      if ('phase' in message) this.#limit(message.phase === 'reading' ? this.#timeout : WORK_MS);
      else this.#settle?.(message);
    });
    this.#worker.on('error', (error) => this.#fail(error));
    this.#worker.on('exit', () => this.#fail(new Error('the thread ended')));
  }

  /** Makes the kept thread read this file; undefined: none is kept. */
  static reuse(path: string, timeout: number): Thread | undefined {
    const thread = Thread.#idle;
    Thread.#idle = undefined;
    if (!thread || thread.#ended) return undefined;
    clearTimeout(thread.#timer);
    thread.#path = path;
    thread.#timeout = timeout;
    thread.#worker.ref();
    thread.#worker.postMessage({ open: path } satisfies OpenRequest);
    return thread;
  }

  /** Keeps the thread for the next file if it has answered, and ends it otherwise. */
  leave(): void {
    if (this.#program !== WORKER || this.#ended || this.#settle || this.#isLate || Thread.#idle) {
      this.end();
      return;
    }
    Thread.#idle = this;
    this.#worker.unref();
    this.#timer = setTimeout(() => {
      Thread.#idle = undefined;
      this.end();
    }, KEEP_MS).unref();
  }

  ask(request: PlanRequest): Promise<ReadConfiguration | ReloadPlan> {
    this.#worker.postMessage(request);
    return this.answer();
  }

  /** Resolves with the thread's next answer. Throws LvsError. */
  answer(): Promise<ReadConfiguration | ReloadPlan> {
    return new Promise((resolve, reject) => {
      this.#limit(WORK_MS);
      this.#settle = (answer) => {
        clearTimeout(this.#timer);
        this.#settle = undefined;
        if (answer instanceof Error)
          reject(
            new LvsError('UNAVAILABLE', `${this.#path}: cannot be read: ${answer.message}`, {
              cause: answer,
            }),
          );
        else if ('error' in answer) reject(new LvsError(answer.error.code, answer.error.message));
        else resolve(answer.value);
      };
      if (this.#ended) this.#settle(this.#ended);
    });
  }

  /** Ends the wait for an answer after this time, ms. */
  #limit(ms: number): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      this.#isLate = true;
      this.#settle?.(new Error(`no result in ${ms / 1000} s`));
    }, ms);
  }

  end(): void {
    ending.add(this.#worker);
    void this.#worker.terminate().finally(() => ending.delete(this.#worker));
  }

  #fail(error: Error): void {
    this.#ended ??= error;
    this.#settle?.(this.#ended);
  }
}
