/** Runs ipvsadm and its scripts in a process: control socket, standard streams and exit status. */
import { ControlClient } from '../control/client.ts';
import { socketPath } from '../control/socket-path.ts';
import { LvsError } from '../model/errors.ts';
import { systemNames } from './names.ts';
import { FAILED } from './refusal.ts';
import type { Surroundings } from './run.ts';

/** Writes the text; resolves when the stream accepts more. */
function write(text: string): void | Promise<void> {
  if (process.stdout.write(text)) return;
  return new Promise((resolve) => process.stdout.once('drain', resolve));
}

/** Runs a command in this process and sets its exit status. */
export async function inProcess(name: string, run: (at: Surroundings) => Promise<number>): Promise<void> {
  // The reader closed the pipe, such as head: nothing remains to be done.
  process.stdout.on('error', ({ code }: NodeJS.ErrnoException) => process.exit(code === 'EPIPE' ? 0 : 1));
  const api = new ControlClient(socketPath(process.env), { isLocal: process.env['LVS_LOCAL'] === '1' });
  try {
    process.exitCode = await run({
      api,
      names: systemNames(),
      stdin: () => process.stdin.setEncoding('utf8'),
      stdout: write,
      stderr: (text) => process.stderr.write(text),
    });
  } catch (error) {
    if (!(error instanceof LvsError)) throw error;
    process.stderr.write(`${name}: ${error.message}\n`);
    process.exitCode = FAILED;
  } finally {
    api.close();
  }
}
