/** lvs-director: parses arguments, runs a command, and exits with its status. */
import { Argument, Command } from 'commander';
import { ControlClient } from '../../control/client.ts';
import { socketPath } from '../../control/socket-path.ts';
import { LvsError } from '../../model/errors.ts';
import { VRRP_STATES, VRRP_TYPES, type VrrpInstance } from '../../model/vrrp.ts';
import { stderrText } from '../../runtime/journal.ts';
import { describe, probe } from '../../runtime/kernel/datapath.ts';
import { version } from '../../runtime/version.ts';
import { isReported, plainArguments, WRONG_ARGUMENTS } from '../argument-errors.ts';
import { handleBrokenPipe } from '../broken-pipe.ts';
import { FILE_LIMIT_TEXT, isFileLimit } from '../load-program.ts';
import { addClusterCommands } from './cluster.ts';
import { FAILED, print } from './command-process.ts';
import { addConfigurationCommands } from './configuration-commands.ts';
import { addEndCommands, addRunCommand } from './lifecycle-commands.ts';
import { notify } from './notify.ts';
import { addObservationCommands } from './observation-commands.ts';
import { addOperations } from './operations.ts';
import { parsePriority, parseSeed } from './option-values.ts';
import type { ReplayOptions } from './replay.ts';

/** What keepalived calls a master that has received an advertisement of a lower priority. */
const STILL_MASTER = 'MASTER_RX_LOWER_PRI';

// Modules of commands are loaded by them: parsers and validators take most of the time of a start.
export const program = new Command('lvs-director')
  .description(
    'The director of a Linux Virtual Server: forwards the packets of virtual services to real servers.',
  )
  .version(version());
plainArguments(program);

addRunCommand(program);

program
  .command('features')
  .description('report which kernel datapaths are available, and what is missing for the others')
  .action(async () => {
    for (const line of describe(await probe())) console.log(line);
  });

addConfigurationCommands(program);
addEndCommands(program);
addOperations(program);
addClusterCommands(program);

program
  .command('notify')
  .description('report the state of a VRRP instance to the running director: for notify of keepalived')
  .addArgument(new Argument('<type>', 'what has the state').choices(VRRP_TYPES))
  .argument('<name>', 'name of the instance or group')
  .addArgument(new Argument('<state>', 'its state').choices([...VRRP_STATES, STILL_MASTER]))
  .addArgument(new Argument('[priority]', 'its priority').argParser(parsePriority))
  .option('--socket <path>', 'control socket of the director', socketPath(process.env))
  .action(
    async (
      type: VrrpInstance['type'],
      name: string,
      state: VrrpInstance['state'] | typeof STILL_MASTER,
      priority: number | undefined,
      { socket }: { socket: string },
    ) => {
      using api = new ControlClient(socket);
      const now = state === STILL_MASTER ? 'MASTER' : state;
      await notify({ type, name, state: now, ...(priority !== undefined && { priority }) }, api);
    },
  );

addObservationCommands(program);

program
  .command('replay')
  .description('pass recorded packets to a new director, and print its connections at the end')
  .requiredOption('--config <file>', 'lvs.conf, or lvs.yaml (by the extension)')
  .requiredOption('--in <file>', 'pcap file of the received packets')
  .requiredOption('--out <file>', 'pcap file to write, of the IP packets that are sent')
  .option('--seed <number>', 'seed of the random source; same input and seed, same output', parseSeed, 1)
  .option('--json', 'print JSON')
  .action(async (options: ReplayOptions) => {
    const { replayFile } = await import('./replay.ts');
    await replayFile(options, print);
  });

/** Runs the command that the arguments name. */
export async function main(): Promise<void> {
  handleBrokenPipe();
  try {
    await program.parseAsync();
  } catch (error) {
    // process.exitCode is not enough: packet captures would keep the process alive.
    process.exit(exitStatus(error));
  }
}

function exitStatus(error: unknown): number {
  if (isReported(error)) return error.exitCode === 0 ? 0 : WRONG_ARGUMENTS;
  if (isFileLimit(error)) {
    console.error(stderrText('error', `lvs-director: ${FILE_LIMIT_TEXT}`));
    return FAILED;
  }
  if (!(error instanceof LvsError)) throw error;
  console.error(stderrText('error', `lvs-director: ${error.message}`));
  return error.code === 'CONFIG' ? WRONG_ARGUMENTS : FAILED;
}
