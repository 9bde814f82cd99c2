/** The commands of lvs-director by which operators change the work of the running director until they end the change. */
import type { Command } from 'commander';
import { ControlClient } from '../../control/client.ts';
import { socketPath } from '../../control/socket-path.ts';
import { LvsError } from '../../model/errors.ts';
import { type DrainOptions, drain, listDrained, undrain } from './drain.ts';
import { parseDuration } from './option-values.ts';

/** Seconds for which `drain --wait` waits by default. */
const DRAIN_TIMEOUT_S = 300;
const SERVER = 'name or address of the server, or address:port for one port';

/** Adds the commands to lvs-director. `failed`: exit status of a drain that did not end in time. */
export function addOperations(program: Command, failed: number): void {
  const print = (text: string) => void process.stdout.write(text);

  program
    .command('drain')
    .description(
      'take a server out of all services: it keeps its connections and gets no new ones; without a server, list drained ones',
    )
    .argument('[server]', SERVER)
    .option('--wait', 'wait until the server has no connections; exit status 1: it still has some', false)
    .option(
      '--timeout <time>',
      'longest time to wait, such as 90s, 5m or 1h (default: 5m)',
      parseDuration,
      DRAIN_TIMEOUT_S,
    )
    .option('--socket <path>', 'control socket of the director', socketPath(process.env))
    .action(async (server: string | undefined, options: DrainOptions & { readonly socket: string }) => {
      using api = new ControlClient(options.socket);
      if (server !== undefined) process.exitCode = (await drain(server, options, api, print)) ? 0 : failed;
      else if (options.wait) throw new LvsError('CONFIG', 'drain --wait: server missing');
      else await listDrained(api, print);
    });

  program
    .command('undrain')
    .description('end the drain of a server')
    .argument('<server>', SERVER)
    .option('--socket <path>', 'control socket of the director', socketPath(process.env))
    .action(async (server: string, { socket }: { socket: string }) => {
      using api = new ControlClient(socket);
      await undrain(server, api, print);
    });
}
