/** Runs a program without a shell, and ends it with the processes that it has started when it is late. */
import { spawn } from 'node:child_process';
import { withoutCapabilities } from '../sys/ambient-capabilities.ts';
import { MarkedProcesses } from './marked-processes.ts';

/** Maximum length of the stored output, characters. */
const MAX_OUTPUT_CHARACTERS = 4096;

/** Environment variable that marks the processes of one run, also those that left its process group (setsid(2)). */
const RUN_VARIABLE = 'LVS_CHECK_RUN';
const marked = new MarkedProcesses(RUN_VARIABLE);
/** Begins the value of each run of this process whose processes end with it. */
const OWN_RUNS = `${process.pid}-`;
let runs = 0;

export interface ProgramOptions {
  /** The whole environment; programs are found in its PATH. */
  readonly env: NodeJS.ProcessEnv;
  /** Missing: the user of this process. */
  readonly user?: { readonly uid: number; readonly gid: number } | undefined;
  /** Aborted when the program is late. */
  readonly signal: AbortSignal;
  /** Whether processes that the program has started may remain when it has ended in time. */
  readonly mayLeaveProcesses?: boolean;
}

/** How a program ended. Exactly one of the first three is set. */
export interface ProgramResult {
  readonly status?: number;
  readonly endedBy?: NodeJS.Signals;
  /** It could not be started, or the signal was aborted (then `signal.aborted`). */
  readonly error?: unknown;
  readonly stdout: string;
  readonly stderr: string;
}

/**
 * Resolves when the program has ended, or soon after the signal aborts. Never rejects. The program has no capabilities of an
 * unprivileged user's director.
 */
export async function runProgram(
  [file, ...args]: readonly [string, ...string[]],
  { env, user, signal, mayLeaveProcesses = false }: ProgramOptions,
): Promise<ProgramResult> {
  const start = await withoutCapabilities().catch((error: unknown) => ({ error }));
  if (typeof start !== 'function') return { ...start, stdout: '', stderr: '' };
  if (signal.aborted) return { error: signal.reason, stdout: '', stderr: '' };
  return new Promise((resolve) => {
    if (runs === 0) process.once('exit', () => marked.endAll(OWN_RUNS));
    // What an event has started, such as a service, outlives this process.
    const run = `${mayLeaveProcesses ? 'event-' : ''}${OWN_RUNS}${++runs}`;
    // A separate process group, so that processes that the program starts are killed with it.
    const child = start(() =>
      spawn(file, args, {
        ...{ env: { ...env, [RUN_VARIABLE]: run }, detached: true, stdio: ['ignore', 'pipe', 'pipe'] },
        ...(user && { uid: user.uid, gid: user.gid, cwd: '/' }),
      }),
    );
    const output = { stdout: '', stderr: '' };
    // Out of descriptors there are no streams, and an error event follows.
    const streams: Partial<Pick<typeof child, 'stdout' | 'stderr'>> = child;
    const closeStreams = () => {
      for (const name of ['stdout', 'stderr'] as const) streams[name]?.destroy();
    };
    for (const name of ['stdout', 'stderr'] as const)
      streams[name]?.setEncoding('utf8').on('data', (text: string) => {
        if (output[name].length < MAX_OUTPUT_CHARACTERS) output[name] += text;
      });
    const endAll = () => {
      endGroup(child.pid);
      marked.end(run);
    };
    const late = () => {
      endAll();
      closeStreams();
      resolve({ error: signal.reason, ...output });
    };
    signal.addEventListener('abort', late, { once: true });
    child.on('error', (error) => {
      signal.removeEventListener('abort', late);
      resolve({ error, ...output });
    });
    // What the program left behind is not waited for, although it may hold the streams open.
    child.on('exit', () => {
      if (mayLeaveProcesses) setImmediate(closeStreams);
      else endAll();
    });
    child.on('close', (status, endedBy) => {
      signal.removeEventListener('abort', late);
      resolve({ ...(endedBy === null ? { status: status ?? 0 } : { endedBy }), ...output });
    });
  });
}

function endGroup(pid: number | undefined): void {
  try {
    if (pid !== undefined) process.kill(-pid, 'SIGKILL');
  } catch {
    // The group has exited.
  }
}
