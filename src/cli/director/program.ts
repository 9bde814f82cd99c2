/** lvs-director: parses arguments, runs a command, and exits with its status. */
import { Argument, Command, Option } from 'commander';
import { ControlClient } from '../../control/client.ts';
import { socketPath } from '../../control/socket-path.ts';
import { PINS_FOLDERS, pinsFolder } from '../../host/pins-folders.ts';
import { packetOfFile } from '../../io/recorded-packet.ts';
import { LvsError } from '../../model/errors.ts';
import { LEVELS, type Level } from '../../model/level.ts';
import type { Protocol } from '../../model/service.ts';
import { VRRP_STATES, VRRP_TYPES, type VrrpInstance } from '../../model/vrrp.ts';
import { DATAPATHS, type DatapathName, describe, probe } from '../../runtime/datapath.ts';
import { isJournalStream, stderrText } from '../../runtime/journal.ts';
import { createLog, type LogFormat } from '../../runtime/log.ts';
import { version } from '../../runtime/version.ts';
import { isReported, plainArguments, WRONG_ARGUMENTS } from '../argument-errors.ts';
import { parseEndpointArgument, parseListen, parseServiceArgument, socketGroup } from '../arguments.ts';
import { handleBrokenPipe } from '../broken-pipe.ts';
import { FILE_LIMIT_TEXT, isFileLimit } from '../load-program.ts';
import { type CaptureOptions, capture } from './capture.ts';
import { addClusterCommands } from './cluster.ts';
import { explain, firstPacket } from './explain.ts';
import { FORMATS, type Format, SOURCES } from './formats.ts';
import type { ImportOptions } from './import.ts';
import { notify } from './notify.ts';
import { addOperations } from './operations.ts';
import { configFile, parseConnections, parsePriority, parseSeed, parseWhole } from './option-values.ts';
import { askReload } from './reload.ts';
import type { ReplayOptions } from './replay.ts';
import { type StopOptions, stop } from './stop.ts';
import { top } from './top.ts';
import { DEFAULT_VIEW, ORDERS, type View } from './top-lines.ts';

/** Exit status of failures at run time; wrong arguments and files have another one. */
const FAILED = 1;
const PINS_TEXT = `(default: ${PINS_FOLDERS[0]} if a bpf file system is mounted there, else ${PINS_FOLDERS[1]})`;
/** Default address of the web interface. */
const METRICS = '127.0.0.1:9112';
/** What keepalived calls a master that has received an advertisement of a lower priority. */
const STILL_MASTER = 'MASTER_RX_LOWER_PRI';

interface RunArguments {
  readonly config?: string;
  readonly cluster?: string;
  readonly interface?: string[];
  readonly socket: string;
  readonly socketGroup?: number;
  readonly metrics?: { host: string; port: number };
  readonly metricsName?: string[];
  readonly procfs?: string;
  readonly readyFile?: string;
  readonly standby: boolean;
  readonly connections?: number;
  readonly datapath: DatapathName;
  readonly flows?: string;
  readonly pins?: string;
  readonly keep: boolean;
  readonly replace: boolean;
  readonly logFormat: LogFormat;
  readonly logLevel: Level;
}

interface TopCommand {
  readonly interval: number;
  readonly sort: View['order'];
  readonly filter: string;
  readonly services: boolean;
  readonly socket: string;
}

// Modules of commands are loaded by them: parsers and validators take most of the time of a start.
const print = (text: string) => void process.stdout.write(text);

export const program = new Command('lvs-director')
  .description(
    'The director of a Linux Virtual Server: forwards the packets of virtual services to real servers.',
  )
  .version(version());
plainArguments(program);

program
  .command('run')
  .description('forward packets in the foreground; SIGHUP reloads the file, SIGTERM ends')
  .option('--config <file>', 'lvs.conf, or lvs.yaml (by the extension)', configFile)
  .addOption(
    new Option('--cluster <file>', 'settings of a cluster, which has the configuration (docs/cluster.md)')
      .argParser(configFile)
      .conflicts('config'),
  )
  .option('--interface <name...>', 'interfaces to receive on (default: those in the file)')
  .option('--socket <path>', 'control socket for ipvsadm and other clients', socketPath(process.env))
  .addOption(
    new Option('--socket-group <group>', 'group, by name or number, that may also use the socket').argParser(
      socketGroup,
    ),
  )
  .addOption(
    new Option('--metrics [host:port]', 'serve Prometheus metrics, the status page and JSON on this address')
      .preset(METRICS)
      .argParser(parseListen),
  )
  .option(
    '--metrics-name <name...>',
    'host names to accept in requests to --metrics, besides localhost and the host name',
  )
  .option(
    '--procfs <folder>',
    'write ip_vs, ip_vs_conn and ip_vs_stats to this folder, in the format of /proc/net',
  )
  .option(
    '--ready-file <path>',
    'file for track_file of keepalived: 0 while packets are forwarded, 1 otherwise, also after kill -9',
  )
  .option('--standby', 'leave the VIPs of the file to another program, such as keepalived', false)
  .option(
    '--connections <number>',
    'maximum number of connections, of both IP versions; 144 bytes each (default: 1048576, or what fits into 1/16 of the memory)',
    parseConnections,
  )
  .addOption(
    new Option(
      '--datapath <name>',
      'what forwards known connections: the kernel (tc, xdp) or this process (live); auto: tc if available',
    )
      .choices(DATAPATHS)
      .default('auto'),
  )
  .option(
    '--pins <folder>',
    `folder of a bpf file system that keeps the kernel path while no director runs ${PINS_TEXT}`,
  )
  .option('--keep', 'SIGTERM leaves the connections, the guard and the VIPs to the next director', false)
  .option(
    '--replace',
    'take over from the director that runs, which ends when this one is about to start',
    false,
  )
  .addOption(
    new Option('--flows <number>', 'without effect: the kernel path uses the connection table').hideHelp(),
  )
  .addOption(
    new Option('--log-format <format>', 'format of the log').choices(['text', 'json']).default('text'),
  )
  .addOption(new Option('--log-level <level>', 'minimum level to log').choices([...LEVELS]).default('info'))
  .action(async (options: RunArguments) => {
    const {
      interface: interfaces,
      flows,
      logFormat,
      logLevel,
      metricsName,
      pins,
      config,
      cluster,
      ...rest
    } = options;
    if (config === undefined && cluster === undefined)
      throw new LvsError('CONFIG', 'run: configuration missing: expected --config or --cluster');
    const log = createLog({
      format: logFormat,
      level: logLevel,
      isJournal: isJournalStream(process.env, process.stderr.fd),
    });
    if (flows !== undefined)
      log('warning', 'option-ignored', {
        option: '--flows',
        reason: 'the kernel path uses the connection table (see --connections)',
      });
    const { runDirector } = await import('../../runtime/run-director.ts');
    await runDirector({
      ...rest,
      source: cluster === undefined ? { config: config! } : { cluster },
      pins: pins ?? pinsFolder(),
      ...(interfaces ? { interfaces } : {}),
      ...(metricsName ? { metricsNames: metricsName } : {}),
      log,
    });
    process.exit(0);
  });

program
  .command('features')
  .description('report which kernel datapaths are available, and what is missing for the others')
  .action(async () => {
    for (const line of describe(await probe())) console.log(line);
  });

program
  .command('check')
  .description('check a configuration file; exit status: 0 valid, 2 invalid')
  .argument('<file>', 'lvs.conf, or lvs.yaml; - reads the standard input')
  .action(async (file: string) => {
    const { checkConfig } = await import('./compile.ts');
    process.exitCode = await checkConfig(file, console.log, console.error);
  });

program
  .command('compile')
  .description('print a configuration file as rules for ipvsadm -R, or in another format')
  .argument('<file>', 'lvs.conf, or lvs.yaml; - reads the standard input')
  .addOption(new Option('--format <form>', 'output format').choices([...FORMATS]).default('ipvsadm'))
  .action(async (file: string, { format }: { format: Format }) => {
    const { compileConfig } = await import('./compile.ts');
    process.exitCode = await compileConfig(file, format, print, console.error);
  });

program
  .command('import')
  .description('print the configuration of another program as lvs.yaml, and on stderr what was left out')
  .argument('<file>', 'file to convert; - reads the standard input')
  .addOption(new Option('--from <program>', 'program of the file (default: detected)').choices([...SOURCES]))
  .option('--config-id <name>', "keepalived: the config id of '@name' lines (default: the host's name)")
  .addOption(
    new Option(
      '--keepalived <file>',
      'keepalived: also write the keepalived.conf that remains, without virtual servers',
    ).conflicts('vips'),
  )
  .option('--vips', 'keepalived: take the VIPs of VRRP instances over; keepalived must not run then')
  .action(async (file: string, options: ImportOptions) => {
    const { importConfig } = await import('./import.ts');
    await importConfig(file, options, print, console.error);
  });

program
  .command('plan')
  .description('print what a reload of the running director with this file would change')
  .argument('<file>', 'lvs.conf, or lvs.yaml; - reads the standard input')
  .option('--socket <path>', 'control socket of the director', socketPath(process.env))
  .option('--json', 'print JSON', false)
  .action(async (file: string, { socket, json }: { socket: string; json: boolean }) => {
    using api = new ControlClient(socket);
    const { printPlan } = await import('./plan.ts');
    await printPlan(file, json, api, print, console.error);
  });

program
  .command('reload')
  .description('make the running director reload its file; an invalid file changes nothing')
  .option('--socket <path>', 'control socket of the director', socketPath(process.env))
  .action(async ({ socket }: { socket: string }) => {
    using api = new ControlClient(socket);
    await askReload(api, print, console.error);
  });

program
  .command('stop')
  .description('make the running director end and restore the host; under systemd use systemctl stop')
  .addOption(
    new Option('--keep', 'leave the connections, the guard and the VIPs to the next director')
      .default(false)
      .conflicts('release'),
  )
  .option(
    '--release',
    'also remove the kernel path, the connection table, the guard and the VIPs that killed directors left',
    false,
  )
  .option('--pins <folder>', `folder in which a killed director kept its kernel path ${PINS_TEXT}`)
  .option('--socket <path>', 'control socket of the director', socketPath(process.env))
  .action(async ({ pins, ...options }: Omit<StopOptions, 'pins'> & { pins?: string }) => {
    using api = new ControlClient(options.socket);
    await stop(api, { ...options, pins: pins === undefined ? PINS_FOLDERS : [pins] }, print);
  });

program
  .command('status')
  .description(
    'report whether a director runs, and what a killed one has left; exit status: 0 a director runs, 1 one has left something, 3 none',
  )
  .option('--pins <folder>', `folder in which a killed director kept its kernel path ${PINS_TEXT}`)
  .option('--socket <path>', 'control socket of the director', socketPath(process.env))
  .option('--json', 'print JSON', false)
  .action(async ({ pins, socket, json }: { pins?: string; socket: string; json: boolean }) => {
    // A director that hangs is reported, too.
    using api = new ControlClient(socket, { timeout: 2000 });
    const { printStatus } = await import('./status.ts');
    process.exitCode = await printStatus(pins === undefined ? PINS_FOLDERS : [pins], api, json, print);
  });

addOperations(program, FAILED, untilSignal);
addClusterCommands(program, FAILED);

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

interface ExplainArguments {
  readonly from?: { address: string; port: number };
  readonly to?: { address: string; port: number };
  readonly protocol: Protocol;
  readonly pcap?: string;
  readonly packet: number;
  readonly socket: string;
  readonly json: boolean;
}

program
  .command('explain')
  .description(
    'report what the running director would do with a packet, and why; exit status: 0 not dropped, 1 dropped',
  )
  .option('--from <address:port>', 'client of a new connection', parseEndpointArgument)
  .option('--to <address:port>', 'destination address of the connection', parseEndpointArgument)
  .addOption(
    new Option('--protocol <name>', 'protocol of the connection')
      .choices(['tcp', 'udp', 'sctp'])
      .default('tcp'),
  )
  .addOption(new Option('--pcap <file>', 'file with the packet').conflicts(['from', 'to', 'protocol']))
  .addOption(
    new Option('--packet <number>', 'number of the packet in the file')
      .argParser(parseWhole)
      .default(1)
      .conflicts(['from', 'to', 'protocol']),
  )
  .option('--socket <path>', 'control socket of the director', socketPath(process.env))
  .option('--json', 'print JSON', false)
  .action(async ({ from, to, protocol, pcap, packet, socket, json }: ExplainArguments) => {
    if (pcap === undefined && !(from && to))
      throw new LvsError(
        'CONFIG',
        'explain: missing packet: expected --from and --to, or --pcap and --packet',
      );
    const octets = pcap === undefined ? firstPacket(from!, to!, protocol) : packetOfFile(pcap, packet);
    using api = new ControlClient(socket);
    process.exitCode = (await explain(octets, json, api, print)) ? 0 : FAILED;
  });

program
  .command('top')
  .description(
    'show services and destinations with their rates, refreshed until q; once if stdout is not a terminal',
  )
  .option('--interval <seconds>', 'refresh interval', parseWhole, 2)
  .addOption(new Option('--sort <order>', 'order of services').choices(ORDERS).default(DEFAULT_VIEW.order))
  .option('--filter <words>', 'show only what has these words in its name, address or state', '')
  .option('--services', 'do not show destinations', false)
  .option('--socket <path>', 'control socket of the director', socketPath(process.env))
  .action(async ({ interval, sort, filter, services, socket }: TopCommand) => {
    const { stdin: input, stdout: output } = process;
    await top({
      open: () => new ControlClient(socket),
      view: { order: sort, filter, isCollapsed: services },
      interval: interval * 1000,
      ...{ input, output, signal: untilSignal() },
    });
  });

program
  .command('capture')
  .description('write packets of a service, before and after forwarding, with comments, until SIGINT')
  .requiredOption(
    '--service <name>',
    'service, such as tcp:192.0.2.1:80, udp:[2001:db8::1]:53, mark:7',
    parseServiceArgument,
  )
  .requiredOption('-w, --write <file>', 'pcapng file to write; - for stdout')
  .option('--count <number>', 'number of packets after which to end', parseWhole)
  .option('--socket <path>', 'control socket of the director', socketPath(process.env))
  .action(async ({ socket, ...options }: Omit<CaptureOptions, 'signal' | 'report'> & { socket: string }) => {
    using api = new ControlClient(socket);
    await capture(api, { ...options, signal: untilSignal(), report: console.error });
  });

/** Returns a signal that aborts at SIGINT and SIGTERM. */
function untilSignal(): AbortSignal {
  const ending = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => ending.abort(signal));
  return ending.signal;
}

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
