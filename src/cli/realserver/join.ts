/** `lvs-realserver run --join`: announces this server to directors by heartbeats or by etcd, and leaves when its connections have ended. */
import { setTimeout as sleep } from 'node:timers/promises';
import { type Command, InvalidArgumentError } from 'commander';
import { canonical, familyOfText, isMulticastGroup } from '../../config/canonical-address.ts';
import type { Document } from '../../config/document.ts';
import { joinKey, MAX_WEIGHT } from '../../join/heartbeat-codec.ts';
import type { Place } from '../../join/member.ts';
import { LvsError } from '../../model/errors.ts';
import type { Say } from '../../model/level.ts';
import { openConnections } from '../../realserver/connections.ts';
import { AgentWords } from '../../realserver/join/agent-words.ts';
import { EtcdAgent } from '../../realserver/join/etcd-agent.ts';
import { JoinAgent } from '../../realserver/join/join-agent.ts';
import {
  checkJoinCluster,
  DEFAULT_WEIGHT,
  type JoinedService,
  type JoinOptions,
  joinDevice,
  joinGroup,
  joinName,
  placesOf,
  type ServiceOption,
} from '../../realserver/join/join-options.ts';
import { type Announcer, OwnState } from '../../realserver/join/own-state.ts';
import { openClusterAccess } from '../../runtime/cluster/cluster-access.ts';
import { readKeyFile } from '../../runtime/host/key-file.ts';

export interface JoinRunOptions extends JoinOptions {
  readonly join?: boolean;
  readonly wordsFile?: string;
  readonly wordsProgram?: string;
}

/** Seconds that a server which joined waits for the end of its connections. */
export const DEFAULT_JOIN_DRAIN = 30;
const DRAIN_POLL_MS = 200;

/** A server that has joined. */
export interface Joined extends Disposable {
  /** Leaves when connections have ended, after `seconds` at the latest, or when `isCut` returns true. */
  leave(seconds: number, isCut: () => boolean): Promise<void>;
}

/** Joins the services. Throws LvsError before it has changed anything. */
export async function prepareJoin(
  options: JoinRunOptions,
  services: readonly JoinedService[],
  document: Document | undefined,
  say: Say,
): Promise<() => Promise<Joined>> {
  if (options.wordsFile !== undefined && options.wordsProgram !== undefined)
    throw new LvsError('CONFIG', 'join: expected --words-file or --words-program, not both');
  const { device, node, announcer } = await (options.joinCluster === undefined
    ? byHeartbeats(options, document, say)
    : byEtcd(options.joinCluster, options, document, say));
  return async () => {
    const places = placesOf(services, device, options);
    const words = new AgentWords({
      ...(options.wordsFile !== undefined && { file: options.wordsFile }),
      ...(options.wordsProgram !== undefined && { program: options.wordsProgram }),
      failed: (problem) =>
        say(`join: ${problem ?? 'the capacity of this server is known'}`, problem ? 'warning' : 'info'),
    });
    const agent = announcer(new OwnState({ node, places, words, say }));
    await agent.start();
    return {
      async leave(seconds, isCut) {
        const until = performance.now() + seconds * 1000;
        await agent.drain();
        while (!isCut() && performance.now() < until && isBusy(places)) await sleep(DRAIN_POLL_MS);
        await agent.leave();
      },
      [Symbol.dispose]: () => agent[Symbol.dispose](),
    };
  };
}

/** How this server is announced. */
interface Way {
  readonly device: string;
  readonly node: string;
  readonly announcer: (own: OwnState) => Announcer;
}

async function byHeartbeats(options: JoinOptions, document: Document | undefined, say: Say): Promise<Way> {
  const { device, keyFile, group, port, period } = joinGroup(options, document);
  const node = joinName(options);
  const keys = (await readKeyFile(keyFile)).map(joinKey);
  const announcer = (own: OwnState) =>
    new JoinAgent({ own, interface: device, group, port, period, keys, say });
  return { device, node, announcer };
}

async function byEtcd(
  path: string,
  options: JoinOptions,
  document: Document | undefined,
  say: Say,
): Promise<Way> {
  checkJoinCluster(options);
  const device = joinDevice(options, document);
  const { settings, store } = await openClusterAccess(path);
  const node = joinName({ joinName: options.joinName ?? settings.node });
  const { client, keys } = store;
  return { device, node, announcer: (own) => new EtcdAgent({ client, key: keys.server(node), own, say }) };
}

/** Reports whether connections to the services are open. Those of other protocols than TCP are not known: they may be. */
function isBusy(places: readonly Place[]): boolean {
  if (places.some(({ service }) => 'mark' in service || service.protocol !== 'tcp')) return true;
  const ends = places.flatMap(({ service, destination }) => [
    destination,
    ...('address' in service ? [{ address: service.address, port: service.port }] : []),
  ]);
  return openConnections(ends) > 0;
}

/** Adds the options of a server that joins. */
export const withJoin = (command: Command): Command =>
  command
    .option(
      '--join',
      'join services of directors by heartbeats, or by etcd; needs a key file or a cluster file (see docs/join.md)',
      false,
    )
    .option(
      '--join-services <list>',
      'services to join, separated by commas: names of --config, or such as tcp:192.0.2.1:80; =PORT: of this server (default: all of --config that allow it)',
      serviceList,
    )
    .option('--join-name <name>', "name of this server (default: the host's)")
    .option('--join-cluster <file>', 'announce by etcd instead: settings as of directors (docs/cluster.md)')
    .option('--join-interface <device>', 'device towards the directors (default: --net-device)')
    .option('--join-address <addresses>', 'addresses of this server, at most one of each family', addressList)
    .option('--join-key-file <file>', 'file with the key, mode 0600 (default: that of --config)')
    .option('--join-group <address>', 'multicast group (default: that of --config)', multicastGroup)
    .option('--join-port <port>', 'UDP port of the group (default: that of --config)', portNumber)
    .option('--weight <number>', `weight at full capacity (default: ${DEFAULT_WEIGHT})`, weightNumber)
    .option('--words-file <file>', "file with the server's capacity, such as: up ready 75%")
    .option('--words-program <file>', 'program that prints it, once a second (default: by the load)');

function serviceList(text: string): ServiceOption[] {
  return text.split(',').map((word) => {
    const [name = '', port] = word.split('=');
    const own = port === undefined ? {} : { port: portNumber(port) };
    const found = /^(tcp|udp|sctp):(?:\[([^\]]+)\]|([^:]+)):(\d{1,5})$/.exec(name);
    if (!found) return { name, ...own };
    const [, protocol, v6, v4, of] = found;
    const address = v6 ?? v4!;
    if (familyOfText(address) === 0 || Number(of) > 0xffff)
      throw new InvalidArgumentError(`Invalid service '${name}'.`);
    const service = { protocol: protocol as 'tcp', address: canonical(address), port: Number(of) };
    return { name, service, ...own };
  });
}

function addressList(text: string): string[] {
  const list = text.split(',');
  const wrong = list.find((address) => familyOfText(address) === 0);
  if (wrong !== undefined) throw new InvalidArgumentError(`Invalid address '${wrong}'.`);
  return list.map(canonical);
}

function multicastGroup(text: string): string {
  if (isMulticastGroup(text)) return canonical(text);
  throw new InvalidArgumentError(`Invalid group '${text}': expected a multicast address.`);
}

function portNumber(text: string): number {
  if (/^\d{1,5}$/.test(text) && Number(text) >= 1 && Number(text) <= 0xffff) return Number(text);
  throw new InvalidArgumentError(`Invalid port '${text}'.`);
}

function weightNumber(text: string): number {
  if (/^\d{1,5}$/.test(text) && Number(text) >= 1 && Number(text) <= MAX_WEIGHT) return Number(text);
  throw new InvalidArgumentError(`Invalid weight '${text}': expected 1 to ${MAX_WEIGHT}.`);
}
