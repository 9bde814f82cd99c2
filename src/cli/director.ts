#!/usr/bin/env node
import { Command, InvalidArgumentError, Option } from 'commander';
import { ControlClient } from '../control/client.ts';
import { socketPath } from '../control/socket-path.ts';
import { MAX_LIMIT } from '../director/connections.ts';
import { LvsError } from '../model/errors.ts';
import type { Protocol } from '../model/service.ts';
import { DATAPATHS, type DatapathName, describe, probe } from '../runtime/datapath.ts';
import { createLog, LEVELS, type Level, type LogFormat } from '../runtime/log.ts';
import { runDirector } from '../runtime/run-director.ts';
import { version } from '../runtime/version.ts';
import { isToldAlready, plainArguments, WRONG_ARGUMENTS } from './argument-errors.ts';
import { parseEndpointArgument, parseListen, parseServiceArgument, socketGroup } from './arguments.ts';
import { outliveReaders } from './broken-pipe.ts';
import { askReload } from './director/ask-reload.ts';
import { type CaptureOptions, capture } from './director/capture.ts';
import { checkConfig } from './director/check.ts';
import { compileConfig, FORMATS, type Format } from './director/compile.ts';
import { explain, firstPacket } from './director/explain.ts';
import { type ImportOptions, importConfig, SOURCES } from './director/import.ts';
import { packetOfFile } from './director/pcap-packet.ts';
import { printPlan } from './director/plan.ts';
import { type ReplayOptions, replayFile } from './director/replay.ts';
/** lvs-director: argv in, exit status out. */
import { top } from './director/top.ts';

/** Exit status of anything that failed at run time; wrong arguments and wrong files have another. */
const FAILED = 1;
/** Where the web interface is when it is not said where. */
const METRICS = '127.0.0.1:9112';

interface RunArguments {
  readonly config: string;
  readonly interface?: string[];
  readonly socket: string;
  readonly socketGroup?: number;
  readonly metrics?: { host: string; port: number };
  readonly metricsName?: string[];
  readonly procfs?: string;
  readonly connections: number;
  readonly datapath: DatapathName;
  readonly flows: number;
  readonly logFormat: LogFormat;
  readonly logLevel: Level;
}

const print = (text: string) => void process.stdout.write(text);

function parseSeed(text: string): number {
  const seed = Number(text);
  if (!(Number.isInteger(seed) && seed >= 0 && seed < 2 ** 32))
    throw new InvalidArgumentError('a whole number from 0 to 4294967295');
  return seed;
}

/** Returns the rows of the connection table. */
function parseConnections(text: string): number {
  const rows = Number(text);
  if (!(Number.isInteger(rows) && rows >= 1024 && rows <= MAX_LIMIT))
    throw new InvalidArgumentError(`give a whole number of 1024 to ${MAX_LIMIT}`);
  return rows;
}

function parseWhole(text: string): number {
  const number = Number(text);
  if (!(Number.isSafeInteger(number) && number > 0)) throw new InvalidArgumentError('a whole number above 0');
  return number;
}

/** A larger table is more memory than the kernel's verifier lets one offset reach. */
const MOST_FLOWS = 2 ** 22;

/** Returns the flows of the kernel path. */
function parseFlows(text: string): number {
  const flows = Number(text);
  if (!(Number.isInteger(flows) && flows >= 64 && flows <= MOST_FLOWS))
    throw new InvalidArgumentError(`give a whole number of 64 to ${MOST_FLOWS}`);
  return flows;
}

const program = new Command('lvs-director')
  .description(
    'The director of a Linux Virtual Server: forwards the packets of virtual services to real servers.',
  )
  .version(version());
plainArguments(program);

program
  .command('run')
  .description('forward packets, in the foreground; SIGHUP reads the file again, SIGTERM ends')
  .requiredOption('--config <file>', 'lvs.conf, or lvs.yaml by its ending')
  .option('--interface <name...>', 'where to listen (default: the interfaces that the file names)')
  .option('--socket <path>', 'the control socket that ipvsadm speaks to', socketPath(process.env))
  .addOption(
    new Option('--socket-group <group>', 'may use the socket too, by name or number').argParser(socketGroup),
  )
  .addOption(
    new Option('--metrics [host:port]', 'serve metrics for Prometheus, the status page and JSON there')
      .preset(METRICS)
      .argParser(parseListen),
  )
  .option(
    '--metrics-name <name...>',
    'names in the Host header of --metrics, besides IP addresses, localhost and the host name',
  )
  .option('--procfs <folder>', 'keep ip_vs, ip_vs_conn and ip_vs_stats there, as /proc/net has them')
  .option(
    '--connections <number>',
    'most connections at a time; memory is taken as they come, 128 octets each',
    parseConnections,
    1_048_576,
  )
  .addOption(
    new Option(
      '--datapath <way>',
      'who forwards known connections: the kernel (tc, xdp), or this process (live); auto: tc where it can be',
    )
      .choices(DATAPATHS)
      .default('auto'),
  )
  .option(
    '--flows <number>',
    'flows of each IP version that the kernel has room for; 192 octets each, taken at the start',
    parseFlows,
    262_144,
  )
  .addOption(new Option('--log-format <format>', 'form of the log').choices(['text', 'json']).default('text'))
  .addOption(
    new Option('--log-level <level>', 'the least that is logged').choices([...LEVELS]).default('info'),
  )
  .action(async (options: RunArguments) => {
    const { interface: interfaces, logFormat, logLevel, metricsName, ...rest } = options;
    const log = createLog({ format: logFormat, level: logLevel });
    await runDirector({
      ...rest,
      ...(interfaces ? { interfaces } : {}),
      ...(metricsName ? { metricsNames: metricsName } : {}),
      log,
    });
    process.exit(0);
  });

program
  .command('features')
  .description('tell what this kernel offers for forwarding known connections itself, and why not more')
  .action(async () => {
    for (const line of describe(await probe())) console.log(line);
  });

program
  .command('check')
  .description('tell whether a configuration file can be used: 0 yes, 2 no')
  .argument('<file>')
  .action(async (file: string) => {
    process.exitCode = await checkConfig(file, console.log, console.error);
  });

program
  .command('compile')
  .description('print a configuration file as rules for ipvsadm -R, or in another form')
  .argument('<file>')
  .addOption(new Option('--format <form>', 'of the output').choices([...FORMATS]).default('ipvsadm'))
  .action(async (file: string, { format }: { format: Format }) => {
    process.exitCode = await compileConfig(file, format, print, console.error);
  });

program
  .command('import')
  .description('print the configuration of another program as lvs.yaml; what was left out goes to stderr')
  .argument('<file>')
  .addOption(new Option('--from <program>', 'of the file (default: by its content)').choices([...SOURCES]))
  .option('--config-id <name>', "keepalived: the config id of '@name' lines (default: the host's name)")
  .action((file: string, options: ImportOptions) => importConfig(file, options, print, console.error));

program
  .command('plan')
  .description('tell what a reload with a file would do to the running director, and do nothing')
  .argument('<file>')
  .option('--socket <path>', "the director's control socket", socketPath(process.env))
  .option('--json', 'for programs', false)
  .action(async (file: string, { socket, json }: { socket: string; json: boolean }) => {
    using door = new ControlClient(socket);
    await printPlan(file, json, door, print, console.error);
  });

program
  .command('reload')
  .description('make the running director read its file again; a file with mistakes changes nothing')
  .option('--socket <path>', "the director's control socket", socketPath(process.env))
  .action(async ({ socket }: { socket: string }) => {
    using door = new ControlClient(socket);
    await askReload(door, print, console.error);
  });

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
  .description('tell what the running director would do with a packet, and why: 0 it is not dropped, 1 it is')
  .option('--from <address:port>', 'the client of a new connection', parseEndpointArgument)
  .option('--to <address:port>', 'what it connects to', parseEndpointArgument)
  .addOption(
    new Option('--protocol <name>', 'of that connection').choices(['tcp', 'udp', 'sctp']).default('tcp'),
  )
  .addOption(
    new Option('--pcap <file>', 'take the packet from there instead').conflicts(['from', 'to', 'protocol']),
  )
  .addOption(
    new Option('--packet <number>', 'which one of the file')
      .argParser(parseWhole)
      .default(1)
      .conflicts(['from', 'to', 'protocol']),
  )
  .option('--socket <path>', "the director's control socket", socketPath(process.env))
  .option('--json', 'for programs', false)
  .action(async ({ from, to, protocol, pcap, packet, socket, json }: ExplainArguments) => {
    if (pcap === undefined && !(from && to))
      throw new LvsError('CONFIG', 'explain: give --from and --to, or --pcap and --packet');
    const octets = pcap === undefined ? firstPacket(from!, to!, protocol) : packetOfFile(pcap, packet);
    using door = new ControlClient(socket);
    process.exitCode = (await explain(octets, json, door, print)) ? 0 : FAILED;
  });

program
  .command('top')
  .description(
    'show services and destinations with their rates, until q; printed once where there is no terminal',
  )
  .option('--interval <seconds>', 'between two looks', parseWhole, 2)
  .option('--socket <path>', "the director's control socket", socketPath(process.env))
  .action(async ({ interval, socket }: { interval: number; socket: string }) => {
    using door = new ControlClient(socket);
    const { stdin: input, stdout: output } = process;
    await top({ door, interval: interval * 1000, input, output, signal: untilSignal() });
  });

program
  .command('capture')
  .description('write packets of a service, before and after forwarding, with comments, until SIGINT')
  .requiredOption(
    '--service <name>',
    'such as tcp:192.0.2.1:80, udp:[2001:db8::1]:53, mark:7',
    parseServiceArgument,
  )
  .requiredOption('-w, --write <file>', 'a pcapng file; - for stdout')
  .option('--count <number>', 'packets after which it ends', parseWhole)
  .option('--socket <path>', "the director's control socket", socketPath(process.env))
  .action(async ({ socket, ...options }: Omit<CaptureOptions, 'signal' | 'tell'> & { socket: string }) => {
    using door = new ControlClient(socket);
    await capture(door, { ...options, signal: untilSignal(), tell: console.error });
  });

/** Aborts when the user has had enough. */
function untilSignal(): AbortSignal {
  const ending = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => ending.abort(signal));
  return ending.signal;
}

program
  .command('replay')
  .description('pass recorded packets through a director, and print the connections at the end')
  .requiredOption('--config <file>', 'lvs.conf, or lvs.yaml by its ending')
  .requiredOption('--in <file>', 'what the director hears, a pcap file')
  .requiredOption('--out <file>', 'what it sends, as a pcap file of IP packets')
  .option('--seed <number>', 'of the random source: same input and seed, same output', parseSeed, 1)
  .option('--json', 'print everything as JSON')
  .action((options: ReplayOptions) => replayFile(options, print));

outliveReaders();
try {
  await program.parseAsync();
} catch (error) {
  // Not exitCode: packet captures would keep the process alive.
  process.exit(exitStatus(error));
}

function exitStatus(error: unknown): number {
  if (isToldAlready(error)) return error.exitCode === 0 ? 0 : WRONG_ARGUMENTS;
  if (!(error instanceof LvsError)) throw error;
  console.error(`lvs-director: ${error.message}`);
  return error.code === 'CONFIG' ? WRONG_ARGUMENTS : FAILED;
}
