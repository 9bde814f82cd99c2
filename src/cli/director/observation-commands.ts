/** The commands of lvs-director that show what a running director does with packets: explain, top and capture. */
import { type Command, Option } from 'commander';
import { ControlClient } from '../../control/client.ts';
import { socketPath } from '../../control/socket-path.ts';
import { packetOfFile } from '../../io/recorded-packet.ts';
import { LvsError } from '../../model/errors.ts';
import type { Protocol } from '../../model/service.ts';
import { parseEndpointArgument, parseServiceArgument } from '../arguments.ts';
import { type CaptureOptions, capture } from './capture.ts';
import { FAILED, print, untilSignal } from './command-process.ts';
import { explain, firstPacket } from './explain.ts';
import { parseWhole } from './option-values.ts';
import { top } from './top.ts';
import { DEFAULT_VIEW, ORDERS, type View } from './top-lines.ts';

interface ExplainArguments {
  readonly from?: { address: string; port: number };
  readonly to?: { address: string; port: number };
  readonly protocol: Protocol;
  readonly pcap?: string;
  readonly packet: number;
  readonly socket: string;
  readonly json: boolean;
}

interface TopArguments {
  readonly interval: number;
  readonly sort: View['order'];
  readonly filter: string;
  readonly services: boolean;
  readonly socket: string;
}

/** Adds the commands. */
export function addObservationCommands(program: Command): void {
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
    .action(async ({ interval, sort, filter, services, socket }: TopArguments) => {
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
    .action(
      async ({ socket, ...options }: Omit<CaptureOptions, 'signal' | 'report'> & { socket: string }) => {
        using api = new ControlClient(socket);
        await capture(api, { ...options, signal: untilSignal(), report: console.error });
      },
    );
}
