/** The commands of lvs-director that start and end a director, and report whether one runs. */
import { type Command, Option } from 'commander';
import { ControlClient } from '../../control/client.ts';
import { socketPath } from '../../control/socket-path.ts';
import { PINS_FOLDERS, pinsFolder } from '../../host/pins-folders.ts';
import { LvsError } from '../../model/errors.ts';
import { LEVELS, type Level } from '../../model/level.ts';
import { isJournalStream } from '../../runtime/journal.ts';
import { DATAPATHS, type DatapathName } from '../../runtime/kernel/datapath.ts';
import { createLog, type LogFormat } from '../../runtime/log.ts';
import { parseListen, socketGroup } from '../arguments.ts';
import { print } from './command-process.ts';
import { configFile, parseConnections } from './option-values.ts';
import { type StopOptions, stop } from './stop.ts';

/** Default address of the web interface. */
const METRICS = '127.0.0.1:9112';
const PINS_TEXT = `(default: ${PINS_FOLDERS[0]} if a bpf file system is mounted there, else ${PINS_FOLDERS[1]})`;

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

/** Adds `run`, which ends the process when the director has ended. */
export function addRunCommand(program: Command): void {
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
      new Option(
        '--socket-group <group>',
        'group, by name or number, that may also use the socket',
      ).argParser(socketGroup),
    )
    .addOption(
      new Option(
        '--metrics [host:port]',
        'serve Prometheus metrics, the status page and JSON on this address',
      )
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
}

/** Adds `stop` and `status`. */
export function addEndCommands(program: Command): void {
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
}
