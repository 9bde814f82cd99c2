/** The process around ipvsadm and its scripts: the socket, the standard streams and the exit status. */
import { ControlClient } from '../control/client.ts';
import { socketPath } from '../control/socket-path.ts';
import { LvsError } from '../model/errors.ts';
import { systemNames } from './names.ts';
import { FAILED } from './refusal.ts';
import type { Surroundings } from './run.ts';

/** Resolves when there is room for more. */
function write(text: string): void | Promise<void> {
  if (process.stdout.write(text)) return;
  return new Promise((resolve) => process.stdout.once('drain', resolve));
}

/** Runs a command in this process and leaves its exit status. */
export async function inProcess(name: string, run: (at: Surroundings) => Promise<number>): Promise<void> {
  // A reader that has seen enough, such as head: there is nothing more to do.
  process.stdout.on('error', ({ code }: NodeJS.ErrnoException) => process.exit(code === 'EPIPE' ? 0 : 1));
  const door = new ControlClient(socketPath(process.env));
  try {
    process.exitCode = await run({
      door,
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
    door.close();
  }
}
