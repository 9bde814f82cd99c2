/** What the web interface is given to show. */
import type { ServiceSnapshot, Snapshot } from '../model/snapshot.ts';
import type { Surroundings } from '../model/surroundings.ts';
import type { Events } from './events.ts';
import type { History } from './history.ts';

export interface Observed {
  snapshot(): Snapshot;
  surroundings(): Surroundings;
  readonly events: Events;
  readonly history: History;
  /** The wall clock. */
  now(): Date;
}

/** Returns what the director cannot do as it should although it is ready; undefined for nothing. */
export function degradation({ conditions }: Surroundings): string | undefined {
  return conditions.length === 0 ? undefined : conditions.map(({ text }) => text).join('; ');
}

const takesConnections = ({ destinations }: ServiceSnapshot): boolean =>
  destinations.some(({ weight, overloaded }) => weight > 0 && !overloaded);

/** Why the director cannot serve clients now, or undefined when it can: a service has a destination, packets are forwarded. */
export function notReady(snapshot: Snapshot, { running }: Surroundings): string | undefined {
  if (!running) return 'the datapath does not run';
  if (snapshot.services.length === 0) return 'there is no service';
  if (!snapshot.services.some(takesConnections))
    return 'no service has a destination that takes new connections';
  return undefined;
}
