/** Labels of services and destinations in metrics, and the maximum numbers of them. */
import type { DestinationSnapshot, ServiceSnapshot } from '../model/snapshot.ts';
import type { Labels } from './families.ts';

/** Maximum numbers of services and destinations that are exported; the totals include the rest. */
export const MAX_SERVICES = 2000;
export const MAX_DESTINATIONS = 5000;
/** Maximum number of different error messages of the kernel; further ones are counted as 'other'. */
export const MAX_MESSAGES = 32;

/** A destination with the labels that name it: including its service, because a real server may belong to several. */
export interface Named {
  readonly labels: Labels;
  readonly service: ServiceSnapshot;
  readonly destination: DestinationSnapshot;
}

export function serviceLabels({ service }: ServiceSnapshot): Labels {
  return 'mark' in service
    ? {
        protocol: 'fwm',
        address: service.family === 6 ? 'IPv6' : 'IPv4',
        port: '0',
        mark: String(service.mark),
      }
    : { protocol: service.protocol, address: service.address, port: String(service.port), mark: '' };
}

export function namedDestinations(services: readonly ServiceSnapshot[]): Named[] {
  const named: Named[] = [];
  for (const service of services) {
    const its = serviceLabels(service);
    for (const destination of service.destinations) {
      if (named.length >= MAX_DESTINATIONS) return named;
      const { address, port } = destination;
      named.push({
        labels: { ...its, destination_address: address, destination_port: String(port) },
        service,
        destination,
      });
    }
  }
  return named;
}

/** Returns at most MAX_MESSAGES counts, and the sum of all others as 'other'. */
export function limitedMessages(
  counts: Readonly<Record<string, number>>,
): [message: string, count: number][] {
  const all = Object.entries(counts);
  if (all.length <= MAX_MESSAGES) return all;
  const rest = all.slice(MAX_MESSAGES).reduce((sum, [, count]) => sum + count, 0);
  return [...all.slice(0, MAX_MESSAGES), ['other', rest]];
}
