/** Which packets are the director's alone: those of its services, and for a while those of services that it no longer has. */

import type { Guarded } from '../host/guard-script.ts';
import type { MarkRule } from '../model/command.ts';
import { formatService } from '../model/naming.ts';
import type { ServiceAddress } from '../model/service.ts';
import type { DestinationSnapshot, ServiceSnapshot } from '../model/snapshot.ts';

/**
 * ms that packets of a removed service or destination are still kept: the longest time-out of a connection (TCP,
 * established: 900 s). Were the kernel to see them, it would reset connections that are to end quietly, and forward
 * replies that are still translated.
 */
export const LINGER = 900_000;

type Destination = Pick<DestinationSnapshot, 'method' | 'address' | 'port'>;

/** What there is, or was. */
interface Kept<What> {
  readonly what: What;
  /** When it was found removed, ms; undefined: it is there. */
  gone: number | undefined;
}

interface KeptService extends Kept<ServiceAddress> {
  readonly destinations: Map<string, Kept<Destination>>;
}

export interface KeptServices {
  /** What is to be kept now, by the services there are; everything at once is let go with the last of them. */
  update(services: readonly ServiceSnapshot[], marks: readonly MarkRule[], now: number): Guarded;
}

export function keptServices(): KeptServices {
  const all = new Map<string, KeptService>();
  return {
    update(services, marks, now) {
      if (services.length === 0) all.clear();
      age(all, now);
      for (const { destinations } of all.values()) age(destinations, now);
      for (const { service, destinations } of services) {
        const kept = all.get(formatService(service)) ?? {
          what: service,
          gone: undefined,
          destinations: new Map(),
        };
        kept.gone = undefined;
        all.set(formatService(service), kept);
        for (const { method, address, port } of destinations) {
          const what = { method, address, port };
          kept.destinations.set(`${method} ${address} ${port}`, { what, gone: undefined });
        }
      }
      return {
        marks,
        services: [...all.values()].map(({ what, destinations }) => ({
          service: what,
          destinations: [...destinations.values()].map((each) => each.what),
        })),
      };
    },
  };
}

/** All are taken for gone, unless they are found to be there afterwards; those that are for too long are forgotten. */
function age(all: Map<string, Kept<unknown>>, now: number): void {
  for (const [key, kept] of all) {
    kept.gone ??= now;
    if (now - kept.gone > LINGER) all.delete(key);
  }
}
