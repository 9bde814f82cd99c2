/** How every output names services, destinations and protocols: log, page, metrics, explain, top, errors. */
import { joinEndpoint } from '../wire/address.ts';
import { SCTP } from '../wire/sctp.ts';
import { TCP } from '../wire/tcp.ts';
import { UDP } from '../wire/udp.ts';
import type { DestinationAddress } from './destination.ts';
import type { Protocol, ServiceAddress } from './service.ts';

/** IP protocol numbers of the protocols that a service may have. */
export const PROTOCOL_NUMBERS: Readonly<Record<Protocol, number>> = { tcp: TCP, udp: UDP, sctp: SCTP };

const PROTOCOLS = new Map(
  Object.entries(PROTOCOL_NUMBERS).map(([name, number]) => [number, name as Protocol]),
);

/** Returns the name of an IP protocol number that a service may have; undefined for any other. */
export const protocolOfNumber = (number: number): Protocol | undefined => PROTOCOLS.get(number);

/** Returns the IP version of a service's addresses. */
export const familyOfService = (service: ServiceAddress): 4 | 6 =>
  'mark' in service ? service.family : service.address.includes(':') ? 6 : 4;

/** Returns a service's name, unique among services: `tcp 192.0.2.1:80`, `mark 7`, `mark 7 ipv6`. */
export function formatService(service: ServiceAddress): string {
  if ('mark' in service) return `mark ${service.mark}${service.family === 6 ? ' ipv6' : ''}`;
  return `${service.protocol} ${joinEndpoint(service.address, service.port)}`;
}

/** Returns a destination's name, unique within its service: `10.0.0.1:80`, `[2001:db8::1]:80`. */
export const formatDestination = ({ address, port }: DestinationAddress): string =>
  joinEndpoint(address, port);

/** Returns what people call an object: its name in the configuration with its address, `web (tcp 192.0.2.1:80)`, or the latter. */
export const withName = (name: string | undefined, address: string): string =>
  name === undefined ? address : `${name} (${address})`;

/** Returns the name of a destination of a service, or of the service, unique among all: `tcp 192.0.2.1:80 -> 10.0.0.1:80`. */
export const formatRule = (service: ServiceAddress, destination?: DestinationAddress): string =>
  destination ? `${formatService(service)} -> ${formatDestination(destination)}` : formatService(service);
