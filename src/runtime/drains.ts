/** Tracks destinations and services that a reload has quiesced: they are removed when idle, or at their deadline. */
import type { Drain } from '../config/reload/reconcile.ts';
import type { Command } from '../model/command.ts';
import { formatDestination, formatService } from '../model/naming.ts';
import type { ServiceAddress } from '../model/service.ts';
import { Slice } from '../model/slice.ts';
import type { DestinationSnapshot, ServiceSnapshot } from '../model/snapshot.ts';

export interface Draining {
  readonly drain: Drain;
  /** ms of the director's clock. */
  readonly deadline: number;
}

/** Yields the entries with deadlines of another clock, which is `ms` ahead. */
export function* later(entries: Iterable<Draining>, ms: number): Generator<Draining> {
  for (const { drain, deadline } of entries) yield { drain, deadline: deadline + ms };
}

/** The draining destinations and services. */
export class Drains {
  /** By service, then by destination; '': the service itself, after its destinations. */
  #drains = new Map<string, Map<string, Draining>>();

  /**
   * Replaces the entries by those of a reload. Entries that remain keep their deadline. `deadline`: ms of the
   * director's clock. Works in slices.
   */
  async set(drains: Iterable<Drain>, deadline: number): Promise<void> {
    const slice = new Slice();
    const before = this.#drains;
    const all = new Map<string, Map<string, Draining>>();
    for (const drain of drains) {
      const key = formatService(drain.service);
      const entries = all.get(key) ?? new Map<string, Draining>();
      all.set(key, entries);
      const name = drain.destination ? formatDestination(drain.destination) : '';
      entries.set(name, before.get(key)?.get(name) ?? { drain, deadline });
      if (slice.spent) await slice.next();
    }
    this.#drains = all;
  }

  /** Begins with the entries of another process. Works in slices. */
  async resume(entries: Iterable<Draining>): Promise<void> {
    const slice = new Slice();
    for (const { drain, deadline } of entries) {
      const key = formatService(drain.service);
      const known = this.#drains.get(key) ?? new Map<string, Draining>();
      this.#drains.set(key, known);
      known.set(drain.destination ? formatDestination(drain.destination) : '', { drain, deadline });
      if (slice.spent) await slice.next();
    }
  }

  *entries(): Generator<Draining> {
    for (const entries of this.#drains.values()) yield* entries.values();
  }

  get all(): readonly Drain[] {
    return [...this.entries()].map(({ drain }) => drain);
  }

  get size(): number {
    let size = 0;
    for (const entries of this.#drains.values()) size += entries.size;
    return size;
  }

  /** Reports whether a service at the address drains. */
  uses(address: string): boolean {
    for (const entries of this.#drains.values()) {
      const [first] = entries.values();
      const service = first?.drain.service;
      if (service && 'address' in service && service.address === address) return true;
    }
    return false;
  }

  /** Ends a drain: the destination, or the service itself, is to stay. Returns whether there was one. */
  end({ service, destination }: Drain): boolean {
    const key = formatService(service);
    const entries = this.#drains.get(key);
    const wasDraining = entries?.delete(destination ? formatDestination(destination) : '') === true;
    if (entries?.size === 0) this.#drains.delete(key);
    return wasDraining;
  }

  /** Resolves with the commands that remove idle and overdue entries, and deletes these. Works in slices. */
  async due(
    find: (service: ServiceAddress) => ServiceSnapshot | undefined,
    now: number,
  ): Promise<readonly Command[]> {
    const slice = new Slice();
    const commands: Command[] = [];
    for (const [key, entries] of this.#drains) {
      if (slice.spent) await slice.next();
      const [first] = entries.values();
      const service = first && find(first.drain.service);
      if (service) commands.push(...dueOf(entries, service, now));
      else entries.clear();
      if (entries.size === 0) this.#drains.delete(key);
    }
    return commands;
  }
}

function dueOf(
  entries: Map<string, Draining>,
  { service, destinations }: ServiceSnapshot,
  now: number,
): Command[] {
  const commands: Command[] = [];
  const left = new Map(destinations.map((each) => [formatDestination(each), each]));
  for (const [name, { drain, deadline }] of entries)
    if (drain.destination) {
      const destination = left.get(name);
      if (destination && isBusy(destination) && now < deadline) continue;
      entries.delete(name);
      if (destination) commands.push({ op: 'delete-destination', service, destination: drain.destination });
      left.delete(name);
    }
  const own = entries.get('');
  if (own && (left.size === 0 || now >= own.deadline)) {
    entries.delete('');
    commands.push({ op: 'delete-service', service });
  }
  return commands;
}

const isBusy = ({ activeConnections, inactiveConnections }: DestinationSnapshot): boolean =>
  activeConnections + inactiveConnections > 0;
