/** How services and destinations are written on the page and keyed in the history. */
import type { DestinationAddress } from '../model/destination.ts';
import type { ServiceAddress } from '../model/service.ts';

const endpoint = (address: string, port: number): string =>
  address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`;

export const serviceName = (service: ServiceAddress): string =>
  'mark' in service
    ? `mark ${service.mark}${service.family === 6 ? ' IPv6' : ''}`
    : `${service.protocol.toUpperCase()} ${endpoint(service.address, service.port)}`;

export const destinationName = ({ address, port }: DestinationAddress): string => endpoint(address, port);

export const destinationKey = (service: ServiceAddress, destination: DestinationAddress): string =>
  `${serviceName(service)} ${destinationName(destination)}`;
