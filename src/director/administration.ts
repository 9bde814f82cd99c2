/** Applies commands to services and destinations, and rejects invalid ones. */

import type { DestinationAddress, DestinationOptions } from '../model/destination.ts';
import { LvsError } from '../model/errors.ts';
import { formatDestination, formatService, PROTOCOL_NUMBERS } from '../model/naming.ts';
import type { ServiceAddress, ServiceOptions } from '../model/service.ts';
import type { Settings } from '../model/settings.ts';
import type { Takeover } from '../model/takeover.ts';
import { schedulers } from '../schedulers/index.ts';
import type { SchedulerFactory } from '../schedulers/scheduler.ts';
import {
  type Address,
  ANY4,
  ANY6,
  familyOf,
  isUnicast,
  isV4,
  parseAddress,
  prefixMask,
} from '../wire/address.ts';
import type { DestinationRegistry } from './destinations.ts';
import type { KernelPath } from './kernel-path.ts';
import { engineNames } from './path/persistence.ts';
import { PLAIN_TUNNEL, type RealDestination, type Service, type ServiceKey } from './service.ts';
import type { ServiceRegistry } from './services.ts';
import { MAX_TIMEOUT_S } from './settings.ts';

/** IP protocol numbers (IANA) of services. */

const MAX_WEIGHT = 0x7fffffff;
const MAX_MARK = 0xffffffff;
const MAX_PORT = 0xffff;

/** By number, less 1, in records. */
export const schedulerNames: readonly string[] = Object.keys(schedulers);

/** The registries of services and destinations. */
export interface Configuration {
  readonly services: ServiceRegistry;
  readonly destinations: DestinationRegistry;
  readonly settings: Readonly<Settings>;
  readonly takeover: Readonly<Takeover>;
  readonly random: () => number;
  /** A sync daemon runs; its messages have one address family per connection. */
  readonly isSynced: boolean;
  readonly kernelPath: Pick<KernelPath, 'collect'>;
}

export function addService(into: Configuration, name: ServiceAddress, options: ServiceOptions): void {
  const key = serviceKey(name);
  if (into.services.get(key))
    throw new LvsError('SERVICE_EXISTS', `service ${formatService(name)} already exists`);
  checkService(key, name, options);
  const service = into.services.make(key, options);
  configureService(into, service, options);
  into.services.add(service);
}

/** Replaces all options; the scheduler keeps its position if it is unchanged. */
export function editService(into: Configuration, name: ServiceAddress, options: ServiceOptions): void {
  const service = requireService(into, name);
  checkService(service, name, options);
  configureService(into, service, options);
}

/** `now`: ms, as in the two functions below. */
export function deleteService(from: Configuration, name: ServiceAddress, now: number): void {
  dropService(from, requireService(from, name), now);
}

export function dropService(from: Configuration, service: Service, now: number): void {
  for (const destination of service.clear()) removeDestination(from, destination, now);
  from.services.remove(service);
}

export function addDestination(
  into: Configuration,
  name: ServiceAddress,
  at: DestinationAddress,
  options: DestinationOptions,
): void {
  const service = requireService(into, name);
  const address = addressOf(at.address);
  checkFamily(into, service, address, options);
  checkDestination(at, options);
  if (!isUnicast(address)) throw invalid(`invalid destination ${at.address}: expected a unicast address`);
  if (service.destination(address, at.port))
    throw new LvsError(
      'DESTINATION_EXISTS',
      `${formatService(name)}: destination ${formatDestination(at)} already exists`,
    );
  const destination = into.destinations.obtain(service, address, at.port);
  destination.configure(options, true);
  service.insert(destination);
  service.scheduler.changed?.('added', destination, 0);
}

export function editDestination(
  into: Configuration,
  name: ServiceAddress,
  at: DestinationAddress,
  options: DestinationOptions,
): void {
  const service = requireService(into, name);
  checkFamily(into, service, addressOf(at.address), options);
  checkDestination(at, options);
  const destination = requireDestination(service, name, at);
  destination.configure(options, false);
  service.scheduler.changed?.('edited', destination, service.destinations.indexOf(destination));
}

/** Removes a destination, after what programs of the kernel counted for it was added to its present service. */
function removeDestination(
  { destinations, kernelPath }: Configuration,
  destination: RealDestination,
  now: number,
): void {
  kernelPath.collect(destination.index);
  destinations.remove(destination, now);
}

export function deleteDestination(
  from: Configuration,
  name: ServiceAddress,
  at: DestinationAddress,
  now: number,
): void {
  const service = requireService(from, name);
  const destination = requireDestination(service, name, at);
  const index = service.remove(destination);
  removeDestination(from, destination, now);
  service.scheduler.changed?.('removed', destination, index);
}

export function requireService(from: Configuration, name: ServiceAddress): Service {
  const service = from.services.get(serviceKey(name));
  if (!service) throw new LvsError('NO_SUCH_SERVICE', `service ${formatService(name)} not found`);
  return service;
}

function requireDestination(service: Service, name: ServiceAddress, at: DestinationAddress): RealDestination {
  const destination = service.destination(addressOf(at.address), at.port);
  if (!destination)
    throw new LvsError(
      'NO_SUCH_DESTINATION',
      `${formatService(name)}: destination ${formatDestination(at)} not found`,
    );
  return destination;
}

/** Returns the registry's key of what a command names. */
export function serviceKey(name: ServiceAddress): ServiceKey {
  if ('mark' in name) {
    const { mark, family } = name;
    if (!(Number.isInteger(mark) && mark > 0 && mark <= MAX_MARK))
      throw invalid(`invalid mark ${mark}: expected 1 to ${MAX_MARK}`);
    return { protocol: 0, family, address: family === 4 ? ANY4 : ANY6, port: 0, mark };
  }
  const address = addressOf(name.address);
  checkPort(name.port);
  if (!Object.hasOwn(PROTOCOL_NUMBERS, name.protocol))
    throw invalid(`invalid protocol ${name.protocol}: expected tcp, udp or sctp`);
  return {
    protocol: PROTOCOL_NUMBERS[name.protocol],
    family: familyOf(address),
    address,
    port: name.port,
    mark: 0,
  };
}

function checkService(key: ServiceKey, name: ServiceAddress, options: ServiceOptions): void {
  const {
    scheduler,
    persistent = 0,
    persistencePrefix,
    persistenceMask,
    engine,
    ops,
    schedulerFlags = 0,
  } = options;
  if (!Object.hasOwn(schedulers, scheduler))
    throw new LvsError('NO_SUCH_SCHEDULER', `${formatService(name)}: scheduler ${scheduler} not found`);
  if (engine !== undefined && !engineNames.includes(engine))
    throw new LvsError('NO_SUCH_SCHEDULER', `${formatService(name)}: persistence engine ${engine} not found`);
  if (!isWithin(persistent, 0, MAX_TIMEOUT_S))
    throw invalid(
      `${formatService(name)}: invalid persistence timeout ${persistent} s: expected 1 to ${MAX_TIMEOUT_S}, or 0 for none`,
    );
  if (key.mark === 0 && key.port === 0 && persistent === 0)
    throw invalid(`${formatService(name)}: port 0 (every port) requires a persistent service`);
  if (ops && key.mark === 0 && key.protocol !== PROTOCOL_NUMBERS.udp)
    throw invalid(
      `${formatService(name)}: one-packet scheduling is supported for UDP and firewall marks only`,
    );
  if (!(Number.isInteger(schedulerFlags) && schedulerFlags >= 0 && schedulerFlags <= 7))
    throw invalid(`${formatService(name)}: invalid scheduler flags ${schedulerFlags}: expected 0 to 7`);
  const most = key.family === 4 ? 32 : 128;
  if (persistencePrefix !== undefined && !isWithin(persistencePrefix, key.family === 4 ? 0 : 1, most))
    throw invalid(
      `${formatService(name)}: invalid persistence granularity of ${persistencePrefix} bits: expected at most ${most}`,
    );
  if (persistenceMask !== undefined && (key.family === 6 || !isV4(addressOf(persistenceMask))))
    throw invalid(
      `${formatService(name)}: invalid persistence mask ${persistenceMask}: expected a dotted IPv4 mask`,
    );
}

/** Sets the options of a service, and makes its scheduler unless it stays the same. */
export function configureService(
  into: Pick<Configuration, 'settings' | 'random' | 'takeover'>,
  service: Service,
  options: ServiceOptions,
): void {
  const was = service.options;
  const isSameScheduler =
    service.scheduler !== undefined &&
    was.scheduler === options.scheduler &&
    (was.schedulerFlags ?? 0) === (options.schedulerFlags ?? 0);
  service.configure(options, granularity(service.family, options));
  const { scheduler, engine } = options;
  service.setNames(
    schedulerNames.indexOf(scheduler) + 1,
    engine === undefined ? 0 : engineNames.indexOf(engine) + 1,
  );
  if (isSameScheduler) return;
  const factory: SchedulerFactory = (schedulers as Readonly<Record<string, SchedulerFactory>>)[
    options.scheduler
  ]!;
  service.position.setTable([]);
  service.scheduler = factory({
    destinations: service.destinations,
    position: service.position,
    family: service.family,
    flags: options.schedulerFlags ?? 0,
    settings: into.settings,
    takeover: into.takeover,
    random: into.random,
  });
}

/** Returns the mask that is ANDed with a client's address. */
function granularity(family: 4 | 6, { persistencePrefix, persistenceMask }: ServiceOptions): Address {
  if (persistenceMask === undefined)
    return prefixMask(family, persistencePrefix ?? (family === 4 ? 32 : 128));
  const mask = prefixMask(4, 0);
  mask[3] = addressOf(persistenceMask)[3]!;
  return mask;
}

function checkDestination(at: DestinationAddress, options: DestinationOptions): void {
  const { weight = 1, upperThreshold = 0, lowerThreshold = 0, tunnel = PLAIN_TUNNEL } = options;
  checkPort(at.port);
  if (!isWithin(weight, 0, MAX_WEIGHT))
    throw outOfRange(`invalid weight ${weight}: expected 0 to ${MAX_WEIGHT}`);
  if (!isWithin(upperThreshold, 0, MAX_WEIGHT) || !isWithin(lowerThreshold, 0, MAX_WEIGHT))
    throw outOfRange(
      `invalid thresholds ${upperThreshold} and ${lowerThreshold}: expected 0 to ${MAX_WEIGHT}`,
    );
  if (lowerThreshold > upperThreshold)
    throw outOfRange(
      `invalid lower threshold ${lowerThreshold}: expected at most the upper threshold ${upperThreshold}`,
    );
  if (tunnel.type === 'gue' && tunnel.port === 0) throw invalid('a GUE tunnel requires a port');
}

function checkFamily(
  { isSynced }: Configuration,
  service: Service,
  address: Address,
  options: DestinationOptions,
): void {
  if (familyOf(address) === service.family) return;
  if (isSynced)
    throw invalid('destinations of another address family are not supported while a sync daemon runs');
  if (options.method !== 'tunnel') throw invalid('a destination of another address family requires a tunnel');
}

/** Reports whether a destination has another address family than its service. */
export function hasMixedFamilies({ services }: Configuration): boolean {
  for (const { family, destinations } of services.all)
    if (destinations.some(({ address }) => familyOf(address) !== family)) return true;
  return false;
}

function checkPort(port: number): void {
  if (!isWithin(port, 0, MAX_PORT)) throw invalid(`invalid port ${port}: expected 0 to ${MAX_PORT}`);
}

function addressOf(literal: string): Address {
  const address = parseAddress(literal);
  if (!address) throw invalid(`invalid address ${literal}: expected an IPv4 or IPv6 address`);
  return address;
}

const isWithin = (value: number, least: number, most: number): boolean =>
  Number.isInteger(value) && value >= least && value <= most;

const invalid = (message: string): LvsError => new LvsError('INVALID', message);
const outOfRange = (message: string): LvsError => new LvsError('OUT_OF_RANGE', message);
