/** The sources of the web interface, and what they say about readiness. */
import type { VirtualService } from '../model/service.ts';
import type { ServiceSnapshot, Snapshot } from '../model/snapshot.ts';
import type { Surroundings } from '../model/surroundings.ts';
import type { Events } from './events.ts';
import type { History } from './history.ts';

export interface Observed {
  /** Returns a copy of the director's state. */
  snapshot(): Snapshot | Promise<Snapshot>;
  /** Returns everything of it but the services, at little cost. */
  summary(): Omit<Snapshot, 'services'>;
  /** Yields copies of the services; each is made when it is asked for. */
  services(): Iterable<ServiceSnapshot>;
  /** Returns the readiness to serve clients, at little cost. */
  availability(): Availability;
  surroundings(): Surroundings;
  readonly events: Events;
  readonly history: History;
  /** Returns the wall-clock time. */
  now(): Date;
}

export interface Availability {
  /** Reports whether there is a service. */
  readonly served: boolean;
  /** Reports whether a destination accepts new connections. */
  readonly accepting: boolean;
}

/** Returns what the director cannot do as it should although it is ready; undefined for nothing. */
export function degradation({ conditions }: Surroundings): string | undefined {
  return conditions.length === 0 ? undefined : conditions.map(({ text }) => text).join('; ');
}

/** Returns the availability of the services of a director. Reads no more of them than it must. */
export function availabilityOf(services: Iterable<VirtualService>): Availability {
  let served = false;
  for (const { destinations } of services) {
    served = true;
    if (destinations.some(({ weight, overloaded }) => weight > 0 && !overloaded))
      return { served, accepting: true };
  }
  return { served, accepting: false };
}

/** Returns why the director cannot serve clients, or undefined: packets are forwarded, and a destination accepts connections. */
export function notReady({ served, accepting }: Availability, { running }: Surroundings): string | undefined {
  if (!running) return 'the datapath does not run';
  if (!served) return 'there is no service';
  if (!accepting) return 'no service has a destination that takes new connections';
  return undefined;
}
