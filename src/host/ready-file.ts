/**
 * A file that tells keepalived (track_file) whether the director can serve: 0, or 1 if it cannot.
 *
 * A shell waits for the end of the director and then writes 1: the file must be right after kill -9, too. keepalived reads
 * the file when a program that wrote it closes it.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, openSync, writeFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { LvsError } from '../model/errors.ts';
import { withDescriptors } from '../sys/descriptor-reserve.ts';
import { replaceFileSync } from '../sys/replace-file.ts';

const READY = '0\n';
const NOT_READY = '1\n';
/** keepalived may run as another user. */
const MODE = 0o644;

export class ReadyFile {
  readonly #path: string;
  readonly #failed: (reason: string) => void;
  readonly #shell: ChildProcess;
  #isReady = false;

  /** Replaces the file by one that says "not ready". `failed` is called for later errors. Throws LvsError IO. */
  constructor(path: string, failed: (reason: string) => void) {
    this.#path = resolve(path);
    this.#failed = failed;
    try {
      this.#create();
      this.#shell = this.#startShell();
    } catch (cause) {
      throw new LvsError('IO', `ready file: ${(cause as Error).message}`, { cause });
    }
  }

  get isReady(): boolean {
    return this.#isReady;
  }

  /** Writes the file if this is a change. */
  set(isReady: boolean): void {
    if (isReady === this.#isReady) return;
    this.#isReady = isReady;
    try {
      // In place: another file would not be the one of the shell.
      writeFileSync(this.#path, isReady ? READY : NOT_READY, { flag: 'r+' });
    } catch (error) {
      this.#failed((error as Error).message);
    }
  }

  /** Says "not ready" for the time after this director. */
  close(): void {
    this.set(false);
    this.#shell.stdin?.end();
  }

  /** A new file belongs to this user, whatever user created the one before, and the shell of an earlier director does not write it. */
  #create(): void {
    const next = `${this.#path}.${process.pid}`;
    replaceFileSync(this.#path, NOT_READY, { mode: MODE, next });
  }

  #startShell(): ChildProcess {
    const file = openSync(this.#path, 'r+');
    try {
      const shell = withDescriptors(() =>
        spawn('sh', ['-c', 'read -r _; echo 1 >&3'], {
          stdio: ['pipe', 'ignore', 'ignore', file],
          // Signals to the director's process group must not end it.
          detached: true,
        }),
      );
      shell.on('error', ({ message }) => this.#failed(message));
      shell.stdin?.on('error', () => {});
      shell.unref();
      return shell;
    } finally {
      closeSync(file);
    }
  }
}
