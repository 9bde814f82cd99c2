/** A director to look at: services, checks, events and time as a test likes. */
import { Director } from '../../src/director/director.ts';
import type { CheckSnapshot } from '../../src/model/check.ts';
import { formatDestination, formatService } from '../../src/model/naming.ts';
import type { ServiceAddress, ServiceOptions } from '../../src/model/service.ts';
import type { ServiceSnapshot, Snapshot } from '../../src/model/snapshot.ts';
import type { Surroundings } from '../../src/model/surroundings.ts';
import type { VrrpInstance } from '../../src/model/vrrp.ts';
import { Events } from '../../src/web/events.ts';
import { History } from '../../src/web/history.ts';
import { type Availability, availabilityOf, type Observed } from '../../src/web/observed.ts';

export const WEB: ServiceAddress = { protocol: 'tcp', address: '192.0.2.1', port: 80 };
export const TLS: ServiceAddress = { protocol: 'tcp', address: '192.0.2.1', port: 443 };
export const MARK: ServiceAddress = { mark: 26, family: 4 };

export const surroundings: Surroundings = {
  version: '1.2.3',
  node: '20.20.2',
  uptime: 3700,
  datapath: 'a test',
  running: true,
  losses: { captureDrops: 5, firstCaptureDrops: 7 },
  sendFailures: { 'No route to host': 2 },
  access: { deny: 3, allow: 1, commanded: 2 },
  conditions: [],
  announcements: 0,
  restart: { keeps: true, adopted: { connections: 7, absence: 1.5, since: '2026-03-01T12:00:00.000Z' } },
  eventLoopDelay: { mean: 0.001, p99: 0.004, max: 0.01 },
  longestTurn: 0.012,
  control: { clients: 9, requests: 12, failed: 1, refused: 2, timedOut: 3, vanished: 4 },
  notify: { succeeded: 5, failed: 2, timedOut: 1, dropped: 0 },
};

export class ObservedDirector implements Observed {
  readonly director = new Director({
    host: { transmit: () => true, route: () => undefined, isLocal: () => false },
    maxConnections: 16,
  });
  readonly events = new Events();
  readonly history = new History();
  around: Surroundings = surroundings;
  /** Checks by the destination's address. */
  readonly checks = new Map<string, CheckSnapshot>();
  /** Names by what they name: `tcp 192.0.2.1:80`, `10.0.0.1:80`. */
  readonly names = new Map<string, string>();

  /** keepalived reports a state of its instance `lvs`. */
  report(state: VrrpInstance['state']): this {
    const instance = { type: 'INSTANCE', name: 'lvs', state, priority: 110 } as const;
    this.director.apply({ op: 'notify', instance, at: 0 }, 0);
    return this;
  }

  /** `destinations`: address and weight. */
  serve(
    service: ServiceAddress,
    destinations: Readonly<Record<string, number>> = {},
    options: Partial<ServiceOptions> = {},
  ): this {
    this.director.apply({ op: 'add-service', service, options: { scheduler: 'rr', ...options } }, 0);
    for (const [address, weight] of Object.entries(destinations).reverse())
      this.director.apply(
        {
          op: 'add-destination',
          service,
          destination: { address, port: 80 },
          options: { method: 'nat', weight },
        },
        0,
      );
    return this;
  }

  snapshot(): Snapshot {
    const snapshot = this.director.snapshot(0);
    return {
      ...snapshot,
      services: snapshot.services.map((each) => ({
        ...each,
        ...this.#nameOf(formatService(each.service)),
        destinations: each.destinations.map((one) => {
          const check = this.checks.get(one.address);
          return { ...one, ...this.#nameOf(formatDestination(one)), ...(check && { check }) };
        }),
      })),
    };
  }

  #nameOf(text: string): { readonly name?: string } {
    const name = this.names.get(text);
    return name === undefined ? {} : { name };
  }

  summary(): Omit<Snapshot, 'services'> {
    return this.director.summary(0);
  }

  services(): Iterable<ServiceSnapshot> {
    return this.snapshot().services;
  }

  availability(): Availability {
    const services = this.director.context.services.all;
    return availabilityOf(services);
  }

  surroundings(): Surroundings {
    return this.around;
  }

  now(): Date {
    return new Date(0);
  }
}
