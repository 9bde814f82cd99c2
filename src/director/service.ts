/** A virtual service and its destinations at run time. Each refers to the other. */
import type {
  Destination,
  DestinationOptions,
  ForwardingMethodName,
  TunnelOptions,
} from '../model/destination.ts';
import type { ServiceOptions, VirtualService } from '../model/service.ts';
import type { Scheduler } from '../schedulers/scheduler.ts';
import { type Address, ANY6 } from '../wire/address.ts';
import { Meter } from './rate-estimator.ts';

/** The identity of a service. */
export interface ServiceKey {
  /** IP protocol number; 0 with a mark. */
  readonly protocol: number;
  readonly family: 4 | 6;
  readonly address: Address;
  readonly port: number;
  /** 0: none. */
  readonly mark: number;
}

/** A virtual service at run time. */
export class Service implements VirtualService {
  readonly protocol: number;
  readonly family: 4 | 6;
  readonly address: Address;
  readonly port: number;
  readonly mark: number;
  options: ServiceOptions;
  /** Newest first. Changed by `insert`, `remove` and `clear` alone. */
  readonly destinations: RealDestination[] = [];
  /** The same by address and port. */
  readonly #byEndpoint = new Map<string, RealDestination>();
  readonly meter = new Meter();
  readonly counters = this.meter.counters;
  readonly rates = this.meter.rates;
  scheduler!: Scheduler;
  /** Timeout of templates, ms; 0: not persistent. */
  persistence = 0;
  /** Mask of client addresses: clients that are equal under it share a template. */
  mask: Address = ANY6;

  constructor(key: ServiceKey, options: ServiceOptions) {
    this.protocol = key.protocol;
    this.family = key.family;
    this.address = key.address;
    this.port = key.port;
    this.mark = key.mark;
    this.options = options;
  }

  /** Returns the destination at that address and port. */
  destination(address: Address, port: number): RealDestination | undefined {
    return this.#byEndpoint.get(endpointOf(address, port));
  }

  /** Puts a destination before all others. */
  insert(destination: RealDestination): void {
    this.destinations.unshift(destination);
    this.#byEndpoint.set(endpointOf(destination.address, destination.port), destination);
  }

  /** Takes a destination out, and returns the place that it had. */
  remove(destination: RealDestination): number {
    const index = this.destinations.indexOf(destination);
    this.destinations.splice(index, 1);
    this.#byEndpoint.delete(endpointOf(destination.address, destination.port));
    return index;
  }

  /** Takes all destinations out, and returns them. */
  clear(): RealDestination[] {
    this.#byEndpoint.clear();
    return this.destinations.splice(0);
  }
}

const endpointOf = (address: Address, port: number): string =>
  `${address[0]} ${address[1]} ${address[2]} ${address[3]} ${port}`;

export const PLAIN_TUNNEL: TunnelOptions = { type: 'ipip', port: 0, checksum: 'none' };

/** A destination at run time. Connections refer to its number, so that it exists as long as they do. */
export class RealDestination implements Destination {
  readonly index: number;
  readonly address: Address;
  readonly port: number;
  /** The service of the destination; after its removal, its last one. */
  service: Service;
  /** False after its removal: its connections stop until it is added again. */
  available = true;
  method: ForwardingMethodName = 'dr';
  tunnel: TunnelOptions = PLAIN_TUNNEL;
  weight = 1;
  lastWeight = 1;
  upperThreshold = 0;
  lowerThreshold = 0;
  activeConnections = 0;
  inactiveConnections = 0;
  persistentConnections = 0;
  overloaded = false;
  readonly meter = new Meter();
  readonly counters = this.meter.counters;
  readonly rates = this.meter.rates;
  /** When it was first seen removed and without connections, ms; -1: not. */
  idleSince = -1;

  constructor(index: number, service: Service, address: Address, port: number) {
    this.index = index;
    this.service = service;
    this.address = address;
    this.port = port;
  }

  /** Returns the connections and templates that are bound to it. */
  get references(): number {
    return this.activeConnections + this.inactiveConnections + this.persistentConnections;
  }

  /** Sets the options of -a or -e; missing ones have their defaults. */
  configure(options: DestinationOptions, isNew: boolean): void {
    const { method, weight = 1, upperThreshold = 0, lowerThreshold = 0, tunnel = PLAIN_TUNNEL } = options;
    this.method = method;
    this.weight = weight;
    if (isNew || weight !== 0) this.lastWeight = weight;
    this.tunnel = tunnel;
    if (upperThreshold === 0 || upperThreshold > this.upperThreshold) this.overloaded = false;
    this.upperThreshold = upperThreshold;
    this.lowerThreshold = lowerThreshold;
    this.available = true;
    this.idleSince = -1;
  }
}
