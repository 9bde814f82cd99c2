/**
 * Destinations by number, including removed ones with connections: adding such a destination again resumes
 * them.
 */
import { LvsError } from '../model/errors.ts';
import { type DestinationRecords, MAX_DESTINATIONS } from '../table/destination-records.ts';
import { type Address, sameAddress } from '../wire/address.ts';
import { AddressFilter } from './address-filter.ts';
import type { Meters } from './meters.ts';
import { RealDestination, type Service } from './service.ts';

/**
 * Time after which a removed destination without connections is deleted, ms (IP_VS_DEST_TRASH_PERIOD, ip_vs.h
 * 6.1).
 */
const MIN_TRASH_MS = 120_000;
/** Interval of checks of the removed destinations, ms, as in Linux 6.1: each is kept for 120 to 180 s. */
const TRASH_INTERVAL = MIN_TRASH_MS / 2;
/** Maximum number of removed destinations that are checked at once. */
const MAX_CHECKED = 4096;
/** Numbers that destinations of other directors' connections may take, so that enough remain for configured ones. */
const MAX_HIDDEN = 16_384;

/** Every destination that is configured or that a connection refers to. */
export class DestinationRegistry {
  /** By `index`, from 1 on; undefined for a free number. */
  readonly all: (RealDestination | undefined)[] = [undefined];
  /** Addresses of all destinations. */
  readonly addresses = new AddressFilter();
  /** A destination was removed while connections used it, and they were not ended since. */
  mayBeAbandoned = false;
  readonly #records: DestinationRecords;
  readonly #meters: Meters;
  readonly #free: number[] = [];
  /** By a hash of address and port; the last added first. */
  readonly #endpoints = new Map<number, RealDestination[]>();
  /** Removed ones, and hidden ones. */
  readonly #removed = new Set<RealDestination>();
  #hidden = 0;
  /** When the removed destinations are checked next, ms, and those that the current check has not reached yet. */
  #nextLook = 0;
  #unchecked: Iterator<RealDestination, undefined> | undefined;

  constructor(records: DestinationRecords, meters: Meters) {
    this.#records = records;
    this.#meters = meters;
  }

  /** Returns the destination of `service` at that address: a matching removed one, or a new one. */
  obtain(service: Service, address: Address, port: number): RealDestination {
    const namesakes = this.#removed.size > 0 ? this.#endpoints.get(hashOf(address, port)) : undefined;
    for (const removed of namesakes ?? []) {
      if (removed.available || !isSame(removed, service, address, port)) continue;
      this.#removed.delete(removed);
      this.#leaveEndpoint(removed);
      this.#enterEndpoint(removed);
      if (removed.service !== service) {
        removed.meter.zero();
        removed.service = service;
      }
      return removed;
    }
    if (this.#free.length === 0 && this.all.length > MAX_DESTINATIONS)
      throw new LvsError(
        'TABLE_FULL',
        `destinations: the limit of ${MAX_DESTINATIONS} is reached, including removed ones with connections`,
      );
    return this.#make(service, address, port);
  }

  #make(service: Service, address: Address, port: number): RealDestination {
    const index = this.#free.pop() ?? this.all.length;
    this.#records.set(index, address, port);
    const meter = this.#meters.ofDestination(index, true);
    const destination = new RealDestination(index, service, address, port, this.#records, meter);
    this.all[index] = destination;
    this.addresses.add(address);
    this.#enterEndpoint(destination);
    return destination;
  }

  /** Takes over a record that another process has left; `recycle` has to be called after the last one. */
  adopt(index: number, service: Service): RealDestination {
    const records = this.#records;
    const address = records.copyAddress(index, new Uint32Array(4));
    const meter = this.#meters.ofDestination(index, false);
    const destination = new RealDestination(index, service, address, records.port(index), records, meter);
    destination.resume();
    while (this.all.length <= index) this.all.push(undefined);
    this.all[index] = destination;
    this.addresses.add(address);
    this.#enterEndpoint(destination);
    if (destination.available) return destination;
    this.#removed.add(destination);
    if (destination.hidden) this.#hidden++;
    else if (destination.references > 0) this.mayBeAbandoned = true;
    return destination;
  }

  /** Makes the numbers available that no adopted destination has. */
  recycle(): void {
    for (let index = this.all.length - 1; index > 0; index--)
      if (this.all[index] === undefined) this.#free.push(index);
  }

  /**
   * Returns the hidden destination at that address and port, for connections of another director; undefined if there are too
   * many. It is deleted like a removed one. `service`: that of all hidden destinations.
   */
  obtainHidden(service: Service, address: Address, port: number): RealDestination | undefined {
    const namesakes = this.#endpoints.get(hashOf(address, port)) ?? [];
    for (const known of namesakes) {
      if (!known.hidden || known.port !== port || !sameAddress(known.address, address)) continue;
      known.idleSince = -1;
      return known;
    }
    if (this.#hidden >= MAX_HIDDEN || (this.#free.length === 0 && this.all.length > MAX_DESTINATIONS))
      return undefined;
    this.#hidden++;
    const destination = this.#make(service, address, port);
    destination.hide();
    this.#removed.add(destination);
    return destination;
  }

  /** Returns the last added destination with NAT, this endpoint and protocol that was not removed. */
  translated(protocol: number, address: Address, port: number): RealDestination | undefined {
    const all = this.#endpoints.get(hashOf(address, port));
    if (all === undefined) return undefined;
    for (const each of all) {
      if (!each.available || each.method !== 'nat' || each.port !== port) continue;
      if (!sameAddress(each.address, address)) continue;
      // A service of a mark has every protocol.
      if (each.service.mark !== 0 || each.service.protocol === protocol) return each;
    }
    return undefined;
  }

  #enterEndpoint(destination: RealDestination): void {
    const key = hashOf(destination.address, destination.port);
    const known = this.#endpoints.get(key);
    if (known) known.unshift(destination);
    else this.#endpoints.set(key, [destination]);
  }

  #leaveEndpoint(destination: RealDestination): void {
    const key = hashOf(destination.address, destination.port);
    const all = this.#endpoints.get(key)!;
    // Thousands of services may have the same server. The oldest is removed first, as a rule.
    all.splice(all.lastIndexOf(destination), 1);
    if (all.length === 0) this.#endpoints.delete(key);
  }

  /** Removes the destination at `now`, ms. Its connections keep it. */
  remove(destination: RealDestination, now: number): void {
    if (this.#removed.size === 0) this.#nextLook = now + TRASH_INTERVAL;
    destination.available = false;
    if (destination.references > 0) this.mayBeAbandoned = true;
    this.#removed.add(destination);
  }

  /** Deletes removed destinations that have had no connections for a while, MAX_CHECKED of them at most. */
  expire(now: number): void {
    if (!this.#unchecked) {
      if (this.#removed.size === 0 || now < this.#nextLook) return;
      this.#nextLook = now + TRASH_INTERVAL;
      this.#unchecked = this.#removed.values();
    }
    for (let checked = 0; checked < MAX_CHECKED; checked++) {
      const { value: destination } = this.#unchecked.next();
      if (!destination) {
        this.#unchecked = undefined;
        return;
      }
      if (destination.references > 0) continue;
      if (destination.idleSince < 0) destination.idleSince = now;
      else if (now - destination.idleSince >= MIN_TRASH_MS) this.#forget(destination);
    }
  }

  #forget(destination: RealDestination): void {
    this.#removed.delete(destination);
    if (destination.hidden) this.#hidden--;
    this.#leaveEndpoint(destination);
    this.all[destination.index] = undefined;
    this.#records.clear(destination.index);
    this.addresses.remove(destination.address);
    this.#free.push(destination.index);
  }
}

/**
 * Returns a small integer, so that the map's keys are not boxed. Only configured addresses are added, and MAX_HIDDEN
 * others: no seed is needed.
 */
function hashOf(address: Address, port: number): number {
  const words = address[0]! ^ Math.imul(address[1]!, 31) ^ Math.imul(address[2]!, 37) ^ address[3]!;
  return (Math.imul(words, 0x9e3779b1) ^ port) & 0x3fffffff;
}

/** Reports whether a removed destination is the one to add: the same server for the same virtual service. */
function isSame(removed: RealDestination, service: Service, address: Address, port: number): boolean {
  const was = removed.service;
  return (
    removed.port === port &&
    sameAddress(removed.address, address) &&
    was.protocol === service.protocol &&
    was.family === service.family &&
    was.mark === service.mark &&
    was.port === service.port &&
    sameAddress(was.address, service.address)
  );
}
