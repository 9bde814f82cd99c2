/** Commands for the agent of a cluster without a director. */
import { type Command, InvalidArgumentError, Option } from 'commander';
import { LvsError } from '../../model/errors.ts';
import type { NlbCluster, NlbHost } from '../../model/nlb.ts';
import { type ClusterRequest, controlPath, request } from '../../realserver/cluster/control.ts';
import { formatExplanation } from '../../realserver/cluster/explain.ts';
import { ownAddresses } from './doctor.ts';

/** Returns the host of the cluster that this one is. Throws LvsError CONFIG if there is none, or several are. */
export function ownHost({ hosts }: NlbCluster): NlbHost {
  const own = ownAddresses();
  const found = hosts.filter(({ address }) => own.has(address));
  if (found.length === 1) return found[0]!;
  const which = found.length === 0 ? 'none of the hosts' : found.map(({ name }) => name).join(' and ');
  throw new LvsError(
    'CONFIG',
    `cluster: this host has the address of ${which}: expected that of exactly one of ${hosts.map(({ name }) => name).join(', ')}`,
  );
}

const port = (text: string): number => {
  if (/^\d{1,5}$/.test(text) && Number(text) <= 65_535) return Number(text);
  throw new InvalidArgumentError(`Invalid port '${text}'.`);
};

/** Adds the commands. `journal`: makes the option with the path of the journal. */
export function addClusterCommands(program: Command, journal: () => Option): void {
  const ask = async ({ state }: { state: string }, what: ClusterRequest): Promise<void> => {
    const response = await request(controlPath(state), what);
    if ('done' in response) console.log(response.done);
    else if ('explanation' in response) console.log(formatExplanation(response.explanation));
  };
  const rule = () => new Option('--rule <rule>', 'only one port rule, such as tcp/80');
  const withRule = (command: 'drain' | 'suspend' | 'resume', description: string) =>
    program
      .command(command)
      .description(description)
      .addOption(rule())
      .addOption(journal())
      .action((options: { state: string; rule?: string }) =>
        ask(options, { command, ...(options.rule !== undefined && { rule: options.rule }) }),
      );
  withRule('drain', 'mode nlb: accept no new connections; existing ones continue');
  withRule('suspend', 'mode nlb: hand the clients over, and ignore the packets of the cluster');
  withRule('resume', 'mode nlb: accept packets and new connections again');
  program
    .command('stop')
    .description('mode nlb: hand the clients over, restore the host, and end the agent')
    .addOption(journal())
    .action((options: { state: string }) => ask(options, { command: 'stop' }));
  program
    .command('explain')
    .description('mode nlb: print which host accepts a client, and why')
    .requiredOption('--from <address>', 'address of the client')
    .requiredOption('--rule <rule>', 'protocol and port of the service, such as tcp/80')
    .option('--port <port>', 'port of the client, for affinity none', port, 0)
    .option('--to <address>', 'address of the cluster')
    .addOption(journal())
    .action(
      ({ state, ...client }: { state: string; from: string; rule: string; port: number; to?: string }) =>
        ask({ state }, { command: 'explain', ...client }),
    );
}
