/** A virtual service and its destinations at run time. Each refers to the other. */
import type { Counters } from '../model/counters.ts';
import type {
  Destination,
  DestinationOptions,
  ForwardingMethodName,
  TunnelOptions,
} from '../model/destination.ts';
import type { ServiceOptions, VirtualService } from '../model/service.ts';
import { FALLBACK, PORT, type Scheduler, type SchedulerPosition } from '../schedulers/scheduler.ts';
import type { DestinationRecords } from '../table/destination-records.ts';
import { portInPacketOrder } from '../table/packet-order.ts';
import {
  DESTINATION,
  DESTINATION_FLAGS,
  SCHEDULER,
  SERVICE,
  SERVICE_FLAGS,
  TUNNEL,
} from '../table/record-layout.ts';
import type { ServiceRecords } from '../table/service-records.ts';
import { type Address, ANY6 } from '../wire/address.ts';
import { Meter } from './rate-estimator.ts';
import { METHOD_NUMBERS, recordedMethod, recordedTunnel } from './recorded-options.ts';
import { RecordedPosition } from './recorded-position.ts';

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

/** What programs forward of a service's first packets. */
export interface Forwardable {
  /** Bytes of the longest packet that programs forward to whichever destination is selected; 0: none. */
  readonly longest: number;
  /** Replies of all destinations bypass this host. */
  readonly isBypassed: boolean;
}

/** A virtual service at run time: a view of its record, which programs of the kernel schedule by. */
export class Service implements VirtualService {
  /** Number of its record. */
  readonly index: number;
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
  readonly meter: Meter;
  readonly counters: Counters;
  scheduler!: Scheduler;
  /** Position of the scheduler. */
  readonly position: SchedulerPosition;
  /** Timeout of templates, ms; 0: not persistent. */
  persistence = 0;
  /** Mask of client addresses: clients that are equal under it share a template. */
  mask: Address = ANY6;
  readonly #records: ServiceRecords;

  /** The record must have been made. */
  constructor(
    index: number,
    key: ServiceKey,
    options: ServiceOptions,
    records: ServiceRecords,
    meter = new Meter(),
  ) {
    this.index = index;
    this.meter = meter;
    this.counters = meter.counters;
    this.protocol = key.protocol;
    this.family = key.family;
    this.address = key.address;
    this.port = key.port;
    this.mark = key.mark;
    this.options = options;
    this.#records = records;
    this.position = new RecordedPosition(index, records);
  }

  /** Sets the options of -A or -E, but not the scheduler. `mask`: of client addresses of templates. */
  configure(options: ServiceOptions, mask: Address): void {
    this.options = options;
    this.persistence = (options.persistent ?? 0) * 1000;
    this.mask = mask;
    const { index } = this;
    const records = this.#records;
    const scheduler =
      (SCHEDULER as Readonly<Record<string, number>>)[options.scheduler] ?? SCHEDULER.director;
    const { schedulerFlags = 0 } = options;
    records.setWord(index, SERVICE.persistence, this.persistence);
    records.setAddress(index, SERVICE.mask, mask);
    records.setWord(index, SERVICE.scheduler, scheduler);
    records.setWord(
      index,
      SERVICE.flags,
      SERVICE_FLAGS.IN_USE |
        (records.word(index, SERVICE.flags) & SERVICE_FLAGS.BYPASSED) |
        ((schedulerFlags & FALLBACK) !== 0 ? SERVICE_FLAGS.FALLBACK : 0) |
        ((schedulerFlags & PORT) !== 0 ? SERVICE_FLAGS.PORT : 0) |
        (options.ops ? SERVICE_FLAGS.ONE_PACKET : 0) |
        (this.persistence > 0 ? SERVICE_FLAGS.PERSISTENT : 0),
    );
  }

  /** Records the numbers of the scheduler and of the persistence engine by name, for the next director; 0: none. */
  setNames(scheduler: number, engine: number): void {
    const { index, options } = this;
    this.#records.setHalf(index, SERVICE.schedulerName, scheduler | (engine << 8));
    this.#records.setHalf(index, SERVICE.schedulerFlags, options.schedulerFlags ?? 0);
  }

  /** Takes over the destinations that another process has left, newest first. */
  adopt(destinations: readonly RealDestination[]): void {
    for (const destination of destinations) {
      this.destinations.push(destination);
      this.#byEndpoint.set(endpointOf(destination.address, destination.port), destination);
    }
    this.#list();
  }

  /** Makes programs look up clients in its lists, or not. */
  setLists(isDenying: boolean): void {
    this.#records.setWord(this.index, SERVICE.lists, Number(isDenying));
  }

  /** Sets what programs forward. */
  setForwardable({ longest, isBypassed }: Forwardable): void {
    const { index } = this;
    const records = this.#records;
    const flags = records.word(index, SERVICE.flags) & ~SERVICE_FLAGS.BYPASSED;
    records.setWord(index, SERVICE.flags, flags | (isBypassed ? SERVICE_FLAGS.BYPASSED : 0));
    records.setHalf(index, SERVICE.longest, longest);
  }

  /** Returns the destination at that address and port. */
  destination(address: Address, port: number): RealDestination | undefined {
    return this.#byEndpoint.get(endpointOf(address, port));
  }

  /** Puts a destination before all others. */
  insert(destination: RealDestination): void {
    this.destinations.unshift(destination);
    this.#byEndpoint.set(endpointOf(destination.address, destination.port), destination);
    this.#list();
  }

  /** Takes a destination out, and returns the place that it had. */
  remove(destination: RealDestination): number {
    const index = this.destinations.indexOf(destination);
    this.destinations.splice(index, 1);
    this.#byEndpoint.delete(endpointOf(destination.address, destination.port));
    this.#list();
    return index;
  }

  /** Takes all destinations out, and returns them. */
  clear(): RealDestination[] {
    this.#byEndpoint.clear();
    const all = this.destinations.splice(0);
    this.#list();
    return all;
  }

  /** Reports whether programs can read its list of destinations. */
  get isListed(): boolean {
    return this.#records.isListed(this.index);
  }

  #list(): void {
    this.#records.setList(this.index, this.destinations);
  }
}

const endpointOf = (address: Address, port: number): string =>
  `${address[0]} ${address[1]} ${address[2]} ${address[3]} ${port}`;

export const PLAIN_TUNNEL: TunnelOptions = { type: 'ipip', port: 0, checksum: 'none' };

/**
 * A destination at run time: a view of its record, which programs of the kernel schedule and count by. Connections refer
 * to its number, so that it exists as long as they do.
 */
export class RealDestination implements Destination {
  readonly index: number;
  readonly address: Address;
  readonly port: number;
  method: ForwardingMethodName = 'dr';
  tunnel: TunnelOptions = PLAIN_TUNNEL;
  readonly meter: Meter;
  readonly counters: Counters;
  /** When it was first seen removed and without connections, ms; -1: not. */
  idleSince = -1;
  #service: Service;
  readonly #records: DestinationRecords;

  /** The record must have been made. */
  constructor(
    index: number,
    service: Service,
    address: Address,
    port: number,
    records: DestinationRecords,
    meter = new Meter(),
  ) {
    this.index = index;
    this.meter = meter;
    this.counters = meter.counters;
    this.address = address;
    this.port = port;
    this.#records = records;
    this.#service = service;
    records.setHalf(index, DESTINATION.service, service.index);
  }

  /** The service of the destination; after its removal, its last one. */
  get service(): Service {
    return this.#service;
  }

  set service(service: Service) {
    this.#service = service;
    this.#records.setHalf(this.index, DESTINATION.service, service.index);
  }

  /** False after its removal: its connections stop until it is added again. */
  get available(): boolean {
    return (this.#word(DESTINATION.flags) & DESTINATION_FLAGS.AVAILABLE) !== 0;
  }

  set available(available: boolean) {
    const others = this.#word(DESTINATION.flags) & ~DESTINATION_FLAGS.AVAILABLE;
    this.#setWord(DESTINATION.flags, others | (available ? DESTINATION_FLAGS.AVAILABLE : 0));
  }

  /** It is not configured: a message of another director named it. */
  get hidden(): boolean {
    return (this.#word(DESTINATION.flags) & DESTINATION_FLAGS.HIDDEN) !== 0;
  }

  /** Makes the destination of a new record hidden. */
  hide(): void {
    this.#setWord(DESTINATION.flags, DESTINATION_FLAGS.HIDDEN);
  }

  get weight(): number {
    return this.#word(DESTINATION.weight);
  }

  get lastWeight(): number {
    return this.#word(DESTINATION.lastWeight);
  }

  get upperThreshold(): number {
    return this.#word(DESTINATION.upper);
  }

  get lowerThreshold(): number {
    return this.#word(DESTINATION.lower);
  }

  get activeConnections(): number {
    return this.#word(DESTINATION.active);
  }

  get inactiveConnections(): number {
    return this.#word(DESTINATION.inactive);
  }

  get persistentConnections(): number {
    return this.#word(DESTINATION.persistent);
  }

  get overloaded(): boolean {
    return this.#word(DESTINATION.overloaded) !== 0;
  }

  set overloaded(overloaded: boolean) {
    this.#setWord(DESTINATION.overloaded, overloaded ? 1 : 0);
  }

  /** Reads method and tunnel of a record that another process has left. */
  resume(): void {
    this.method = recordedMethod(this.#records, this.index);
    this.tunnel = recordedTunnel(this.#records, this.index);
  }

  /** Returns the connections and templates that are bound to it. */
  get references(): number {
    return this.activeConnections + this.inactiveConnections + this.persistentConnections;
  }

  /** Adds to the active connections, which programs add to as well. */
  addActive(count: number): void {
    this.#records.addWord(this.index, DESTINATION.active, count);
  }

  /** Adds to the inactive connections, which programs add to as well. */
  addInactive(count: number): void {
    this.#records.addWord(this.index, DESTINATION.inactive, count);
  }

  /** Adds to the templates. */
  addPersistent(count: number): void {
    this.#records.addWord(this.index, DESTINATION.persistent, count);
  }

  /** Sets the options of -a or -e; missing ones have their defaults. */
  configure(options: DestinationOptions, isNew: boolean): void {
    const { method, weight = 1, upperThreshold = 0, lowerThreshold = 0, tunnel = PLAIN_TUNNEL } = options;
    this.method = method;
    this.tunnel = tunnel;
    const records = this.#records;
    records.setHalf(this.index, DESTINATION.method, METHOD_NUMBERS[method]);
    records.setHalf(this.index, DESTINATION.tunnelPort, portInPacketOrder(tunnel.port));
    const checksum = tunnel.checksum === 'none' ? 0 : TUNNEL[tunnel.checksum];
    records.setHalf(this.index, DESTINATION.tunnel, TUNNEL[tunnel.type] | checksum);
    this.#setWord(DESTINATION.weight, weight);
    if (isNew || weight !== 0) this.#setWord(DESTINATION.lastWeight, weight);
    if (upperThreshold === 0 || upperThreshold > this.upperThreshold) this.overloaded = false;
    this.#setWord(DESTINATION.upper, upperThreshold);
    this.#setWord(DESTINATION.lower, lowerThreshold);
    this.available = true;
    this.idleSince = -1;
  }

  #word(field: number): number {
    return this.#records.word(this.index, field);
  }

  #setWord(field: number, value: number): void {
    this.#records.setWord(this.index, field, value);
  }
}
