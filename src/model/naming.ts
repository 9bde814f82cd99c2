/** Services and destinations by name: in words for people, and as keys. */
import type { DestinationAddress } from './destination.ts';
import type { ServiceAddress } from './service.ts';

/** A service's address in words, also its key: `tcp 192.168.0.101:80`, `mark 7 (IPv6)`. */
export function keyOf(service: ServiceAddress): string {
  if ('mark' in service) return `mark ${service.mark}${service.family === 6 ? ' (IPv6)' : ''}`;
  return `${service.protocol} ${endpointOf(service)}`;
}

export const endpointOf = ({ address, port }: DestinationAddress): string =>
  address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`;
