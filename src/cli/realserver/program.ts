/** lvs-realserver: configures this host as a real server, in the foreground, and restores it on exit. */
import { rmSync } from 'node:fs';
import { availableParallelism, loadavg } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { Command, InvalidArgumentError, Option } from 'commander';
import { openServiceManager, startWatchdog } from '../../host/service-manager.ts';
import { openRawSender } from '../../io/raw-socket.ts';
import { openRawReceiver, openUdpReceiver } from '../../io/tunnel-receivers.ts';
import { LvsError } from '../../model/errors.ts';
import type { Say } from '../../model/level.ts';
import { formatService } from '../../model/naming.ts';
import type { NlbCluster, NlbHost } from '../../model/nlb.ts';
import { type AgentOptions, apply, restore } from '../../realserver/agent.ts';
import { percentOf, serveAgentCheck } from '../../realserver/agent-check.ts';
import { answering } from '../../realserver/cluster/answer.ts';
import type { ClusterAgent } from '../../realserver/cluster/cluster-agent.ts';
import { formatClusterMetrics } from '../../realserver/cluster/cluster-metrics.ts';
import { formatClusterStatus } from '../../realserver/cluster/cluster-status.ts';
import { clusterStatus, controlPath, serveControl } from '../../realserver/cluster/control.ts';
import { joinedServices } from '../../realserver/join/join-options.ts';
import { takeLock } from '../../realserver/lock.ts';
import { thisMachine } from '../../realserver/machine.ts';
import { plan } from '../../realserver/plan.ts';
import { documentOf, type RoleOptions, rolesOf } from '../../realserver/role.ts';
import { defaultStateFile } from '../../realserver/state.ts';
import { formatStatus, status } from '../../realserver/status.ts';
import { attachDecap } from '../../realserver/tunnel/decap-program.ts';
import { openTunnelEnd, type TunnelSockets } from '../../realserver/tunnel/tunnel-end.ts';
import { stderrText } from '../../runtime/journal.ts';
import { version } from '../../runtime/version.ts';
import { loadSystem } from '../../sys/system.ts';
import { isReported, plainArguments, WRONG_ARGUMENTS } from '../argument-errors.ts';
import { parseListen } from '../arguments.ts';
import { handleBrokenPipe } from '../broken-pipe.ts';
import { addClusterCommands, ownHost } from './cluster.ts';
import { type DoctorOptions, doctor, ownAddresses, portList } from './doctor.ts';
import { DEFAULT_JOIN_DRAIN, type Joined, type JoinRunOptions, prepareJoin, withJoin } from './join.ts';
import { withRole } from './role-options.ts';

interface RunOptions extends RoleOptions, JoinRunOptions {
  readonly once: boolean;
  /** Seconds. */
  readonly drain?: number;
  readonly agentCheck?: { readonly host: string; readonly port: number };
  readonly state: string;
}

const SOCKETS: TunnelSockets = {
  openSender: openRawSender,
  openReceiver: openRawReceiver,
  openUdp: openUdpReceiver,
};

/** Exit status of a doctor that failed; 1 means that it found a problem. */
const NOT_EXAMINED = 2;

/** ms between two counts of the connections that a leaving host still has. */
const DRAIN_POLL_MS = 200;

const say: Say = (line, level = 'info') => console.error(stderrText(level, `lvs-realserver: ${line}`));

async function run(options: RunOptions): Promise<void> {
  const document = await documentOf(options, say);
  const services = options.join ? joinedServices(options, document) : [];
  const joined = new Set(services.map(({ service }) => formatService(service)));
  const roles = rolesOf(options, document, ownAddresses(), joined);
  const { drain = options.join ? DEFAULT_JOIN_DRAIN : 0 } = options;
  const host = document?.cluster && ownHost(document.cluster);
  if (host && options.once)
    throw new LvsError('CONFIG', '--once is not supported with mode nlb: this program must keep running');
  if (options.join && (host || options.once))
    throw new LvsError('CONFIG', `--join is not supported with ${host ? 'mode nlb' : '--once'}`);
  const joining = options.join ? await prepareJoin(options, services, document, say) : undefined;
  using _lock = await takeLock();
  const agent: AgentOptions = { machine: thisMachine, stateFile: options.state, say };
  const { changes, notes, tunnelEnd } = await plan(roles, thisMachine);
  for (const note of notes) say(note, 'warning');
  if (tunnelEnd && options.once)
    throw new LvsError(
      'CONFIG',
      '--once is not supported here: this program terminates the tunnel, so it must keep running',
    );
  const asked = signalled();
  const manager = await openServiceManager(process.env, loadSystem, (reason) =>
    say(`systemd: ${reason}`, 'warning'),
  );
  const counts = tunnelEnd && (await openTunnelEnd(tunnelEnd, SOCKETS));
  using program = tunnelEnd && (await attachDecap(tunnelEnd, roles[0]?.netDevice, say));
  if (program) say(`tunnel: a kernel program decapsulates packets on ${program.devices.join(', ')}`);
  await apply(changes, agent);
  using cluster =
    document?.cluster && host && (await joinCluster(document.cluster, host, options.state, agent));
  let isDraining = false;
  const words = () => (isDraining ? 'drain' : capacityReport());
  if (options.agentCheck && !options.once)
    await undone(serveAgentCheck({ ...options.agentCheck, words }), agent);
  using server = joining && (await undone(joining(), agent));
  if (options.once) return say('configured (lvs-realserver restore restores the host)');
  say('ready');
  manager.ready(`${roles.length} roles`);
  using _watchdog = startWatchdog(manager);
  const signal = await asked;
  manager.stopping(`${signal}: restoring the host`);
  if ((options.agentCheck || server) && drain > 0) {
    isDraining = true;
    say(`${signal}: asking for no new connections, for ${drain} s or until another signal`);
  }
  if (server) await leaveServices(server, drain);
  else if (isDraining) await Promise.race([sleep(drain * 1000), signalled()]);
  if (cluster) await leaveCluster(cluster.agent, drain);
  say(`${signal}: restoring the host`);
  await restore(agent);
  if (counts)
    say(
      `tunnels: ${counts.decapsulated} packets decapsulated, ${counts.refused} rejected, ${counts.lost} lost`,
    );
}

/** Joins the cluster, and listens for commands. Restores the host if that fails. */
async function joinCluster(cluster: NlbCluster, host: NlbHost, stateFile: string, changes: AgentOptions) {
  const { ClusterAgent } = await import('../../realserver/cluster/cluster-agent.ts');
  const path = controlPath(stateFile);
  try {
    const agent = await ClusterAgent.open(cluster, host, say);
    const server = await serveControl(
      path,
      answering(agent, () => process.kill(process.pid, 'SIGTERM')),
    );
    return {
      agent,
      [Symbol.dispose]() {
        server.close();
        rmSync(path, { force: true });
        agent[Symbol.dispose]();
      },
    };
  } catch (error) {
    await restore(changes);
    if (error instanceof LvsError) throw error;
    const { message } = error as Error;
    throw new LvsError(
      'UNAVAILABLE',
      `cluster: no filter in the kernel: ${message} (see lvs-realserver doctor)`,
      {
        cause: error,
      },
    );
  }
}

/** Restores the host if `work` fails. */
const undone = <T>(work: Promise<T>, agent: AgentOptions): Promise<T> =>
  work.catch(async (error: unknown) => {
    await restore(agent);
    throw error;
  });

/** Leaves the services that this server has joined, at the latest after `drain` seconds or at another signal. */
async function leaveServices(server: Joined, drain: number): Promise<void> {
  let isCut = false;
  void signalled().then(() => {
    isCut = true;
  });
  await server.leave(drain, () => isCut);
}

/** Hands the places over; then waits until the existing connections have ended, `drain` seconds at most. */
async function leaveCluster(agent: ClusterAgent, drain: number): Promise<void> {
  const ended = signalled();
  await Promise.race([agent.leave(), ended]);
  const until = performance.now() + drain * 1000;
  let isEnded = false;
  void ended.then(() => {
    isEnded = true;
  });
  while (!isEnded && performance.now() < until && agent.connections() > 0) await sleep(DRAIN_POLL_MS);
}

/** Returns the agent's response to directors: its capacity by the load average of the last minute. */
const capacityReport = (): string => `up ready ${percentOf(loadavg()[0]!, availableParallelism())}%`;

function wholeSeconds(text: string): number {
  if (/^\d{1,5}$/.test(text)) return Number(text);
  throw new InvalidArgumentError(`Invalid number of seconds '${text}': expected an integer.`);
}

/** Resolves with the signal that ends the agent. Signals are received from the call on. */
function signalled(): Promise<NodeJS.Signals> {
  // Without a timer the process would end.
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

interface ShowOptions {
  readonly state: string;
  readonly json: boolean;
  readonly metrics: boolean;
}

/** Prints the state. Exit status 3, as of a stopped service, if no agent runs. */
async function show({ state, json, metrics }: ShowOptions): Promise<void> {
  const now = await status(state, thisMachine);
  const cluster = await clusterStatus(state);
  if (metrics) process.stdout.write(cluster ? formatClusterMetrics(cluster) : '');
  else if (json) console.log(JSON.stringify(cluster ? { ...now, cluster } : now, null, 2));
  else console.log([formatStatus(now), ...(cluster ? [formatClusterStatus(cluster)] : [])].join('\n'));
  if (now.pid === undefined) process.exitCode = 3;
}

export const program = new Command('lvs-realserver')
  .description(
    'Configures this host as a real server: the VIP without answering ARP for it, tunnels, and the route for replies.',
  )
  .version(version());
plainArguments(program);
const journal = () =>
  new Option('--state <file>', 'file that records the changes').default(defaultStateFile(), '/run/lvs/...');

withJoin(
  withRole(
    program
      .command('run', { isDefault: true })
      .description('configure this host as a real server until SIGINT or SIGTERM, then restore it'),
  ),
)
  .option(
    '--agent-check <host:port>',
    'report the capacity of this host to directors on this address',
    parseListen,
  )
  .option(
    '--drain <seconds>',
    `with --agent-check, --join or mode nlb: seconds without new connections before the end (default: 0, with --join ${DEFAULT_JOIN_DRAIN})`,
    wholeSeconds,
  )
  .option('--once', 'apply the changes and exit', false)
  .addOption(journal())
  .action(run);
withRole(
  program
    .command('doctor')
    .description(
      'diagnose this host and print the command that fixes each problem; exit status: 0 no problems, 1 problems found, 2 failed',
    ),
)
  .option('--from-director', 'run on the director, and check the real servers of the configuration', false)
  .option('--port <ports>', 'ports of servers on the VIP, such as 80,53/udp', portList)
  .option('--pins <folder>', 'with --from-director: folder in which a director keeps its kernel path')
  .option('--cluster <file>', 'with --from-director: settings of its cluster (docs/cluster.md)')
  .option('--join-cluster <file>', 'settings of the etcd in which this server registers (docs/join.md)')
  .option('--json', 'print JSON', false)
  .addOption(journal())
  .action(async (options: DoctorOptions) => {
    process.exitCode = await doctor(options, console.log, say).catch((error: unknown) => {
      if (!(error instanceof LvsError)) throw error;
      say(error.message, 'error');
      return NOT_EXAMINED;
    });
  });
program
  .command('restore')
  .description('undo the changes of an agent that was killed, or that ran with --once')
  .addOption(journal())
  .action(putBack);
program
  .command('status')
  .description('print the changes of the agent; exit status: 0 it runs, 3 it does not run')
  .option('--json', 'print JSON', false)
  .option('--metrics', 'mode nlb: print Prometheus metrics', false)
  .addOption(journal())
  .action(show);
addClusterCommands(program, journal);

/** Runs the command that the arguments name, and ends the process. */
export async function main(): Promise<void> {
  handleBrokenPipe();
  try {
    await program.parseAsync();
  } catch (error) {
    if (isReported(error)) process.exitCode = error.exitCode === 0 ? 0 : WRONG_ARGUMENTS;
    else if (error instanceof LvsError) {
      say(error.message, 'error');
      process.exitCode = error.code === 'CONFIG' ? WRONG_ARGUMENTS : 1;
    } else throw error;
  }
  // Raw sockets cannot be closed, and would keep the process alive.
  process.exit();
}
