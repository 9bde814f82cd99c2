/** Runs the programs that configure the host (ip, ethtool), for a limited time. */
import { type ExecFileException, execFile, spawnSync } from 'node:child_process';
import { LvsError } from '../model/errors.ts';
import { withDescriptors } from '../sys/descriptor-reserve.ts';

/** ms after which a program is ended: it waits for a lock of the kernel, or for a file system. */
export const PROGRAM_TIMEOUT_MS = 3000;

/** Maximum output: a host with many addresses or chains needs several MiB. */
const MAX_OUTPUT_BYTES = 64 * 1024 * 1024;
/** Limits of each run: a program that hangs is killed, whatever it does with signals. */
const RUN_OPTIONS = {
  timeout: PROGRAM_TIMEOUT_MS,
  killSignal: 'SIGKILL',
  encoding: 'utf8',
  maxBuffer: MAX_OUTPUT_BYTES,
} as const;

/** Resolves with the standard output. Throws LvsError IO with its standard error, UNAVAILABLE where it is missing or hangs. */
export function runProgram(file: string, args: readonly string[], input = ''): Promise<string> {
  return new Promise((resolve, reject) => {
    const done = (error: ExecFileException | null, stdout: string, stderr: string) => {
      if (!error) resolve(stdout);
      else if (error.killed) reject(late(file));
      else if (typeof error.code === 'number') reject(new LvsError('IO', stderr.trim() || error.message));
      else reject(new LvsError('UNAVAILABLE', `${file}: ${error.message}`, { cause: error }));
    };
    const child = withDescriptors(() => execFile(file, args, RUN_OPTIONS, done));
    child.stdin?.on('error', () => {});
    child.stdin?.end(input);
  });
}

/** Runs a program at the end of the process, which waits for it. Ignores its result. */
export function runProgramNow(file: string, args: readonly string[], input = ''): void {
  withDescriptors(() => spawnSync(file, args, { ...RUN_OPTIONS, input }));
}

const late = (file: string) =>
  new LvsError('UNAVAILABLE', `${file}: no result within ${PROGRAM_TIMEOUT_MS / 1000} s`);
