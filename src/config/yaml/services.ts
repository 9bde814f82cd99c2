/** Expands the services of lvs.yaml: port ranges, groups and defaults, names of servers and ports. */

import type { Check } from '../../model/check.ts';
import type { DestinationOptions, ForwardingMethodName, TunnelOptions } from '../../model/destination.ts';
import {
  isFtpService,
  type Protocol,
  type ServiceAddress,
  type ServiceOptions,
} from '../../model/service.ts';
import { canonical, familyOfText } from '../canonical-address.ts';
import { DEFAULT_QUORUM, type DestinationDocument, type ServiceDocument } from '../document.ts';
import { didYouMean } from '../problem.ts';
import type { YamlFile } from '../schema.ts';
import { accessListsOf } from './access-lists.ts';
import { checksOf } from './checks.ts';
import { joinLimitsOf } from './join.ts';
import type { Path } from './position.ts';
import type { YamlContext } from './yaml-context.ts';

type YamlService = NonNullable<YamlFile['services']>[number];
type YamlDestination = Exclude<YamlService['destinations'], string>[number];
type Inherited = NonNullable<YamlFile['defaults']>;
/** The values that a destination inherits; its checks have been read. */
type ForDestination = Omit<Inherited, 'check' | 'inhibit' | 'weight'> & {
  readonly checks: readonly Check[] | undefined;
  readonly inhibit?: boolean | undefined;
  readonly weight?: number | undefined;
};

/** Maximum number of ports of a range: each is a separate service. */
const MAX_RANGE_PORTS = 4096;

/** Bits of ServiceOptions.schedulerFlags by their names in files and in ipvsadm. */
export const FLAG_BITS: Readonly<Record<string, number>> = {
  'sh-fallback': 1,
  'mh-fallback': 1,
  'flag-1': 1,
  'sh-port': 2,
  'mh-port': 2,
  'flag-2': 2,
  'flag-3': 4,
};

export async function expandServices(context: YamlContext): Promise<ServiceDocument[]> {
  const { file, notes, place } = context;
  const used = new Set<string>();
  const services: ServiceDocument[] = [];
  for (const [i, each] of (file.services ?? []).entries()) {
    if (!each) continue; // it was rejected before
    const path: Path = ['services', i];
    const inherited: Inherited = { ...file.defaults, ...each };
    const checks = checksOf(context, inherited.check, [...(each.check ? path : ['defaults']), 'check']);
    const list = destinationsOf(context, each.destinations, [...path, 'destinations'], used);
    const sorryAt: Path = [...(each.sorry ? path : ['defaults']), 'sorry'];
    const sorryList = inherited.sorry ? destinationsOf(context, inherited.sorry, sorryAt, used) : [];
    const quorum = quorumOf(context, inherited, path);
    const limits = joinLimitsOf(context, inherited.join, [...(each.join ? path : ['defaults']), 'join']);
    const join = limits && { ...limits, options: joiningOptions(context, inherited, path) };
    const access = accessListsOf(context, each, path);
    const addresses = addressesOf(context, each, path);
    for (const service of addresses) {
      const options = optionsOf(context, inherited, path, service);
      const read = async (all: readonly [YamlDestination, Path][], base: ForDestination) => {
        const found: DestinationDocument[] = [];
        for (const [destination, at] of all) {
          const values = { ...base, checks: ownChecks(context, destination, base.checks, at) };
          const one = await destinationOf(context, destination, at, values, service);
          if (one) found.push(one);
        }
        return found;
      };
      const destinations = await read(list, { ...inherited, checks });
      const sorry = await read(sorryList, { ...inherited, ...SORRY });
      const described: ServiceDocument = {
        ...{ service, options, destinations },
        ...(each.name !== undefined && {
          name: addresses.length > 1 ? portName(each.name, service) : each.name,
        }),
        ...(sorry.length > 0 && { sorry }),
        ...(quorum && { quorum }),
        ...(inherited.notify && { notify: inherited.notify }),
        ...(join && { join: { ...join, ...(checks && { checks }) } }),
        ...access,
      };
      services.push(notes.at(place(path), described));
      const methods = [...destinations, ...(join ? [join] : [])].map(({ options: { method } }) => method);
      if (each.tunnel && context.whole && !methods.includes('tunnel'))
        notes.warning(place([...path, 'tunnel']), 'no destination uses the tunnel method');
    }
  }
  for (const name of Object.keys(file.groups ?? {}))
    if (!used.has(name)) notes.warning(place(['groups', name]), `group '${name}' is not used`);
  return services;
}

/** Returns the name of one of the services of a range of ports: `web-8080`. */
const portName = (name: string, service: ServiceAddress): string =>
  'port' in service ? `${name}-${service.port}` : name;

/** A sorry server does not inherit these from its service. */
const SORRY = { checks: undefined, inhibit: undefined, weight: undefined } as const;

function quorumOf(
  { notes, place }: YamlContext,
  { quorum, hysteresis = 0 }: Inherited,
  path: Path,
): ServiceDocument['quorum'] {
  const weight = quorum ?? DEFAULT_QUORUM;
  if (hysteresis >= weight && hysteresis > 0)
    return notes.error(
      place(path),
      `invalid hysteresis ${hysteresis}: expected less than the quorum ${weight}`,
    );
  return quorum === undefined && hysteresis === 0 ? undefined : { weight, hysteresis };
}

/** Returns the addresses of one entry: several for a range of ports. */
function addressesOf({ notes, place, names }: YamlContext, each: YamlService, path: Path): ServiceAddress[] {
  if (each.mark !== undefined) return [{ mark: each.mark, family: each.family ?? 4 }];
  const protocol = (['tcp', 'udp', 'sctp'] as const).find((name) => each[name] !== undefined)!;
  const text = each[protocol]!;
  const at = place([...path, protocol]);
  const parts = splitEndpoint(text);
  if (!parts || familyOfText(parts.host) === 0) {
    notes.error(at, `invalid endpoint '${text}': expected address:port or [address]:port`);
    return [];
  }
  const range = /^(\d+)-(\d+)$/.exec(parts.port);
  const first = range ? Number(range[1]) : portOf(parts.port, protocol, names);
  const last = range ? Number(range[2]) : first;
  if (first === undefined || last === undefined || last > 65_535 || first > last) {
    notes.error(
      at,
      `invalid port '${parts.port}': expected 0 to 65535, a name in /etc/services, or first-last`,
    );
    return [];
  }
  if (last - first >= MAX_RANGE_PORTS) {
    notes.error(
      at,
      `invalid port range of ${last - first + 1} ports: expected at most ${MAX_RANGE_PORTS} (a firewall mark covers any number)`,
    );
    return [];
  }
  return Array.from({ length: last - first + 1 }, (_, i) => ({
    protocol,
    address: canonical(parts.host),
    port: first + i,
  }));
}

function optionsOf(
  { file, notes, place, schedulers, whole }: YamlContext,
  inherited: Inherited,
  path: Path,
  service: ServiceAddress,
): ServiceOptions {
  const { scheduler = 'wlc', persistent } = inherited;
  const at = (key: keyof Inherited) => place([...(isOwn(file, path, key) ? path : ['defaults']), key]);
  if (!schedulers.includes(scheduler)) {
    const near = didYouMean(scheduler, schedulers) || `: expected ${schedulers.join(' ')}`;
    notes.error(at('scheduler'), `unknown scheduler '${scheduler}'${near}`);
  }
  const flags = inherited.flags ?? [];
  for (const flag of flags)
    if (whole && !flag.startsWith('flag-') && !flag.startsWith(`${scheduler}-`))
      notes.error(at('flags'), `invalid flag ${flag}: expected a flag of the scheduler ${scheduler}`);
  const prefix = inherited['persistence-prefix'];
  const family = 'mark' in service ? service.family : familyOfText(service.address);
  if (prefix !== undefined && family === 4 && prefix > 32)
    notes.error(
      at('persistence-prefix'),
      `invalid persistence-prefix ${prefix}: expected at most 32 bits for IPv4`,
    );
  if (whole && 'port' in service && service.port === 0 && !persistent)
    notes.error(place(path), 'port 0 (every port) requires a persistent service');
  if (isOwn(file, path, 'helper') && inherited.helper === 'ftp' && !isFtpService(service))
    notes.error(at('helper'), 'the helper ftp is supported for TCP and port 21 only');
  if (inherited['one-packet'] && 'protocol' in service && service.protocol !== 'udp')
    notes.error(at('one-packet'), 'one-packet is supported for UDP and firewall marks only');
  return {
    scheduler,
    ...(flags.length > 0 && { schedulerFlags: flags.reduce((bits, flag) => bits | FLAG_BITS[flag]!, 0) }),
    ...(persistent && { persistent }),
    ...(prefix !== undefined && { persistencePrefix: prefix }),
    ...(inherited['persistence-engine'] && { engine: inherited['persistence-engine'] }),
    ...(inherited['one-packet'] && { ops: true }),
    ...(inherited.helper === 'none' && { helper: inherited.helper }),
  };
}

/** Reports whether the service at `path` has the key, rather than inherits it. */
const isOwn = (file: YamlFile, path: Path, key: keyof Inherited): boolean =>
  file.services?.[Number(path[1])]?.[key] !== undefined;

/** Returns the destinations of a list, or of a group, each with its path. */
function destinationsOf(
  { file, notes, place, whole }: YamlContext,
  named: YamlService['destinations'],
  path: Path,
  used: Set<string>,
): [YamlDestination, Path][] {
  if (typeof named !== 'string') return named.map((one, i) => [one, [...path, i]]);
  const groups = (file.groups ?? {}) as Readonly<Record<string, YamlDestination[]>>;
  if (!Object.hasOwn(groups, named)) {
    if (!whole) return [];
    const near = didYouMean(named, Object.keys(groups)) || ': expected a name of groups, or a list';
    notes.error(place(path), `group '${named}' not found${near}`);
    return [];
  }
  used.add(named);
  return groups[named]!.map((one, i) => [one, ['groups', named, i]]);
}

/** Returns the checks of a destination: `inherited`, unless it names others, or none. */
function ownChecks(
  context: YamlContext,
  written: YamlDestination,
  inherited: readonly Check[] | undefined,
  path: Path,
): readonly Check[] | undefined {
  if (typeof written === 'string' || written.check === undefined) return inherited;
  return checksOf(context, written.check, [...path, 'check']);
}

async function destinationOf(
  context: YamlContext,
  written: YamlDestination,
  path: Path,
  inherited: ForDestination,
  service: ServiceAddress,
): Promise<DestinationDocument | undefined> {
  const { file, notes, place, names } = context;
  const each = typeof written === 'string' ? { server: written } : written;
  const at = place(typeof written === 'string' ? path : [...path, 'server']);
  const method = each.method ?? inherited.method ?? file.method ?? 'dr';
  const own = 'mark' in service ? service.family : (familyOfText(service.address) as 4 | 6);
  const parts = splitEndpoint(each.server) ?? { host: each.server, port: '' };
  const literal = familyOfText(parts.host);
  if (parts.host === '' || parts.host.includes('%'))
    return notes.error(at, `invalid server '${each.server}': expected server[:port], without a zone`);
  if (context.whole && literal !== 0 && literal !== own && method !== 'tunnel')
    return notes.error(at, `an IPv${literal} server of an IPv${own} service requires the tunnel method`);
  const address = await names.host(parts.host, own);
  if (address === undefined)
    return notes.error(
      at,
      `'${parts.host}' has no IPv${own} address: expected an address, or a name in /etc/hosts`,
    );
  const servicePort = 'port' in service ? service.port : 0;
  const protocol = 'protocol' in service ? service.protocol : 'tcp';
  const port = parts.port === '' ? servicePort : portOf(parts.port, protocol, names);
  if (port === undefined)
    return notes.error(at, `invalid port '${parts.port}': expected 0 to 65535, or a name in /etc/services`);
  const upper = each['upper-threshold'] ?? 0;
  const lower = each['lower-threshold'] ?? 0;
  if (lower > upper)
    return notes.error(
      at,
      `invalid lower-threshold ${lower}: expected at most the upper-threshold ${upper || '(which is missing)'}`,
    );
  if (each.tunnel && method !== 'tunnel' && context.whole)
    notes.error(place([...path, 'tunnel']), `a tunnel requires the method tunnel, not ${method}`);
  const tunnel = tunnelOf(context, each.tunnel ?? inherited.tunnel, method, path);
  const options: DestinationOptions = {
    method,
    weight: each.weight ?? inherited.weight ?? 1,
    ...(upper > 0 && { upperThreshold: upper }),
    ...(lower > 0 && { lowerThreshold: lower }),
    ...(tunnel && { tunnel }),
  };
  const { checks } = inherited;
  const inhibit = each.inhibit ?? inherited.inhibit;
  const destination = { address: canonical(address), port };
  return notes.at(at, {
    server: parts.host,
    ...(each.name !== undefined && { name: each.name }),
    destination,
    options,
    ...(checks && { checks }),
    ...(inhibit !== undefined && { inhibit }),
    ...(each.notify && { notify: each.notify }),
  });
}

function tunnelOf(
  { notes, place }: YamlContext,
  tunnel: Inherited['tunnel'],
  method: ForwardingMethodName,
  path: Path,
): TunnelOptions | undefined {
  if (!tunnel || method !== 'tunnel') return undefined;
  const { type, port = 0, checksum = 'none' } = tunnel;
  const at = place([...path, 'tunnel']);
  if (type === 'gue' && port === 0) return notes.error(at, 'a gue tunnel requires a UDP port');
  if (type !== 'gue' && port !== 0)
    return notes.error(at, `a port is supported for gue tunnels only, not ${type}`);
  const fits = checksum === 'none' || type === 'gue' || (type === 'gre' && checksum === 'csum');
  if (!fits) return notes.error(at, `checksum ${checksum} is not supported for ${type}`);
  return { type, port, checksum };
}

/** Returns the options of destinations that join the service at `path`. */
function joiningOptions(context: YamlContext, inherited: Inherited, path: Path): DestinationOptions {
  const method = inherited.method ?? context.file.method ?? 'dr';
  const tunnel = tunnelOf(context, inherited.tunnel, method, path);
  return { method, ...(tunnel && { tunnel }) };
}

/** Splits `host:port`, `[v6]:port`, `host`, `[v6]`, or a bare IPv6 address; the port is '' when missing. */
function splitEndpoint(text: string): { host: string; port: string } | undefined {
  if (familyOfText(text) === 6) return { host: text, port: '' };
  const found = /^(?:\[([^\]]+)\]|([^:[\]]+))(?::([^:]+))?$/.exec(text);
  return found ? { host: (found[1] ?? found[2])!, port: found[3] ?? '' } : undefined;
}

function portOf(text: string, protocol: Protocol, names: YamlContext['names']): number | undefined {
  const number = /^\d{1,5}$/.test(text) ? Number(text) : names.port(text, protocol);
  return number !== undefined && number <= 65_535 ? number : undefined;
}
