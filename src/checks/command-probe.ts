/** The command probe: runs a program; exit status 0 is healthy, and its first line of output is the message. */
import { spawn } from 'node:child_process';
import { wordsOf } from './connect-errors.ts';
import type { Observation, Probe } from './probe.ts';
import { expandVariables } from './target-variables.ts';

/** Characters of the output that are kept, and of a message. */
const KEPT = 4096;
const LONGEST = 120;

export const commandProbe: Probe = ({ address, port, check }, signal) =>
  new Promise<Observation>((resolve) => {
    const [file, ...args] = (check.command ?? []).map((word) => expandVariables(word, { address, port }));
    if (file === undefined) return resolve({ healthy: false, message: 'no command is configured' });
    const env = { ...process.env, ADDRESS: address, PORT: String(port) };
    // A group of its own, so that what the program has started ends with it.
    const child = spawn(file, args, { env, detached: true, stdio: ['ignore', 'pipe', 'pipe'] });
    const said = { stdout: '', stderr: '' };
    for (const name of ['stdout', 'stderr'] as const)
      child[name].setEncoding('utf8').on('data', (text: string) => {
        if (said[name].length < KEPT) said[name] += text;
      });
    const fail = (why: string) => {
      const line = lineOf(said);
      resolve({ healthy: false, message: line ? `${why}: ${line}` : why });
    };
    const late = () => {
      endGroup(child.pid);
      for (const stream of [child.stdout, child.stderr]) stream.destroy();
      fail(wordsOf(undefined, signal, check.timeout));
    };
    signal.addEventListener('abort', late, { once: true });
    child.on('error', (error) => fail(wordsOf(error, signal, check.timeout)));
    child.on('close', (status, ended) => {
      signal.removeEventListener('abort', late);
      if (status === 0) resolve({ healthy: true, message: lineOf(said) || 'status 0' });
      else fail(ended === null ? `status ${status}` : `ended by ${ended}`);
    });
  });

const lineOf = ({ stdout, stderr }: { readonly stdout: string; readonly stderr: string }): string =>
  `${stdout}\n${stderr}`.trim().split('\n')[0]!.slice(0, LONGEST);

function endGroup(pid: number | undefined): void {
  try {
    if (pid !== undefined) process.kill(-pid, 'SIGKILL');
  } catch {
    // It has ended already.
  }
}
