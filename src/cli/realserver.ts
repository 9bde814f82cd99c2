#!/usr/bin/env node
import { availableParallelism, loadavg } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { Command, InvalidArgumentError, Option } from 'commander';
import { openRawReceiver } from '../io/raw-receiver.ts';
import { openRawSender } from '../io/raw-socket.ts';
import { openUdpReceiver } from '../io/udp-receiver.ts';
import { LvsError } from '../model/errors.ts';
import { type AgentOptions, apply, restore } from '../realserver/agent.ts';
import { serveAgentCheck } from '../realserver/agent-check.ts';
import { percentOf } from '../realserver/load.ts';
import { takeLock } from '../realserver/lock.ts';
import { thisMachine } from '../realserver/machine.ts';
import { plan } from '../realserver/plan.ts';
import { documentOf, type RoleOptions, rolesOf } from '../realserver/role.ts';
import { defaultStateFile } from '../realserver/state.ts';
import { formatStatus, status } from '../realserver/status.ts';
import { attachDecap } from '../realserver/tunnel/decap-program.ts';
import { openTunnelEnd, type TunnelSockets } from '../realserver/tunnel/tunnel-end.ts';
import { version } from '../runtime/version.ts';
import { isToldAlready, plainArguments, WRONG_ARGUMENTS } from './argument-errors.ts';
import { parseListen } from './arguments.ts';
import { outliveReaders } from './broken-pipe.ts';
import { type DoctorOptions, doctor, ownAddresses, portList } from './realserver/doctor.ts';
/** lvs-realserver: makes a real server of this host, in the foreground, and puts everything back on exit. */
import { withRole } from './realserver/role-options.ts';

interface RunOptions extends RoleOptions {
  readonly once: boolean;
  /** Seconds. */
  readonly drain: number;
  readonly agentCheck?: { readonly host: string; readonly port: number };
  readonly state: string;
}

const SOCKETS: TunnelSockets = {
  openSender: openRawSender,
  openReceiver: openRawReceiver,
  openUdp: openUdpReceiver,
};

/** Exit status of a doctor that could not look: 1 says that it has found something. */
const NOT_EXAMINED = 2;

const say = (line: string) => console.error(`lvs-realserver: ${line}`);

async function run(options: RunOptions): Promise<void> {
  const roles = rolesOf(options, await documentOf(options, say), ownAddresses());
  using _lock = await takeLock();
  const agent: AgentOptions = { machine: thisMachine, stateFile: options.state, say };
  const { changes, notes, tunnelEnd } = await plan(roles, thisMachine);
  for (const note of notes) say(note);
  if (tunnelEnd && options.once)
    throw new LvsError('CONFIG', 'the tunnel ends in this program, so it has to stay: leave --once away');
  const asked = signalled();
  const counts = tunnelEnd && (await openTunnelEnd(tunnelEnd, SOCKETS));
  using program = tunnelEnd && (await attachDecap(tunnelEnd, roles[0]?.netDevice, say));
  if (program) say(`tunnel: a program in the kernel takes the packets out, at ${program.devices.join(', ')}`);
  await apply(changes, agent);
  let isDraining = false;
  const words = () => (isDraining ? 'drain' : busyness());
  if (options.agentCheck && !options.once)
    await serveAgentCheck({ ...options.agentCheck, words }).catch(async (error) => {
      await restore(agent);
      throw error;
    });
  if (options.once) return say('done; lvs-realserver restore puts everything back');
  say('ready');
  const signal = await asked;
  if (options.agentCheck && options.drain > 0) {
    isDraining = true;
    say(`${signal}: no new connections, for ${options.drain} s or until another signal`);
    await Promise.race([sleep(options.drain * 1000), signalled()]);
  }
  say(`${signal}: putting everything back`);
  await restore(agent);
  if (counts)
    say(`tunnels: ${counts.decapsulated} packets taken out, ${counts.refused} refused, ${counts.lost} lost`);
}

/** What this machine can take now, for directors; the load of the last minute counts. */
const busyness = (): string => `up ready ${percentOf(loadavg()[0]!, availableParallelism())}%`;

function wholeSeconds(text: string): number {
  if (/^\d{1,5}$/.test(text)) return Number(text);
  throw new InvalidArgumentError(`'${text}' is no number of seconds.`);
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
  .version(version());
plainArguments(program);
const journal = () =>
  new Option('--state <file>', 'where it is written what was changed').default(
    defaultStateFile(),
    '/run/lvs/...',
  );

withRole(
  program
    .command('run', { isDefault: true })
    .description('be a real server until SIGINT or SIGTERM, then put everything back'),
)
  .option('--agent-check <host:port>', 'tell directors there what this machine can take', parseListen)
  .option(
    '--drain <seconds>',
    'with --agent-check: ask for no new connections before the end',
    wholeSeconds,
    0,
  )
  .option('--once', 'change what is to be changed, and leave', false)
  .addOption(journal())
  .action(run);
withRole(
  program
    .command('doctor')
    .description(
      'tell what is wrong with this host in its role, and how to mend it: 0 nothing, 1 something, 2 it could not look',
    ),
)
  .option('--from-director', 'this is the director: ask the real servers of the configuration', false)
  .option('--port <ports>', 'ports of the VIP with servers, such as 80,53/udp', portList)
  .option('--json', 'for programs', false)
  .action(async (options: DoctorOptions) => {
    process.exitCode = await doctor(options, console.log, say).catch((error: unknown) => {
      if (!(error instanceof LvsError)) throw error;
      say(error.message);
      return NOT_EXAMINED;
    });
  });
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

outliveReaders();
try {
  await program.parseAsync();
} catch (error) {
  if (isToldAlready(error)) process.exitCode = error.exitCode === 0 ? 0 : WRONG_ARGUMENTS;
  else if (error instanceof LvsError) {
    say(error.message);
    process.exitCode = 1;
  } else throw error;
}
// The raw sockets cannot be closed, and would keep the process.
process.exit();
