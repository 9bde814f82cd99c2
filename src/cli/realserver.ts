#!/usr/bin/env node
/** lvs-realserver: makes a real server of this host, in the foreground, and puts everything back on exit. */
import { isIP } from 'node:net';
import { Command, InvalidArgumentError, Option } from 'commander';
import type { Document } from '../config/document.ts';
import { loadConfig } from '../config/load.ts';
import { systemNames } from '../config/names.ts';
import { openRawReceiver } from '../io/raw-receiver.ts';
import { openRawSender } from '../io/raw-socket.ts';
import { openUdpReceiver } from '../io/udp-receiver.ts';
import { LvsError } from '../model/errors.ts';
import { type AgentOptions, apply, restore } from '../realserver/agent.ts';
import type { Encapsulation } from '../realserver/encapsulation.ts';
import { takeLock } from '../realserver/lock.ts';
import { thisMachine } from '../realserver/machine.ts';
import { plan, type Role } from '../realserver/plan.ts';
import { defaultStateFile } from '../realserver/state.ts';
import { formatStatus, status } from '../realserver/status.ts';
import { openTunnelEnd, type TunnelSockets } from '../realserver/tunnel-end.ts';
import { schedulers } from '../schedulers/index.ts';

interface RoleOptions {
  readonly config?: string;
  readonly vip?: readonly string[];
  readonly method?: Role['method'];
  readonly device?: string;
  readonly netDevice?: string;
  readonly gateway?: string;
  readonly tunnel?: readonly Encapsulation[];
}
interface RunOptions extends RoleOptions {
  readonly once: boolean;
  readonly state: string;
}

const SOCKETS: TunnelSockets = {
  openSender: openRawSender,
  openReceiver: openRawReceiver,
  openUdp: openUdpReceiver,
};

const say = (line: string) => console.error(`lvs-realserver: ${line}`);

function addresses(text: string): string[] {
  const list = text.split(',');
  const wrong = list.find((address) => isIP(address) === 0);
  if (wrong !== undefined) throw new InvalidArgumentError(`'${wrong}' is no address.`);
  return list;
}

/** ipip, gre, gue:PORT, with commas between. */
function encapsulations(text: string): Encapsulation[] {
  return text.split(',').map((word) => {
    const [type, port] = word.split(':');
    if ((type === 'ipip' || type === 'gre') && port === undefined) return { type };
    if (type === 'gue' && Number(port) > 0 && Number(port) < 65_536) return { type, port: Number(port) };
    throw new InvalidArgumentError(`'${word}' is no kind of tunnel: ipip, gre, gue:PORT.`);
  });
}

/** The kinds of tunnels that the director's rules speak of, each once. */
function tunnelsOf(document: Document): Encapsulation[] {
  const kinds = new Map<string, Encapsulation>();
  for (const { options } of document.services.flatMap(({ destinations }) => destinations)) {
    if (options.method !== 'ipip') continue;
    const { type, port } = options.tunnel ?? { type: 'ipip', port: 0 };
    kinds.set(`${type}:${port}`, type === 'gue' ? { type, port } : { type });
  }
  return [...kinds.values()];
}

/** The role that the configuration gives real servers; what the command line says comes first. */
async function roleOf(options: RoleOptions): Promise<Role> {
  const { config, vip, method, device, netDevice, gateway } = options;
  const document = config === undefined ? undefined : await read(config);
  const tunnels = options.tunnel ?? (document ? tunnelsOf(document) : []);
  const chosen = method ?? document?.method ?? 'dr';
  const vips = vip ?? document?.vips.map(({ address }) => address) ?? [];
  if (vips.length === 0 && chosen !== 'nat')
    throw new LvsError('CONFIG', 'which VIP? name it with --vip, or a configuration with --config');
  const net = netDevice ?? document?.realServers.netDevice;
  const named = gateway ?? document?.realServers.gateway;
  // "client": the client is on the segment itself, and the default route of no account.
  const via = named ?? (chosen === 'nat' ? document?.director.inside?.address : undefined);
  return {
    method: chosen,
    vips: [...new Set(vips)],
    device: device ?? document?.realServers.vipDevice ?? 'lo',
    ...(net === undefined ? {} : { netDevice: net }),
    ...(via === undefined || via === 'client' ? {} : { gateway: via }),
    ...(tunnels.length === 0 ? {} : { encapsulations: tunnels }),
  };
}

async function read(config: string) {
  const { document, warnings } = await loadConfig(config, systemNames(), Object.keys(schedulers));
  for (const warning of warnings) say(warning);
  return document;
}

async function run(options: RunOptions): Promise<void> {
  const role = await roleOf(options);
  using _lock = await takeLock();
  const agent: AgentOptions = { machine: thisMachine, stateFile: options.state, say };
  const { changes, notes, tunnelEnd } = await plan(role, thisMachine);
  for (const note of notes) say(note);
  if (tunnelEnd && options.once)
    throw new LvsError('CONFIG', 'the tunnel ends in this program, so it has to stay: leave --once away');
  const asked = signalled();
  const counts = tunnelEnd && (await openTunnelEnd(tunnelEnd, SOCKETS));
  await apply(changes, agent);
  if (options.once) return say('done; lvs-realserver restore puts everything back');
  say('ready');
  say(`${await asked}: putting everything back`);
  await restore(agent);
  if (counts)
    say(`tunnels: ${counts.decapsulated} packets taken out, ${counts.refused} refused, ${counts.lost} lost`);
}

/** Resolves with the signal that asks the agent to end. Heard from now on. */
function signalled(): Promise<NodeJS.Signals> {
  // A process without anything to wait for would end.
  const alive = setInterval(() => {}, 1 << 30);
  return new Promise((resolve) => {
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const)
      process.on(signal, () => {
        clearInterval(alive);
        resolve(signal);
      });
  });
}

async function putBack({ state }: { state: string }): Promise<void> {
  using _lock = await takeLock();
  await restore({ machine: thisMachine, stateFile: state, say });
}

/** Exit status 3, as of a service that is not running, where no agent runs. */
async function show({ state, json }: { state: string; json: boolean }): Promise<void> {
  const now = await status(state, thisMachine);
  console.log(json ? JSON.stringify(now, null, 2) : formatStatus(now));
  if (now.pid === undefined) process.exitCode = 3;
}

const program = new Command('lvs-realserver')
  .description(
    'Makes a real server of this host: the VIP without a word of ARP, the end of the tunnel, the route back.',
  )
  .version('0.1.0');
const journal = () =>
  new Option('--state <file>', 'where it is written what was changed').default(
    defaultStateFile(),
    '/run/lvs/...',
  );

program
  .command('run', { isDefault: true })
  .description('be a real server until SIGINT or SIGTERM, then put everything back')
  .option('--config <file>', "the director's lvs.conf or lvs.yaml")
  .option('--vip <addresses>', 'virtual addresses, with commas between', addresses)
  .addOption(
    new Option('--method <method>', 'forwarding method (default: dr)').choices(['dr', 'tunnel', 'nat']),
  )
  .option('--device <device>', 'carries the VIP: lo, lo:0, dummy0, tunl0 (default: lo)')
  .option('--net-device <device>', 'the device towards the director')
  .option('--gateway <address>', 'nat: the default route, which has to be the director')
  .option(
    '--tunnel <kinds>',
    'tunnel: ipip, gre, gue:PORT, with commas between (default: ipip)',
    encapsulations,
  )
  .option('--once', 'change what is to be changed, and leave', false)
  .addOption(journal())
  .action(run);
program
  .command('restore')
  .description('put back what an agent changed that was killed, or ran with --once')
  .addOption(journal())
  .action(putBack);
program
  .command('status')
  .description('what the agent changed; exit status 3 when none runs')
  .option('--json', 'for programs', false)
  .addOption(journal())
  .action(show);

try {
  await program.parseAsync();
} catch (error) {
  if (!(error instanceof LvsError)) throw error;
  say(error.message);
  process.exitCode = 1;
}
// The raw sockets cannot be closed, and would keep the process.
process.exit();
