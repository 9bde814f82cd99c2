/** Tracks the packets that the host must not process: those of services, and for 15 minutes those of removed ones. */

import { serviceKey } from '../../director/administration.ts';
import type { Director } from '../../director/director.ts';
import type { Service } from '../../director/service.ts';
import type { DestinationAddress, ForwardingMethodName } from '../../model/destination.ts';
import { LvsError } from '../../model/errors.ts';
import { formatDestination, formatService } from '../../model/naming.ts';
import type { OwnedChange, OwnedDestination, OwnedPart } from '../../model/owned-packets.ts';
import type { ServiceAddress } from '../../model/service.ts';
import { Slice } from '../../model/slice.ts';
import { parseAddress } from '../../wire/address.ts';

/**
 * Time for which packets of a removed service or destination are withheld, ms: the longest timeout of a connection (TCP,
 * established: 900 s). The host would otherwise reset connections that are closing, and forward replies untranslated.
 */
export const LINGER_MS = 900_000;

/** The services and destinations of a director, by name. */
export interface RunningServices {
  /** Reports whether no service exists. */
  readonly isEmpty: boolean;
  has(service: ServiceAddress): boolean;
  /** Returns the forwarding method of a destination; undefined: it does not exist. */
  methodOf(service: ServiceAddress, destination: DestinationAddress): ForwardingMethodName | undefined;
}

/** Returns the services of a director. The names must be canonical and valid; invalid ones are not found. */
export function runningServices({ context }: Director): RunningServices {
  const find = (name: ServiceAddress): Service | undefined => {
    try {
      return context.services.get(serviceKey(name));
    } catch (error) {
      if (error instanceof LvsError) return undefined;
      throw error;
    }
  };
  return {
    get isEmpty() {
      return !context.services.serves(4) && !context.services.serves(6);
    },
    has: (service) => find(service) !== undefined,
    methodOf(service, { address, port }) {
      const parsed = parseAddress(address);
      return parsed && find(service)?.destination(parsed, port)?.method;
    },
  };
}

/** A service or a destination to compare with what the director runs. */
export interface PartName {
  readonly service: ServiceAddress;
  readonly destination?: DestinationAddress;
  /** The service may have lost destinations: all of them are compared. */
  readonly isWhole?: boolean;
}

interface Owned {
  readonly part: OwnedPart;
  /** When it was found removed, ms; undefined: it exists. */
  removedAt: number | undefined;
}

interface OwnedEntry extends Owned {
  /** By method and address. */
  readonly destinations: Map<string, Owned>;
}

/** The parts whose packets are withheld, and their changes. The work is proportional to the number of named parts. */
export class OwnedPackets {
  readonly #running: RunningServices;
  readonly #all = new Map<string, OwnedEntry>();
  /** What was removed, oldest first. */
  readonly #leaving = new Set<Owned>();
  #added: OwnedPart[] = [];
  #removed: OwnedPart[] = [];

  constructor(running: RunningServices) {
    this.#running = running;
  }

  /** Adds what commands are about to add. Works in slices. */
  async add(parts: readonly OwnedPart[]): Promise<void> {
    const slice = new Slice();
    for (const part of parts) {
      this.#own(part);
      if (slice.spent) await slice.next();
    }
  }

  /** Compares what commands named with what the director runs: `all` after it lost everything. Works in slices. */
  async review(names: readonly PartName[] | 'all', now: number): Promise<void> {
    const slice = new Slice();
    const all =
      names === 'all'
        ? [...this.#all.values()].map(({ part }) => ({ service: part.service, isWhole: true }))
        : names;
    for (const name of all) {
      this.#compare(name, now);
      if (slice.spent) await slice.next();
    }
    if (this.#running.isEmpty) await this.#releaseAll(slice);
  }

  /** Releases what was removed long ago. `now`: ms of one monotonic clock. */
  expire(now: number): void {
    for (const each of this.#leaving) {
      if (now - each.removedAt! <= LINGER_MS) return;
      this.#leaving.delete(each);
      if (this.#exists(each.part)) each.removedAt = undefined;
      else this.#release(each);
    }
  }

  /** Returns the changes since the last call. */
  takeChange(): OwnedChange {
    const change = { added: this.#added, removed: this.#removed };
    this.#added = [];
    this.#removed = [];
    return change;
  }

  #own({ service, destination }: OwnedPart): void {
    const entry = this.#ownService(service);
    if (!destination) return;
    const key = keyOf(destination);
    const known = entry.destinations.get(key);
    if (known) {
      this.#keep(known);
      return;
    }
    const part = { service, destination };
    entry.destinations.set(key, { part, removedAt: undefined });
    this.#added.push(part);
  }

  #ownService(service: ServiceAddress): OwnedEntry {
    const key = formatService(service);
    const known = this.#all.get(key);
    if (known) {
      this.#keep(known);
      return known;
    }
    const entry: OwnedEntry = { part: { service }, removedAt: undefined, destinations: new Map() };
    this.#all.set(key, entry);
    this.#added.push(entry.part);
    return entry;
  }

  #keep(owned: Owned): void {
    if (this.#leaving.delete(owned)) owned.removedAt = undefined;
  }

  #compare({ service, destination, isWhole = false }: PartName, now: number): void {
    const entry = this.#all.get(formatService(service));
    if (this.#running.has(service)) this.#own({ service });
    else if (entry) this.#leave(entry, now);
    const compareDestination = (at: DestinationAddress) => {
      const current = this.#running.methodOf(service, at);
      if (current) this.#own({ service, destination: { ...at, method: current } });
      for (const method of METHODS) {
        const known = method === current ? undefined : entry?.destinations.get(keyOf({ ...at, method }));
        if (known) this.#leave(known, now);
      }
    };
    if (destination) compareDestination(destination);
    if (isWhole && entry)
      for (const { part } of [...entry.destinations.values()])
        compareDestination({ address: part.destination!.address, port: part.destination!.port });
  }

  #leave(owned: Owned, now: number): void {
    if (owned.removedAt !== undefined) return;
    owned.removedAt = now;
    this.#leaving.add(owned);
  }

  #exists({ service, destination }: OwnedPart): boolean {
    return destination
      ? this.#running.methodOf(service, destination) === destination.method
      : this.#running.has(service);
  }

  #release({ part }: Owned): void {
    const key = formatService(part.service);
    this.#removed.push(part);
    if (part.destination) this.#all.get(key)?.destinations.delete(keyOf(part.destination));
    else {
      // Its destinations were removed with it, or before it.
      for (const each of this.#all.get(key)?.destinations.values() ?? []) {
        this.#leaving.delete(each);
        this.#removed.push(each.part);
      }
      this.#all.delete(key);
    }
  }

  /** Releases the parts of removed services: without any service, no packets are withheld. */
  async #releaseAll(slice: Slice): Promise<void> {
    for (const entry of [...this.#all.values()]) {
      if (this.#running.has(entry.part.service)) continue;
      this.#leaving.delete(entry);
      this.#release(entry);
      if (slice.spent) await slice.next();
    }
  }
}

const METHODS: readonly ForwardingMethodName[] = ['nat', 'dr', 'tunnel'];

const keyOf = (destination: OwnedDestination): string =>
  `${destination.method} ${formatDestination(destination)}`;
