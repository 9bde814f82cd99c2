/** What the configuration allows servers that join. It bounds everything that they can say. */
import type { DestinationAddress, DestinationOptions } from '../model/destination.ts';
import { familyOfService } from '../model/naming.ts';
import type { ServiceAddress } from '../model/service.ts';
import { isUnicast, parseAddress } from '../wire/address.ts';
import type { PrefixSet } from '../wire/prefix-set.ts';
import type { Place } from './member.ts';

/** What a service allows. */
export interface ServicePolicy {
  readonly service: ServiceAddress;
  /** Of its destinations that join; the weight is the announced one. */
  readonly options: DestinationOptions;
  readonly maxServers: number;
  readonly maxWeight: number;
  /** ms in which the weight of a server that joins grows. */
  readonly slowStart: number;
  /** Endpoints of the file's destinations: they cannot join. */
  readonly listed: ReadonlySet<string>;
}

export interface JoinPolicy {
  /** By the name of the service. */
  readonly services: ReadonlyMap<string, ServicePolicy>;
  /** Servers in all services. */
  readonly maxServers: number;
  /** The addresses of destinations are in these. */
  readonly networks: PrefixSet;
  /** Addresses of services, which cannot be those of destinations. */
  readonly vips: ReadonlySet<string>;
  /** ms after which a server that left is removed despite its connections. */
  readonly drain: number;
  /** ms from a loss of a server to its effect. */
  readonly patience: number;
}

type Addresses = Pick<Place, 'service' | 'destination'>;

/** Returns the destination as the director has it: only NAT can change the port. */
export function forwardedTo({ service, destination }: Addresses, { options }: ServicePolicy) {
  const { address, port } = destination;
  const isOwnPort = options.method === 'nat' || 'mark' in service;
  return { address, port: isOwnPort ? port : service.port } satisfies DestinationAddress;
}

/** Reports whether a server may have a destination of the service at this address. */
export function isAllowedAddress(
  { service, destination }: Addresses,
  { options }: ServicePolicy,
  { networks, vips }: JoinPolicy,
): boolean {
  const address = parseAddress(destination.address);
  if (!address || !isUnicast(address) || vips.has(destination.address)) return false;
  const family = destination.address.includes(':') ? 6 : 4;
  if (family !== familyOfService(service) && options.method !== 'tunnel') return false;
  return networks.match(address) >= 0;
}
