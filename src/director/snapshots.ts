/** What one can see of a director, made from what it holds. */
import type { DestinationSnapshot, ServiceSnapshot } from '../model/snapshot.ts';
import { formatAddress } from '../wire/address.ts';
import { nameOf } from './administration.ts';
import type { RealDestination } from './destinations.ts';
import type { Service } from './services.ts';

export function snapshotOfService(service: Service): ServiceSnapshot {
  return {
    service: nameOf(service, formatAddress),
    options: service.options,
    stats: service.meter.traffic(),
    rates: service.meter.rate(),
    destinations: service.destinations.map(snapshotOfDestination),
  };
}

function snapshotOfDestination(destination: RealDestination): DestinationSnapshot {
  const { port, method, tunnel, weight, upperThreshold, lowerThreshold, overloaded } = destination;
  const { activeConnections, inactiveConnections, persistentConnections, meter } = destination;
  return {
    address: formatAddress(destination.address),
    port,
    method,
    tunnel,
    weight,
    upperThreshold,
    lowerThreshold,
    activeConnections,
    inactiveConnections,
    persistentConnections,
    overloaded,
    stats: meter.traffic(),
    rates: meter.rate(),
  };
}
