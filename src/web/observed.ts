/** Defines the data sources of the web interface, and derives the readiness from them. */
import type { VirtualService } from '../model/service.ts';
import type { ServiceSnapshot, Snapshot } from '../model/snapshot.ts';
import type { Surroundings } from '../model/surroundings.ts';
import type { Events } from './events.ts';
import type { History } from './history.ts';

export interface Observed {
  /** Returns a copy of the director's state. */
  snapshot(): Snapshot | Promise<Snapshot>;
  /** Returns the state without services, at little cost. */
  summary(): Omit<Snapshot, 'services'>;
  /** Yields copies of the services; each is made when it is requested. */
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
  /** True if a service exists. */
  readonly served: boolean;
  /** True if a destination accepts new connections. */
  readonly accepting: boolean;
}

/** Returns the conditions that impair a ready director, as text; undefined: none. */
export function degradation({ conditions }: Surroundings): string | undefined {
  return conditions.length === 0 ? undefined : conditions.map(({ text }) => text).join('; ');
}

/** Returns the availability of the services of a director. Reads only as many as necessary. */
export function availabilityOf(services: Iterable<VirtualService>): Availability {
  let served = false;
  for (const { destinations } of services) {
    served = true;
    if (destinations.some(({ weight, overloaded }) => weight > 0 && !overloaded))
      return { served, accepting: true };
  }
  return { served, accepting: false };
}

/** Returns the reason why the director cannot serve clients; undefined: it can. */
export function notReady({ served, accepting }: Availability, { running }: Surroundings): string | undefined {
  if (!running) return 'the datapath is not running';
  if (!served) return 'no service exists';
  if (!accepting) return 'no destination accepts new connections';
  return undefined;
}
