/** Which packets are the director's alone: those of its services, and for a while those of services that it no longer has. */
import { keyOf } from '../../config/rule-words.ts';
import type { Guarded } from '../../io/guard-script.ts';
import type { MarkRule } from '../../model/command.ts';
import type { ServiceAddress } from '../../model/service.ts';
import type { DestinationSnapshot, ServiceSnapshot } from '../../model/snapshot.ts';

/**
 * ms that packets of a removed service or destination are still kept: the longest time-out of a connection (TCP,
 * established: 900 s). Were the kernel to see them, it would reset connections that are to end quietly, and forward
 * replies that are still translated.
 */
export const LINGER = 900_000;

type Destination = Pick<DestinationSnapshot, 'method' | 'address' | 'port'>;

interface Entry {
  readonly service: ServiceAddress;
  /** When it was seen last; ms. */
  seen: number;
  readonly destinations: Map<string, { readonly destination: Destination; seen: number }>;
}

export interface KeptServices {
  /** What is to be kept now, by the services there are; everything at once is let go with the last of them. */
  update(services: readonly ServiceSnapshot[], marks: readonly MarkRule[], now: number): Guarded;
}

export function keptServices(): KeptServices {
  const entries = new Map<string, Entry>();
  return {
    update(services, marks, now) {
      if (services.length === 0) entries.clear();
      for (const { service, destinations } of services) {
        const entry = entries.get(keyOf(service)) ?? { service, seen: now, destinations: new Map() };
        entry.seen = now;
        for (const { method, address, port } of destinations)
          entry.destinations.set(`${method} ${address} ${port}`, {
            destination: { method, address, port },
            seen: now,
          });
        entries.set(keyOf(service), entry);
      }
      for (const [key, entry] of entries) {
        if (now - entry.seen > LINGER) entries.delete(key);
        for (const [name, { seen }] of entry.destinations)
          if (now - seen > LINGER) entry.destinations.delete(name);
      }
      return {
        marks,
        services: [...entries.values()].map(({ service, destinations }) => ({
          service,
          destinations: [...destinations.values()].map(({ destination }) => destination),
        })),
      };
    },
  };
}
