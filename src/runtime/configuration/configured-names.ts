/** The names and the order of services and servers in the configuration, for everything that the director shows. */
import type { DestinationAddress } from '../../model/destination.ts';
import type { ListedService } from '../../model/entity-name.ts';
import { LvsError } from '../../model/errors.ts';
import type { Explanation, NearMiss } from '../../model/explanation.ts';
import { formatDestination, formatService } from '../../model/naming.ts';
import type { ServiceAddress } from '../../model/service.ts';
import { Slice } from '../../model/slice.ts';
import type { ServiceSnapshot } from '../../model/snapshot.ts';
import type { Fields, Log } from '../log.ts';

/** What the configuration says of an object. */
interface Listed {
  readonly name?: string;
  /** Missing for an object that the configuration had before. */
  readonly position?: number;
}

interface Service extends Listed {
  /** By endpoint. */
  readonly destinations: Map<string, Server>;
}

interface Server extends Listed {
  readonly address: string;
}

/** What names may be asked of. */
type Destinations = Iterable<{
  readonly service: ServiceAddress;
  readonly destination?: { address: string; port: number };
}>;

export class ConfiguredNames {
  #services = new Map<string, Service>();
  /** Servers that have joined, by service and endpoint. */
  readonly #joined = new Map<string, Map<string, Server>>();

  /** Names a destination whose server has joined; the configuration has precedence. */
  join(service: ServiceAddress, destination: DestinationAddress, name: string): void {
    const key = formatService(service);
    const servers = this.#joined.get(key) ?? new Map<string, Server>();
    this.#joined.set(
      key,
      servers.set(formatDestination(destination), { name, address: destination.address }),
    );
  }

  /** Forgets a destination that had joined. */
  leave(service: ServiceAddress, destination: DestinationAddress): void {
    const key = formatService(service);
    const servers = this.#joined.get(key);
    servers?.delete(formatDestination(destination));
    if (servers?.size === 0) this.#joined.delete(key);
  }

  /**
   * Replaces the names by those of a configuration. Objects of `draining`, which it does not list any more, keep theirs.
   * Works in slices.
   */
  async set(listed: Iterable<ListedService>, draining: Destinations = []): Promise<void> {
    const slice = new Slice();
    const before = this.#services;
    const services = new Map<string, Service>();
    for (const { service, name, destinations } of listed) {
      if (slice.spent) await slice.next();
      const own = new Map(
        destinations.map((each, position) => [
          formatDestination(each.destination),
          {
            position,
            address: each.destination.address,
            ...(each.name !== undefined && { name: each.name }),
          },
        ]),
      );
      const position = services.size;
      services.set(formatService(service), {
        position,
        ...(name !== undefined && { name }),
        destinations: own,
      });
    }
    for (const { service, destination } of draining) {
      if (slice.spent) await slice.next();
      const key = formatService(service);
      const left = before.get(key);
      if (!left) continue;
      const known = services.get(key) ?? { ...named(left), destinations: new Map<string, Server>() };
      services.set(key, known);
      const endpoint = destination && formatDestination(destination);
      const gone = endpoint === undefined ? undefined : left.destinations.get(endpoint);
      if (gone && !known.destinations.has(endpoint!))
        known.destinations.set(endpoint!, { ...named(gone), address: gone.address });
    }
    this.#services = services;
  }

  /** Returns a copy of a service with its names. */
  complete(each: ServiceSnapshot): ServiceSnapshot {
    const listed = this.#services.get(formatService(each.service));
    if (!listed) return each;
    const { destinations: _, ...own } = listed;
    return {
      ...each,
      ...own,
      destinations: each.destinations.map((one) => {
        const known = this.#server(each.service, one);
        if (!known) return one;
        const { address: _, ...shown } = known;
        return { ...one, ...shown };
      }),
    };
  }

  /** Returns the names of a service and of one of its destinations. */
  of(
    service: ServiceAddress,
    destination?: DestinationAddress,
  ): { readonly service?: string; readonly server?: string } {
    const known = this.#services.get(formatService(service));
    const server = destination && this.#server(service, destination)?.name;
    return {
      ...(known?.name !== undefined && { service: known.name }),
      ...(server !== undefined && { server }),
    };
  }

  /** Returns the address of the server with this name; the text itself, if no server has it. Throws LvsError for several. */
  addressOf(text: string): string {
    const found = new Set<string>();
    const all = [...this.#services.values()].map(({ destinations }) => destinations);
    for (const servers of [...all, ...this.#joined.values()])
      for (const { name, address } of servers.values()) if (name === text) found.add(address);
    if (found.size > 1)
      throw new LvsError(
        'INVALID',
        `${text}: this server has the addresses ${[...found].join(' and ')}: name one of them`,
      );
    return [...found][0] ?? text;
  }

  /** Returns an explanation with the names of services and servers. */
  explained(explanation: Explanation): Explanation {
    let of: ServiceAddress | undefined;
    const missed = (each: NearMiss): NearMiss => ({ ...each, ...this.#nameOf(each.service) });
    const steps = explanation.steps.map((step) => {
      if (step.step === 'service') {
        const service = step.service && this.#services.get(formatService(step.service));
        of = step.service;
        return { ...step, ...(service && named(service)), near: step.near.map(missed) };
      }
      if (step.step !== 'scheduler') return step;
      const candidates = step.candidates.map((it) => {
        const known = of && this.#server(of, it);
        return known ? { ...it, ...named(known) } : it;
      });
      return { ...step, candidates };
    });
    return { ...explanation, steps };
  }

  /**
   * Returns `log`, which adds the names of the service and the destination of an event, as `service-name` and
   * `destination-name`.
   */
  log(log: Log): Log {
    return (level, event, fields) => log(level, event, fields && this.#fields(fields));
  }

  #fields(fields: Fields): Fields {
    const service = this.#services.get(String(fields['service']));
    if (!service) return fields;
    const [key, endpoint] = [String(fields['service']), String(fields['destination'])];
    const server = (service.destinations.get(endpoint) ?? this.#joined.get(key)?.get(endpoint))?.name;
    return {
      ...(service.name !== undefined && { 'service-name': service.name }),
      ...(server !== undefined && { 'destination-name': server }),
      ...fields,
    };
  }

  #server(service: ServiceAddress, destination: DestinationAddress): Server | undefined {
    const [key, endpoint] = [formatService(service), formatDestination(destination)];
    return this.#services.get(key)?.destinations.get(endpoint) ?? this.#joined.get(key)?.get(endpoint);
  }

  #nameOf(service: ServiceAddress): { readonly name?: string } {
    const known = this.#services.get(formatService(service));
    return known ? named(known) : {};
  }
}

const named = ({ name }: Listed): { readonly name?: string } => (name === undefined ? {} : { name });
