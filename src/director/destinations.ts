/** Destinations by number, and the removed ones that still have connections: adding one again resumes them. */
import { type Address, sameAddress } from '../wire/address.ts';
import { AddressFilter } from './address-filter.ts';
import { RealDestination, type Service } from './service.ts';

/** A removed destination without connections is forgotten after this time, ms (IP_VS_DEST_TRASH_PERIOD, ip_vs.h 6.1). */
const TRASH_PERIOD = 120_000;

/** Every destination that is configured or that a connection still refers to. */
export class DestinationRegistry {
  /** By `index`; undefined where a number is free. */
  readonly all: (RealDestination | undefined)[] = [];
  /** Addresses of all of them. */
  readonly addresses = new AddressFilter();
  readonly #free: number[] = [];
  readonly #removed = new Set<RealDestination>();

  /** The destination of `service` at that address: the removed one, when there is one that fits, or a new one. */
  obtain(service: Service, address: Address, port: number): RealDestination {
    for (const removed of this.#removed) {
      if (!isSame(removed, service, address, port)) continue;
      this.#removed.delete(removed);
      if (removed.service !== service) {
        removed.meter.zero();
        removed.service = service;
      }
      return removed;
    }
    const index = this.#free.pop() ?? this.all.length;
    const destination = new RealDestination(index, service, address, port);
    this.all[index] = destination;
    this.addresses.add(address);
    return destination;
  }

  /** Takes it out of service. It stays known to its connections. */
  remove(destination: RealDestination): void {
    destination.available = false;
    this.#removed.add(destination);
  }

  /** Forgets what was removed and has had no connections for a while. */
  expire(now: number): void {
    for (const destination of this.#removed) {
      if (destination.references > 0) continue;
      if (destination.idleSince < 0) destination.idleSince = now;
      else if (now - destination.idleSince >= TRASH_PERIOD) this.#forget(destination);
    }
  }

  #forget(destination: RealDestination): void {
    this.#removed.delete(destination);
    this.all[destination.index] = undefined;
    this.addresses.remove(destination.address);
    this.#free.push(destination.index);
  }
}

/** True when a removed destination is what is being added: the same server for the same virtual service. */
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
