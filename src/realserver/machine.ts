/** What the agent asks of the real server's kernel: programs to run, settings to read and write. */
import { execFile } from 'node:child_process';
import { readFile, writeFile } from 'node:fs/promises';
import { LvsError } from '../model/errors.ts';

export interface Outcome {
  readonly status: number;
  readonly stdout: string;
  readonly stderr: string;
}

export interface Machine {
  /** Runs a program to its end; throws LvsError UNAVAILABLE only where there is no such program. */
  run(argv: readonly string[], input?: string): Promise<Outcome>;
  /** A kernel setting by its path under /proc/sys; undefined where this kernel has none. */
  setting(path: string): Promise<string | undefined>;
  set(path: string, value: string): Promise<void>;
}

/** Octets that a program may print; a host of many addresses needs some. */
const MAX_OUTPUT = 64 * 1024 * 1024;

export const thisMachine: Machine = {
  run(argv, input = '') {
    const [file, ...args] = argv;
    return new Promise((resolve, reject) => {
      const child = execFile(file!, args, { maxBuffer: MAX_OUTPUT }, (error, stdout, stderr) => {
        if (error && typeof error.code !== 'number') {
          const why = `${file} cannot be run: ${error.message}`;
          reject(new LvsError('UNAVAILABLE', why, { cause: error }));
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
      const why = `cannot set ${path} to ${value}: ${(cause as Error).message}`;
      throw new LvsError('IO', why, { cause });
    }
  },
};

/** Runs a program that has to succeed, and gives its output. */
export async function must(machine: Machine, argv: readonly string[], input?: string): Promise<string> {
  const { status, stdout, stderr } = await machine.run(argv, input);
  if (status === 0) return stdout;
  throw new LvsError('IO', `${argv.join(' ')}: ${stderr.trim() || `exit status ${status}`}`);
}
