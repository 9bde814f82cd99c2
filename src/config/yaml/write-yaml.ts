/** Writes a document as lvs.yaml, from which parseYaml reads the same document. */

import { stringify } from 'yaml';
import type { Check, StatusRange } from '../../model/check.ts';
import type { ForwardingMethodName, TunnelOptions } from '../../model/destination.ts';
import { formatDestination } from '../../model/naming.ts';
import type { ServiceAddress } from '../../model/service.ts';
import type { AccessListDocument } from '../access-list.ts';
import {
  type AnnounceDocument,
  DEFAULT_BIRD,
  DEFAULT_BULK_PORT,
  DEFAULT_CHECK,
  DEFAULT_DRAIN,
  DEFAULT_JOIN,
  DEFAULT_QUORUM,
  DEFAULT_RESTART,
  DEFAULT_RISE,
  DEFAULT_SERVICE_JOIN,
  DEFAULT_TAKEOVER,
  type DestinationDocument,
  type Document,
  type Interface,
  type JoinDocument,
  type RestartDocument,
  type ServiceDocument,
  type ServiceJoinDocument,
  type SyncDocument,
  type TakeoverDocument,
} from '../document.ts';

export function writeYaml(document: Document): string {
  const { director, realServers, timeouts } = document;
  return stringify(
    pruned(
      {
        method: document.method,
        active: document.active ? undefined : false,
        vips: document.vips.map(writeInterface),
        director: pruned({
          inside: director.inside && writeInterface(director.inside),
          gateway: director.gateway,
        }),
        'real-servers': pruned({
          'vip-device': realServers.vipDevice,
          'net-device': realServers.netDevice,
          gateway: realServers.gateway,
        }),
        settings: document.settings,
        timeouts: pruned({ tcp: timeouts.tcp, 'tcp-fin': timeouts.tcpFin, udp: timeouts.udp }),
        marks: document.marks.map(({ port, ...rule }) => ({
          ...rule,
          ...(port !== undefined && { port: typeof port === 'number' ? port : port.join('-') }),
        })),
        sync: document.sync && writeSync(document.sync),
        join: document.join && writeJoin(document.join),
        announce: document.announce && writeAnnounce(document.announce),
        takeover: document.takeover && writeTakeover(document.takeover),
        'script-user': document.scriptUser,
        adopt: document.adopt === 'keep' ? undefined : document.adopt,
        drain: document.drain === DEFAULT_DRAIN ? undefined : document.drain,
        restart: writeRestart(document.restart),
        deny: document.deny && writeList(document.deny),
        allow: document.allow && writeList(document.allow),
        services: document.services.map((each) => writeService(each, document)),
      },
      ['services', 'announce', 'takeover'],
    ),
    { lineWidth: 0 },
  );
}

const writeRestart = ({ keep, orphan, release }: RestartDocument): object =>
  pruned({
    keep: keep ? true : undefined,
    orphan: orphan === DEFAULT_RESTART.orphan ? undefined : orphan,
    release: release === DEFAULT_RESTART.release ? undefined : release,
  });

function writeSync({ role, daemon, keyFile, peers, bulkPort }: SyncDocument): object {
  const { interface: device, syncId, group, port, ttl, maxLength } = daemon;
  return pruned({
    role: role === 'both' ? undefined : role,
    interface: device,
    syncid: syncId === 0 ? undefined : syncId,
    ...{ group, port, ttl, 'max-length': maxLength, 'key-file': keyFile, peers },
    'bulk-port': bulkPort === DEFAULT_BULK_PORT ? undefined : bulkPort,
  });
}

const writeJoin = ({ device, keyFile, networks, ...rest }: JoinDocument): object => ({
  ...(device !== undefined && { interface: device, 'key-file': keyFile }),
  ...(rest.group !== DEFAULT_JOIN.group && { group: rest.group }),
  ...(rest.port !== DEFAULT_JOIN.port && { port: rest.port }),
  ...(rest.period !== DEFAULT_JOIN.period && { heartbeat: rest.period / 1000 }),
  ...(rest.timeout !== DEFAULT_JOIN.timeout && { timeout: rest.timeout / 1000 }),
  ...(networks && { networks }),
  ...(rest.maxServers !== DEFAULT_JOIN.maxServers && { 'max-servers': rest.maxServers }),
});

function writeServiceJoin({ maxServers, maxWeight, slowStart }: ServiceJoinDocument): object | true {
  const limits = {
    ...(maxServers !== DEFAULT_SERVICE_JOIN.maxServers && { 'max-servers': maxServers }),
    ...(maxWeight !== DEFAULT_SERVICE_JOIN.maxWeight && { 'max-weight': maxWeight }),
    ...(slowStart !== DEFAULT_SERVICE_JOIN.slowStart && { 'slow-start': slowStart }),
  };
  return Object.keys(limits).length === 0 ? true : limits;
}

const writeTakeover = ({ history, share }: TakeoverDocument): object => ({
  ...(history !== DEFAULT_TAKEOVER.history && { history }),
  ...(share !== DEFAULT_TAKEOVER.share && { share }),
});

const writeAnnounce = ({ vips, groups, rise, bird }: AnnounceDocument): object => ({
  ...(vips && { vips }),
  ...(groups && { groups }),
  ...(rise !== DEFAULT_RISE && { rise }),
  ...(bird && {
    bird: {
      ...(bird.socket !== DEFAULT_BIRD.socket && { socket: bird.socket }),
      ...(bird.file !== DEFAULT_BIRD.file && { file: bird.file }),
    },
  }),
});

const writeInterface = ({ device, alias, address, prefix, isShared }: Interface) => ({
  interface: device,
  ...(alias !== undefined && { alias }),
  address,
  prefix,
  ...(isShared && { shared: true }),
});

function writeService(
  { service, name, options, destinations, sorry = [], quorum, notify, deny, allow, join }: ServiceDocument,
  document: Document,
): object {
  const common: Common = {
    checks: join ? join.checks : commonChecks(destinations),
    inhibit: commonInhibit(destinations),
    method: join ? join.options.method : document.method,
  };
  return pruned(
    {
      ...writeAddress(service),
      name,
      scheduler: options.scheduler,
      flags: flagNames(options.scheduler, options.schedulerFlags ?? 0),
      persistent: options.persistent,
      'persistence-prefix': options.persistencePrefix,
      'persistence-engine': options.engine,
      'one-packet': options.ops,
      helper: options.helper,
      method: common.method === document.method ? undefined : common.method,
      tunnel: join?.options.tunnel && writeTunnel(join.options.tunnel),
      check: common.checks && writeChecks(common.checks),
      join: join && writeServiceJoin(join),
      quorum: quorum && quorum.weight !== DEFAULT_QUORUM ? quorum.weight : undefined,
      hysteresis: quorum?.hysteresis || undefined,
      inhibit: common.inhibit,
      notify,
      deny: deny && writeList(deny),
      allow: allow && writeList(allow),
      sorry: sorry.map((each) => writeDestination(each, { method: common.method })),
      destinations: destinations.map((each) => writeDestination(each, common)),
    },
    ['destinations'],
  );
}

const writeList = ({ prefixes, files }: AccessListDocument): unknown[] => [
  ...prefixes,
  ...files.map((file) => ({ file })),
];

const writeAddress = (service: ServiceAddress): object =>
  'mark' in service
    ? { mark: service.mark, ...(service.family === 6 && { family: 6 }) }
    : { [service.protocol]: formatDestination(service) };

/** Returns the flags' names, those of the scheduler if it has any. */
function flagNames(scheduler: string, bits: number): string[] {
  const own = scheduler === 'sh' || scheduler === 'mh';
  const names = [own ? `${scheduler}-fallback` : 'flag-1', own ? `${scheduler}-port` : 'flag-2', 'flag-3'];
  return names.filter((_, bit) => bits & (1 << bit));
}

/** Returns the checks of most destinations, which the service has; the first of several. undefined: most have none. */
function commonChecks(destinations: readonly DestinationDocument[]): Checks {
  const counts = new Map<string, number>();
  for (const { checks } of destinations) counts.set(textOf(checks), (counts.get(textOf(checks)) ?? 0) + 1);
  const [most] = [...counts].sort(([, a], [, b]) => b - a)[0] ?? [];
  return destinations.find(({ checks }) => textOf(checks) === most)?.checks;
}

type Checks = readonly Check[] | undefined;

/** What the destinations of a service have in common. */
interface Common {
  readonly checks?: Checks;
  readonly inhibit?: boolean | undefined;
  readonly method: ForwardingMethodName;
}

/** Returns the value that all destinations have; undefined: they differ, or have none. */
const commonInhibit = ([first, ...others]: readonly DestinationDocument[]): boolean | undefined =>
  others.every(({ inhibit }) => inhibit === first?.inhibit) ? first?.inhibit : undefined;

const textOf = (checks: Checks): string => JSON.stringify(checks) ?? '';

function writeDestination(
  { server, name, destination, options, checks, inhibit, notify }: DestinationDocument,
  common: Common,
): object {
  const { method } = options;
  return pruned({
    server: formatDestination({ address: server, port: destination.port }),
    name,
    weight: options.weight,
    method: method === common.method ? undefined : method,
    'upper-threshold': options.upperThreshold,
    'lower-threshold': options.lowerThreshold,
    tunnel: options.tunnel && writeTunnel(options.tunnel),
    check: textOf(checks) === textOf(common.checks) ? undefined : checks ? writeChecks(checks) : 'none',
    inhibit: inhibit === common.inhibit ? undefined : inhibit,
    notify,
  });
}

const writeTunnel = (tunnel: TunnelOptions): object => pruned({ ...tunnel, port: tunnel.port || undefined });

const writeChecks = (checks: readonly Check[]): object =>
  checks.length === 1 ? writeCheck(checks[0]!) : checks.map(writeCheck);

function writeCheck({ maxStep, slowStart, retryInterval, status, ...rest }: Check): object {
  const entries = Object.entries({
    ...rest,
    'retry-interval': retryInterval,
    status: status && (status.length === 1 ? writeRange(status[0]!) : status.map(writeRange)),
    'max-step': maxStep,
    'slow-start': slowStart,
  });
  const defaults: Readonly<Record<string, unknown>> = {
    ...DEFAULT_CHECK,
    'max-step': DEFAULT_CHECK.maxStep,
    'slow-start': DEFAULT_CHECK.slowStart,
  };
  return Object.fromEntries(entries.filter(([key, value]) => value !== undefined && defaults[key] !== value));
}

const writeRange = ([first, last]: StatusRange): number | string =>
  first === last ? first : `${first}-${last}`;

/** Removes undefined values, empty lists and empty maps, except for the keys to keep. */
function pruned(value: Readonly<Record<string, unknown>>, keep: readonly string[] = []): object {
  const empty = (each: unknown) =>
    each === undefined || (typeof each === 'object' && each !== null && Object.keys(each).length === 0);
  return Object.fromEntries(
    Object.entries(value).filter(([key, each]) => keep.includes(key) || !empty(each)),
  );
}
