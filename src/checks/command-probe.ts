/** The command probe: runs a program; exit status 0 is healthy, and its first line of output is the message. */
import { spawn } from 'node:child_process';
import { errorMessage, failureOf } from './connect-errors.ts';
import { MarkedProcesses } from './marked-processes.ts';
import type { Observation, Probe } from './probe.ts';
import { expandVariables } from './target-variables.ts';

/** Maximum length of the stored output, and of a message, characters. */
const MAX_OUTPUT_CHARACTERS = 4096;
const MAX_MESSAGE_CHARACTERS = 120;

/** Environment variable that marks the processes of one run, also those that left its process group (setsid(2)). */
const RUN_VARIABLE = 'LVS_CHECK_RUN';
const marked = new MarkedProcesses(RUN_VARIABLE);
/** Begins the value of each run of this process. */
const OWN_RUNS = `${process.pid}-`;
let runs = 0;

export const commandProbe: Probe = ({ address, port, check }, signal) =>
  new Promise<Observation>((resolve) => {
    const [file, ...args] = (check.command ?? []).map((word) => expandVariables(word, { address, port }));
    if (file === undefined) return resolve({ healthy: false, message: 'no command is configured' });
    if (runs === 0) process.once('exit', () => marked.endAll(OWN_RUNS));
    const run = `${OWN_RUNS}${++runs}`;
    const env = { ...process.env, ADDRESS: address, PORT: String(port), [RUN_VARIABLE]: run };
    // A separate process group, so that processes that the program starts are killed with it.
    const child = spawn(file, args, { env, detached: true, stdio: ['ignore', 'pipe', 'pipe'] });
    const output = { stdout: '', stderr: '' };
    // Out of descriptors there are no streams, and an error event follows.
    const streams: Partial<Pick<typeof child, 'stdout' | 'stderr'>> = child;
    for (const name of ['stdout', 'stderr'] as const)
      streams[name]?.setEncoding('utf8').on('data', (text: string) => {
        if (output[name].length < MAX_OUTPUT_CHARACTERS) output[name] += text;
      });
    const fail = (reason: string) => {
      const line = lineOf(output);
      resolve({ healthy: false, message: line ? `${reason}: ${line}` : reason });
    };
    const endAll = () => {
      endGroup(child.pid);
      marked.end(run);
    };
    const late = () => {
      endAll();
      for (const name of ['stdout', 'stderr'] as const) streams[name]?.destroy();
      fail(errorMessage(undefined, signal, check.timeout));
    };
    signal.addEventListener('abort', late, { once: true });
    child.on('error', (error) => resolve(failureOf(error, signal, check.timeout)));
    // What the program left behind is not waited for, although it may hold the streams open.
    child.on('exit', endAll);
    child.on('close', (status, ended) => {
      signal.removeEventListener('abort', late);
      if (status === 0) resolve({ healthy: true, message: lineOf(output) || 'status 0' });
      else fail(ended === null ? `status ${status}` : `terminated by ${ended}`);
    });
  });

/** Returns the first line of the output, shortened. */
const lineOf = ({ stdout, stderr }: { readonly stdout: string; readonly stderr: string }): string =>
  `${stdout}\n${stderr}`.trim().split('\n')[0]!.slice(0, MAX_MESSAGE_CHARACTERS);

function endGroup(pid: number | undefined): void {
  try {
    if (pid !== undefined) process.kill(-pid, 'SIGKILL');
  } catch {
    // The group has exited.
  }
}
