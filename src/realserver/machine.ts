/** Access to the real server's host: runs programs, reads and writes kernel settings. */
import { execFile } from 'node:child_process';
import { readFile, writeFile } from 'node:fs/promises';
import { LvsError } from '../model/errors.ts';

export interface Outcome {
  readonly status: number;
  readonly stdout: string;
  readonly stderr: string;
}

export interface Machine {
  /** Runs a program to its end. Throws LvsError UNAVAILABLE only if the program is missing or hangs. */
  run(argv: readonly string[], input?: string): Promise<Outcome>;
  /** Resolves with a kernel setting by its path under /proc/sys; undefined if the kernel does not have it. */
  setting(path: string): Promise<string | undefined>;
  set(path: string, value: string): Promise<void>;
}

/** ms after which a program is killed: it waits for a lock of the kernel, or for a file system. */
const TIMEOUT_MS = 10_000;
/** Maximum output of a program; a host with many addresses needs several MiB. */
const MAX_OUTPUT_BYTES = 64 * 1024 * 1024;
const RUN_OPTIONS = { timeout: TIMEOUT_MS, killSignal: 'SIGKILL', maxBuffer: MAX_OUTPUT_BYTES } as const;

export const thisMachine: Machine = {
  run(argv, input = '') {
    const [file, ...args] = argv;
    return new Promise((resolve, reject) => {
      const child = execFile(file!, args, RUN_OPTIONS, (error, stdout, stderr) => {
        if (error && typeof error.code !== 'number') {
          const reason = error.killed ? `no result within ${TIMEOUT_MS / 1000} s` : error.message;
          const message = `${file}: cannot run: ${reason}`;
          reject(new LvsError('UNAVAILABLE', message, { cause: error }));
        } else resolve({ status: typeof error?.code === 'number' ? error.code : 0, stdout, stderr });
      });
      child.stdin?.on('error', () => {});
      child.stdin?.end(input);
    });
  },

  async setting(path) {
    try {
      return (await readFile(`/proc/sys/${path}`, 'utf8')).trim();
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
      throw error;
    }
  },

  async set(path, value) {
    try {
      await writeFile(`/proc/sys/${path}`, value);
    } catch (cause) {
      const message = `${path}: cannot set to ${value}: ${(cause as Error).message}`;
      throw new LvsError('IO', message, { cause });
    }
  },
};

/** Runs a program and resolves with its output. Throws LvsError IO if it fails. */
export async function must(machine: Machine, argv: readonly string[], input?: string): Promise<string> {
  const { status, stdout, stderr } = await machine.run(argv, input);
  if (status === 0) return stdout;
  throw new LvsError('IO', `${argv.join(' ')}: ${stderr.trim() || `exit status ${status}`}`);
}
