/** The services of a configuration that servers may join, and the policy that follows. */
import type { Watched } from '../../checks/watch.ts';
import { forwardedTo } from '../../config/compile.ts';
import type { Document } from '../../config/document.ts';
import { interfaceAddresses } from '../../host/interface-addresses.ts';
import type { Step } from '../../join/membership.ts';
import type { JoinPolicy, ServicePolicy } from '../../join/policy.ts';
import type { Check } from '../../model/check.ts';
import type { Command } from '../../model/command.ts';
import { formatDestination, formatService } from '../../model/naming.ts';
import { maskAddress, parseAddress } from '../../wire/address.ts';
import { ADDRESS_BITS, BITS_BEFORE_IPV4, maskOf, type Prefix, parsePrefix } from '../../wire/prefix.ts';
import { PrefixSet } from '../../wire/prefix-set.ts';
import type { CheckUsers, LoadedJoin } from '../configuration/configuration.ts';
import type { Drains } from '../drains.ts';
import { checksFor, withIds } from '../health.ts';

/** A service that servers may join. */
export interface Joinable extends Omit<ServicePolicy, 'listed'> {
  /** Endpoints of the file's destinations. */
  readonly listed: readonly string[];
  readonly checks: readonly Check[];
}

/** Heartbeats that pass between the loss of a server and its effect. */
const PATIENCE_HEARTBEATS = 2;

/** Returns the services that servers may join: none on a standby. `users`: ids by the users of commands. */
export function joinableOf({ active, services }: Document, users: CheckUsers = {}): Joinable[] {
  return (active ? services : []).flatMap((each) => {
    const { service, join, destinations, sorry = [] } = each;
    if (!join) return [];
    const { options, maxServers, maxWeight, slowStart, checks = [] } = join;
    return [
      {
        ...{ service, options, maxServers, maxWeight, slowStart: slowStart * 1000 },
        listed: [...destinations, ...sorry].map((one) => formatDestination(forwardedTo(each, one))),
        checks: withIds(checks, users),
      },
    ];
  });
}

/** Returns the destination of a service with its checks; undefined: it has none. */
export function watchedOf(
  { service, checks }: Pick<Joinable, 'service' | 'checks'>,
  destination: Watched['destination'],
): Watched | undefined {
  const own = checksFor(destination, checks);
  return own.length === 0 ? undefined : { service, destination, checks: own };
}

/** From the loss of a server to its effect, ms: part of the timeout. */
export const patienceOf = ({ period }: Pick<LoadedJoin, 'period'>): number => PATIENCE_HEARTBEATS * period;

/** Returns the policy of a configuration. `networks`: those of the servers. `drain`: seconds. */
export function policyOf(
  join: LoadedJoin,
  joinable: Iterable<Joinable>,
  networks: PrefixSet,
  drain: number,
): JoinPolicy {
  const services = new Map<string, ServicePolicy>();
  const vips = new Set<string>();
  for (const each of joinable) {
    services.set(formatService(each.service), { ...each, listed: new Set(each.listed) });
    if ('address' in each.service) vips.add(each.service.address);
  }
  const { maxServers } = join;
  return { services, maxServers, networks, vips, drain: drain * 1000, patience: patienceOf(join) };
}

/** Returns the networks of servers: those of the file, or those of the device. undefined: the device has no address now. */
export function networksOf({ networks, device }: LoadedJoin): PrefixSet | undefined {
  const prefixes = networks
    ? networks.map((text) => parsePrefix(text) as Prefix)
    : networksOfDevice(device ?? '');
  if (prefixes.length === 0) return undefined;
  const set = new PrefixSet();
  for (const prefix of prefixes) set.add(prefix);
  return set;
}

const networksOfDevice = (device: string): Prefix[] =>
  interfaceAddresses()
    .filter((each) => each.device === device)
    .flatMap(({ address: text, prefix }) => {
      const address = parseAddress(text);
      if (!address) return [];
      const bits = text.includes(':') ? prefix : prefix + BITS_BEFORE_IPV4;
      return bits > ADDRESS_BITS
        ? []
        : [{ address: maskAddress(address, maskOf(bits), new Uint32Array(4)), bits }];
    });

/** Returns the command of a step. A destination that the file no longer has, and that drains, is returned to service. */
export function commandOf({ kind, placement, weight }: Step, drains?: Pick<Drains, 'end'>): Command {
  const { service, destination, options } = placement;
  if (kind === 'remove') return { op: 'delete-destination', service, destination };
  const isThere = kind === 'edit' || drains?.end({ service, destination }) === true;
  return {
    op: isThere ? 'edit-destination' : 'add-destination',
    service,
    destination,
    options: { ...options, weight },
  };
}
