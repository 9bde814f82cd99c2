/** A program is run; its exit status 0 is health, and its first line of output is what it found. */
import { execFile } from 'node:child_process';
import type { Observation, Probe } from './probe.ts';
import { wordsOf } from './refusal-words.ts';

/** Octets that a program may print. */
const MAX_OUTPUT = 64 * 1024;
/** Characters of a message. */
const LONGEST = 120;

export const commandProbe: Probe = ({ address, port, check }, signal) =>
  new Promise<Observation>((resolve) => {
    const [file, ...args] = check.command ?? [];
    if (file === undefined) return resolve({ healthy: false, message: 'no command is configured' });
    const env = { ...process.env, ADDRESS: address, PORT: String(port) };
    const options = { env, signal, killSignal: 'SIGKILL', maxBuffer: MAX_OUTPUT } as const;
    const child = execFile(file, args, options, (error, stdout, stderr) => {
      const line = `${stdout}\n${stderr}`.trim().split('\n')[0]!.slice(0, LONGEST);
      if (!error) return resolve({ healthy: true, message: line || 'status 0' });
      const why =
        typeof error.code === 'number' ? `status ${error.code}` : wordsOf(error, signal, check.timeout);
      resolve({ healthy: false, message: line ? `${why}: ${line}` : why });
    });
    child.stdin?.on('error', () => {});
    child.stdin?.end();
  });
