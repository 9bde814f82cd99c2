/** Which packets the host must not process: those of the director's services, and for a while those of removed ones. */

import type { Guarded } from '../host/guard-script.ts';
import type { MarkRule } from '../model/command.ts';
import { formatDestination, formatService } from '../model/naming.ts';
import type { ServiceAddress } from '../model/service.ts';
import { Slice } from '../model/slice.ts';
import type { DestinationSnapshot } from '../model/snapshot.ts';

/**
 * ms for which packets of a removed service or destination are still withheld: the longest timeout of a connection
 * (TCP, established: 900 s). The host would reset connections that still end, and forward replies untranslated.
 */
export const LINGER_MS = 900_000;

type Destination = Pick<DestinationSnapshot, 'method' | 'address' | 'port'>;

/** A service as far as it names packets. */
export interface OwnedService {
  readonly service: ServiceAddress;
  readonly destinations: readonly Destination[];
}

interface Owned<T> {
  readonly item: T;
  /** When it was first found removed, ms; undefined: it exists. */
  removedAt: number | undefined;
  /** Number of the update that last found it. */
  seen: number;
}

interface OwnedEntry extends Owned<ServiceAddress> {
  readonly destinations: Map<string, Owned<Destination>>;
}

export class OwnedPackets {
  readonly #all = new Map<string, OwnedEntry>();
  #updates = 0;
  #hasChanged = true;
  #result: Guarded = { services: [], marks: [] };

  /**
   * Resolves with what to withhold now: the same object as before when nothing changed. Without any service nothing is.
   * `now`: ms of one monotonic clock. Works in slices; calls must not overlap.
   */
  async update(services: Iterable<OwnedService>, marks: readonly MarkRule[], now: number): Promise<Guarded> {
    const slice = new Slice();
    const update = ++this.#updates;
    let isEmpty = true;
    for (const { service, destinations } of services) {
      isEmpty = false;
      this.#find(service, destinations, update);
      if (slice.spent) await slice.next();
    }
    if (isEmpty && this.#all.size > 0) {
      this.#all.clear();
      this.#hasChanged = true;
    }
    for (const entry of this.#all.values()) {
      this.#age(this.#all, formatService(entry.item), entry, update, now);
      for (const [key, each] of entry.destinations) this.#age(entry.destinations, key, each, update, now);
      if (slice.spent) await slice.next();
    }
    if (!this.#hasChanged && this.#result.marks === marks) return this.#result;
    this.#hasChanged = false;
    const result: OwnedService[] = [];
    for (const { item, destinations } of this.#all.values()) {
      result.push({ service: item, destinations: [...destinations.values()].map((each) => each.item) });
      if (slice.spent) await slice.next();
    }
    this.#result = { services: result, marks };
    return this.#result;
  }

  #find(service: ServiceAddress, destinations: readonly Destination[], update: number): void {
    const key = formatService(service);
    let entry = this.#all.get(key);
    if (!entry) {
      entry = { item: service, removedAt: undefined, seen: update, destinations: new Map() };
      this.#all.set(key, entry);
      this.#hasChanged = true;
    }
    entry.seen = update;
    for (const { method, address, port } of destinations) {
      const name = `${method} ${formatDestination({ address, port })}`;
      const known = entry.destinations.get(name);
      if (known) {
        known.seen = update;
        continue;
      }
      entry.destinations.set(name, { item: { method, address, port }, removedAt: undefined, seen: update });
      this.#hasChanged = true;
    }
  }

  /** Forgets what was removed long ago. */
  #age(all: Map<string, unknown>, key: string, each: Owned<unknown>, update: number, now: number): void {
    if (each.seen === update) each.removedAt = undefined;
    else each.removedAt ??= now;
    if (each.removedAt === undefined || now - each.removedAt <= LINGER_MS) return;
    all.delete(key);
    this.#hasChanged = true;
  }
}
