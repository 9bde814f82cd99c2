/** Finds what this server joins, and how, from the command line and the director's configuration. */
import { hostname } from 'node:os';
import { DEFAULT_JOIN, type Document, type JoinDocument } from '../../config/document.ts';
import { interfaceAddresses } from '../../host/interface-addresses.ts';
import { MAX_PLACES, MAX_WEIGHT } from '../../join/heartbeat-codec.ts';
import type { Place } from '../../join/member.ts';
import { isName } from '../../model/entity-name.ts';
import { LvsError } from '../../model/errors.ts';
import { familyOfService, formatService } from '../../model/naming.ts';
import type { ServiceAddress } from '../../model/service.ts';

export const DEFAULT_WEIGHT = 100;

/** A service by its name in the file, or by its address, and the port of this server. */
export interface ServiceOption {
  readonly name: string;
  readonly service?: ServiceAddress;
  readonly port?: number;
}

export interface JoinOptions {
  readonly joinServices?: readonly ServiceOption[];
  readonly joinName?: string;
  readonly joinCluster?: string;
  readonly joinInterface?: string;
  readonly joinAddress?: readonly string[];
  readonly joinKeyFile?: string;
  readonly joinGroup?: string;
  readonly joinPort?: number;
  readonly weight?: number;
  readonly netDevice?: string;
}

export type JoinGroup = Required<Pick<JoinDocument, 'device' | 'keyFile' | 'group' | 'port' | 'period'>>;

/** A service that this server joins, and its port there. */
export interface JoinedService {
  readonly service: ServiceAddress;
  readonly port: number;
}

const invalid = (message: string) => new LvsError('CONFIG', `join: ${message}`);

/** Returns the services that the command line names, or all of the file that servers may join. Throws LvsError CONFIG. */
export function joinedServices(
  { joinServices }: JoinOptions,
  document: Document | undefined,
): JoinedService[] {
  const joinable = (document?.services ?? []).filter(({ join }) => join);
  const portOf = (service: ServiceAddress) => ('port' in service ? service.port : 0);
  const found = joinServices
    ? joinServices.map(({ name, service, port }) => {
        const named = service ?? joinable.find((each) => each.name === name)?.service;
        if (!named)
          throw invalid(
            `service '${name}' not found: expected the name of a service of --config with the key join, or such as tcp:192.0.2.1:80`,
          );
        return { service: named, port: port ?? portOf(named) };
      })
    : joinable.map(({ service }) => ({ service, port: portOf(service) }));
  if (found.length === 0)
    throw invalid('no services: expected --join-services, or --config with services that have the key join');
  if (found.length > MAX_PLACES) throw invalid(`${found.length} services: expected at most ${MAX_PLACES}`);
  return found;
}

/** Returns the device towards the directors. Throws LvsError CONFIG. */
export const joinDevice = (
  { joinInterface, netDevice }: JoinOptions,
  document: Document | undefined,
): string => joinInterface ?? netDevice ?? document?.realServers.netDevice ?? onlyInterface();

/** Returns how directors are reached by heartbeats. Throws LvsError CONFIG. */
export function joinGroup(options: JoinOptions, document: Document | undefined): JoinGroup {
  const { joinKeyFile, joinGroup: group, joinPort } = options;
  const join = document?.join;
  const keyFile = joinKeyFile ?? join?.keyFile;
  if (keyFile === undefined)
    throw invalid(
      'no key: expected --join-key-file, or --config with key-file in the section join; --join-cluster joins by etcd',
    );
  return {
    ...{ device: joinDevice(options, document), keyFile },
    group: group ?? join?.group ?? DEFAULT_JOIN.group,
    port: joinPort ?? join?.port ?? DEFAULT_JOIN.port,
    period: join?.period ?? DEFAULT_JOIN.period,
  };
}

/** Returns the places of this server. Throws LvsError CONFIG where it has no address. */
export function placesOf(
  services: readonly JoinedService[],
  device: string,
  { joinAddress, weight = DEFAULT_WEIGHT }: JoinOptions,
): Place[] {
  const own = joinAddress ?? addressesOf(device);
  return services.map(({ service, port }) => {
    const family = familyOfService(service);
    const address = own.find((each) => each.includes(':') === (family === 6)) ?? own[0];
    if (address === undefined)
      throw invalid(`${device} has no address for ${formatService(service)}: expected --join-address`);
    return { service, destination: { address, port }, weight: Math.min(weight, MAX_WEIGHT) };
  });
}

/** Throws LvsError CONFIG if the command line has options of heartbeats beside --join-cluster. */
export function checkJoinCluster({ joinKeyFile, joinGroup: group, joinPort }: JoinOptions): void {
  const other = Object.entries({
    '--join-key-file': joinKeyFile,
    '--join-group': group,
    '--join-port': joinPort,
  });
  const given = other.find(([, value]) => value !== undefined);
  if (given)
    throw invalid(`--join-cluster and ${given[0]}: expected one, since heartbeats are not sent then`);
}

/** Returns the name of this server. Throws LvsError CONFIG. */
export function joinName({ joinName: name = hostname() }: Pick<JoinOptions, 'joinName'>): string {
  if (isName(name)) return name;
  throw invalid(
    `invalid name '${name}': expected --join-name with at most 63 letters, digits, ".", "_" and "-", and a letter among them`,
  );
}

const addressesOf = (device: string): string[] =>
  interfaceAddresses()
    .filter((each) => each.device === device && !each.address.startsWith('fe80:'))
    .map(({ address }) => address);

function onlyInterface(): string {
  const devices = new Set(
    interfaceAddresses()
      .filter(({ isLoopback }) => !isLoopback)
      .map(({ device }) => device),
  );
  const [device] = devices;
  if (devices.size === 1) return device!;
  throw invalid(
    `no interface: expected --join-interface or --net-device, one of ${[...devices].join(' ') || 'none that is up'}`,
  );
}
