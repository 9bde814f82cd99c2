/** `lvs-director cluster`: directors that share their configuration in etcd. */
import { type Command, InvalidArgumentError, Option } from 'commander';
import type { ClusterAccess } from '../../runtime/cluster/cluster-access.ts';
import type { ApplyOptions } from './cluster-commands.ts';
import { FAILED, print } from './command-process.ts';
import { parseDuration, parseWhole } from './option-values.ts';

const SETTINGS_FILE = '/etc/lvs/cluster.yaml';
/** Seconds for which `apply` and `plan` wait by default. */
const WAIT_S = 60;
/** Entries that `log` prints by default. */
const LOG_ENTRIES = 100;

interface FileOption {
  readonly file: string;
}

/** Adds the commands. */
export function addClusterCommands(program: Command): void {
  const cluster = program
    .command('cluster')
    .description('directors that share their configuration in etcd (docs/cluster.md)');
  const complain = (line: string) => console.error(line);
  /** Runs what a command does with the cluster. */
  const at = async <T>(
    { file }: FileOption,
    work: (access: ClusterAccess, commands: typeof import('./cluster-commands.ts')) => Promise<T>,
  ): Promise<T> => {
    const { openClusterAccess } = await import('../../runtime/cluster/cluster-access.ts');
    using access = await openClusterAccess(file);
    return await work(access, await import('./cluster-commands.ts'));
  };
  const command = (name: string, description: string) =>
    cluster
      .command(name)
      .description(description)
      .option('--file <file>', 'settings of the cluster', SETTINGS_FILE);
  const timeout = () =>
    new Option('--timeout <time>', 'longest time to wait for the directors, such as 90s or 5m')
      .argParser(parseDuration)
      .default(WAIT_S, `${WAIT_S}s`);

  const atMost = () =>
    new Option('--at-most <number>', 'directors that apply it at the same time')
      .argParser(parseWhole)
      .default(0, 'all');

  command('init', 'make the cluster in etcd, and print the token with which directors join').action(
    (options: FileOption) => at(options, async ({ store }) => print(`${await store.init()}\n`)),
  );
  command('join', 'admit this director; reads the token from the standard input, or from a file')
    .option('--token-file <file>', 'file with the token, which no other user can read')
    .action((options: FileOption & { tokenFile?: string }) =>
      at(options, (access, { join }) => join(access, options.tokenFile, print)),
    );
  command('leave', 'forget a director that does not run (default: this one)')
    .argument('[node]')
    .action((node: string | undefined, options: FileOption) =>
      at(options, (access, { leave }) => leave(access, node, print)),
    );
  for (const [name, description] of [
    ['pause', 'make a director announce nothing, over restarts; connections go on (default: this one)'],
    ['resume', 'end a pause (default: this one)'],
  ] as const)
    command(name, description)
      .argument('[node]')
      .action((node: string | undefined, options: FileOption) =>
        at(options, (access, commands) => commands[name](access, node, print)),
      );
  command('evict', 'exclude a director until it joins again: it announces nothing, and applies no changes')
    .argument('<node>')
    .action((node: string, options: FileOption) =>
      at(options, (access, { evict }) => evict(access, node, print)),
    );
  command('members', 'list the directors, and the generation that each one runs')
    .option('--json', 'print JSON', false)
    .action((options: FileOption & { json: boolean }) =>
      at(options, (access, { members }) => members(access, options.json, print)),
    );
  command('plan', 'ask all directors what a configuration would change')
    .argument('<config>', 'lvs.yaml')
    .addOption(timeout())
    .action(async (config: string, options: FileOption & { timeout: number }) => {
      const isValid = await at(options, (access, { plan }) =>
        plan(access, config, options.timeout, print, complain),
      );
      if (!isValid) process.exitCode = FAILED;
    });
  command('apply', 'make all directors apply a configuration, after all have checked it')
    .argument('<config>', 'lvs.yaml')
    .option('--note <text>', 'why, for the history', '')
    .addOption(atMost())
    .addOption(timeout())
    .action(async (config: string, options: FileOption & ApplyOptions) => {
      const isApplied = await at(options, (access, { apply }) =>
        apply(access, config, options, print, complain),
      );
      if (!isApplied) process.exitCode = FAILED;
    });
  command('rollback', 'make all directors apply an earlier generation, as a new one')
    .argument('<generation>', '', parseWhole)
    .addOption(atMost())
    .addOption(timeout())
    .action(async (generation: number, options: FileOption & ApplyOptions) => {
      const isApplied = await at(options, (access, { rollback }) =>
        rollback(access, generation, options, print, complain),
      );
      if (!isApplied) process.exitCode = FAILED;
    });
  command('history', 'list the last 50 generations of the configuration').action((options: FileOption) =>
    at(options, (access, { history }) => history(access, print)),
  );
  command('show', 'print a generation of the configuration')
    .argument('[generation]', 'default: the present one', parseWhole)
    .action((generation: number | undefined, options: FileOption) =>
      at(options, (access, { show }) => show(access, generation, print)),
    );
  command('log', 'print the last events of all directors')
    .option('--limit <number>', 'number of events', parseLimit, LOG_ENTRIES)
    .action((options: FileOption & { limit: number }) =>
      at(options, (access, { log }) => log(access, options.limit, print)),
    );
}

/** Maximum number of events of an answer. */
const MAX_LOG_ENTRIES = 10_000;

function parseLimit(text: string): number {
  const limit = parseWhole(text);
  if (limit <= MAX_LOG_ENTRIES) return limit;
  throw new InvalidArgumentError(`Expected an integer from 1 to ${MAX_LOG_ENTRIES}.`);
}
