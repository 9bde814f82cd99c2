/** Runs the programs that configure the host (ip, ethtool), for a limited time. */
import { execFile, spawnSync } from 'node:child_process';
import { LvsError } from '../model/errors.ts';

/** ms after which a program is ended: it waits for a lock of the kernel, or for a file system. */
export const PROGRAM_TIMEOUT_MS = 3000;

/** Limits of each run: a program that hangs is killed, whatever it does with signals. */
const LIMITS = { timeout: PROGRAM_TIMEOUT_MS, killSignal: 'SIGKILL', encoding: 'utf8' } as const;

/** Resolves with the standard output. Throws LvsError IO with its standard error, UNAVAILABLE where it is missing or hangs. */
export function runProgram(file: string, args: readonly string[], input = ''): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = execFile(file, args, LIMITS, (error, stdout, stderr) => {
      if (!error) resolve(stdout);
      else if (error.killed) reject(late(file));
      else if (typeof error.code === 'number') reject(new LvsError('IO', stderr.trim() || error.message));
      else reject(new LvsError('UNAVAILABLE', `${file}: ${error.message}`, { cause: error }));
    });
    child.stdin?.on('error', () => {});
    child.stdin?.end(input);
  });
}

/** Runs a program at the end of the process, which waits for it. Ignores its result. */
export function runProgramNow(file: string, args: readonly string[], input = ''): void {
  spawnSync(file, args, { ...LIMITS, input });
}

const late = (file: string) =>
  new LvsError('UNAVAILABLE', `${file}: no result within ${PROGRAM_TIMEOUT_MS / 1000} s`);
