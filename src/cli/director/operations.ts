/** The commands of lvs-director by which operators change the work of the running director until they end the change. */
import { isIP } from 'node:net';
import { type Command, InvalidArgumentError, Option } from 'commander';
import { ControlClient } from '../../control/client.ts';
import { socketPath } from '../../control/socket-path.ts';
import { isName } from '../../model/entity-name.ts';
import { LvsError } from '../../model/errors.ts';
import type { ServiceAddress } from '../../model/service.ts';
import { parseServiceArgument } from '../arguments.ts';
import { followForExabgp, formatListing, type ListingFormat } from './announcements.ts';
import { FAILED, print, untilSignal } from './command-process.ts';
import { deny, listDenied, undeny } from './deny.ts';
import { type DrainOptions, drain, listDrained, undrain } from './drain.ts';
import { parseDuration } from './option-values.ts';

/** ms after which a director that does not answer is taken for dead. */
const FOLLOW_TIMEOUT_MS = 3000;
/** Seconds for which `drain --wait` waits by default. */
const DRAIN_TIMEOUT_S = 300;
const SERVER = 'name or address of the server, or address:port for one port';

/** What ExaBGP replaces by the address of its session. */
const OWN_ADDRESS = 'self';

/** Adds the commands. */
export function addOperations(program: Command): void {
  program
    .command('drain')
    .description(
      'take a server out of all services: it keeps its connections and gets no new ones; without a server, list drained ones',
    )
    .argument('[server]', SERVER)
    .option('--wait', 'wait until the server has no connections; exit status 1: it still has some', false)
    .addOption(
      new Option('--timeout <time>', 'longest time to wait, such as 90s, 5m or 1h')
        .argParser(parseDuration)
        .default(DRAIN_TIMEOUT_S, '5m'),
    )
    .option('--socket <path>', 'control socket of the director', socketPath(process.env))
    .action(async (server: string | undefined, options: DrainOptions & { readonly socket: string }) => {
      using api = new ControlClient(options.socket);
      if (server !== undefined) process.exitCode = (await drain(server, options, api, print)) ? 0 : FAILED;
      else if (options.wait) throw new LvsError('CONFIG', 'drain --wait: server missing');
      else await listDrained(api, print);
    });

  program
    .command('undrain')
    .description('end the drain of a server')
    .argument('<server>', SERVER)
    .option('--socket <path>', 'control socket of the director', socketPath(process.env))
    .action(async (server: string, { socket }: { socket: string }) => {
      using api = new ControlClient(socket);
      await undrain(server, api, print);
    });

  program
    .command('deny')
    .description(
      'block a client: it gets no new connections, and its connections end; without an address, list what is denied',
    )
    .argument('[address]', 'address, or prefix such as 198.51.100.0/24')
    .option(
      '--for <time>',
      'time until it may connect again, such as 90s, 10m or 1h (default: until undeny)',
      parseDuration,
    )
    .option('--new-only', 'leave its connections as they are')
    .addOption(serviceOption())
    .option('--socket <path>', 'control socket of the director', socketPath(process.env))
    .action(async (address: string | undefined, options: DenyArguments) => {
      using api = new ControlClient(options.socket);
      const { for: seconds, newOnly } = options;
      if (address === undefined) {
        if (seconds !== undefined || newOnly || options.service)
          throw new LvsError('CONFIG', 'deny: address missing: the options are those of an entry');
        await listDenied(api, print);
        return;
      }
      const service = await addressOf(options.service, api);
      const request = {
        address,
        ...(service && { service }),
        ...(seconds !== undefined && { seconds }),
        ...(newOnly && { newOnly }),
      };
      await deny(request, api, print, console.error);
    });

  program
    .command('undeny')
    .description('end what a deny command began')
    .argument('<address>', 'address or prefix, as it was denied')
    .addOption(serviceOption())
    .option('--socket <path>', 'control socket of the director', socketPath(process.env))
    .action(async (address: string, { service, socket }: DenyArguments) => {
      using api = new ControlClient(socket);
      await undeny(address, await addressOf(service, api), api, print);
    });

  program
    .command('joined')
    .description('list the servers that have joined by themselves, with their weights and states')
    .option('--json', 'print JSON', false)
    .option('--socket <path>', 'control socket of the director', socketPath(process.env))
    .action(async ({ json, socket }: { json: boolean; socket: string }) => {
      using api = new ControlClient(socket);
      const { listJoined } = await import('./joined.ts');
      await listJoined(json, api, print);
    });

  addAnnouncements(program);
}

function addAnnouncements(program: Command): void {
  program
    .command('announcements')
    .description('list the VIPs that are announced to routers, or print them for ExaBGP until a signal')
    .addOption(
      new Option('--format <form>', 'text or json; exabgp: a line for each change, without end')
        .choices(['text', 'json', 'exabgp'])
        .default('text'),
    )
    .addOption(
      new Option('--next-hop <address>', 'exabgp: next hop of the routes, or self')
        .default(OWN_ADDRESS)
        .argParser(parseNextHop),
    )
    .addOption(
      new Option(
        '--family <family>',
        'exabgp: IP version of the VIPs, ipv4 or ipv6 (default: that of --next-hop, or ipv4)',
      ).choices(['ipv4', 'ipv6']),
    )
    .option('--socket <path>', 'control socket of the director', socketPath(process.env))
    .action(async ({ format, nextHop, family, socket }: AnnouncementArguments) => {
      using api = new ControlClient(socket, { timeout: FOLLOW_TIMEOUT_MS });
      if (format === 'exabgp') {
        // ExaBGP acknowledges each line.
        process.stdin.resume();
        process.stdin.on('end', () => process.exit(0));
        const version = family === 'ipv6' || (family === undefined && isIP(nextHop) === 6) ? 6 : 4;
        await followForExabgp(api, { nextHop, version }, print, console.error, untilSignal());
        process.exit(0);
      }
      const listing = await api.announcements();
      print(format === 'json' ? `${JSON.stringify(listing, null, 2)}\n` : formatListing(listing));
    });

  for (const [name, description] of [
    ['withdraw', 'withdraw all VIPs from routers until `announce`; connections go on'],
    ['announce', 'announce the VIPs that are ready, after `withdraw`'],
  ] as const)
    program
      .command(name)
      .description(description)
      .option('--socket <path>', 'control socket of the director', socketPath(process.env))
      .action(async ({ socket }: { socket: string }) => {
        using api = new ControlClient(socket);
        print(formatListing(await api[name]()));
      });
}

interface AnnouncementArguments {
  readonly format: ListingFormat;
  readonly nextHop: string;
  readonly family?: 'ipv4' | 'ipv6';
  readonly socket: string;
}

function parseNextHop(text: string): string {
  if (text === OWN_ADDRESS || isIP(text) !== 0) return text;
  throw new InvalidArgumentError('expected an IPv4 or IPv6 address, or self');
}

interface DenyArguments {
  readonly for?: number;
  readonly newOnly?: true;
  readonly service?: ServiceAddress | string;
  readonly socket: string;
}

const serviceOption = (): Option =>
  new Option('--service <name>', 'service, by its name or such as tcp:192.0.2.1:80 (default: all)').argParser(
    (text) => (isName(text) ? text : parseServiceArgument(text)),
  );

/** Returns the address of a service that is given by its name. Throws LvsError. */
async function addressOf(
  service: ServiceAddress | string | undefined,
  api: Pick<ControlClient, 'snapshot'>,
): Promise<ServiceAddress | undefined> {
  if (typeof service !== 'string') return service;
  const { services } = await api.snapshot({ services: true });
  const found = services.find(({ name }) => name === service);
  if (!found) throw new LvsError('NO_SUCH_SERVICE', `${service}: no service has this name`);
  return found.service;
}
