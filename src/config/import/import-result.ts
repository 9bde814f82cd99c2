/** What an importer of another program's configuration returns: services, and every line that it could not carry over. */

import type { Check } from '../../model/check.ts';
import type { DestinationOptions, ForwardingMethodName } from '../../model/destination.ts';
import { formatDestination, formatService } from '../../model/naming.ts';
import type { Protocol, ServiceAddress, ServiceOptions } from '../../model/service.ts';
import { isUnicast, parseAddress, prefixOfMask } from '../../wire/address.ts';
import { canonical, familyOfText } from '../canonical-address.ts';
import { type DestinationDocument, type Document, EMPTY_DOCUMENT } from '../document.ts';
import type { Names } from '../names.ts';
import { schema } from '../schema.ts';

/** A line that has no counterpart here, and why. */
export interface LeftOut {
  readonly line: number;
  readonly text: string;
  readonly why: string;
}

export interface Imported {
  readonly document: Document;
  readonly leftOut: readonly LeftOut[];
}

/** What is asked of the host while a file is read. */
export interface ImportContext {
  readonly names: Names;
  /** The names that exist. */
  readonly schedulers: readonly string[];
}

/** A service while it is read. */
export interface Draft {
  service: ServiceAddress;
  options: { -readonly [K in keyof ServiceOptions]: ServiceOptions[K] };
  check?: { -readonly [K in keyof Check]: Check[K] };
  destinations: DestinationDocument[];
}

export const newDraft = (service: ServiceAddress): Draft => ({
  service,
  options: { scheduler: 'wlc' },
  destinations: [],
});

/** A document of these services; the VIPs' devices are for the operator to fill in, as no such file names them all. */
export function documentOf(drafts: readonly Draft[]): Document {
  return {
    ...EMPTY_DOCUMENT,
    method: commonMethod(drafts),
    services: drafts.map(({ check, ...rest }) => ({ ...rest, ...(check && { check }) })),
  };
}

/** The method of most destinations, so that few have to name theirs. */
function commonMethod(drafts: readonly Draft[]): ForwardingMethodName {
  const used = drafts.flatMap(({ destinations }) => destinations.map(({ options }) => options.method));
  const uses = (method: ForwardingMethodName) => used.filter((each) => each === method).length;
  return (['nat', 'tunnel'] as const).reduce<ForwardingMethodName>(
    (a, b) => (uses(b) > uses(a) ? b : a),
    'dr',
  );
}

/** Takes a destination of a service; returns why not, where it cannot be one. */
export function addDestination(
  draft: Draft,
  host: string,
  port: number,
  options: DestinationOptions,
): string | undefined {
  const address = parseAddress(host);
  if (!address || !isPort(port)) return 'expected an address and a port';
  if (!isUnicast(address)) return `${host} is not one host: it has to be unicast, and not link-local`;
  const family = familyOfService(draft.service);
  if (familyOfText(host) !== family && options.method !== 'tunnel')
    return `only a tunnel leads from an IPv${family} service to ${host}`;
  const { lowerThreshold = 0, upperThreshold = 0 } = options;
  if (lowerThreshold > upperThreshold)
    return `the lower threshold ${lowerThreshold} is above the upper one, ${upperThreshold}`;
  const destination = { address: canonical(host), port };
  if (
    draft.destinations.some((each) => formatDestination(each.destination) === formatDestination(destination))
  )
    return `${host} is a destination of this service already`;
  draft.destinations.push({ name: host, destination, options: { weight: 1, ...options } });
  return undefined;
}

/** Why a service cannot be had with what was read of it; undefined: it can. `before`: those that there are already. */
export function whyNotService({ service, options }: Draft, before: readonly Draft[]): string | undefined {
  if (before.some((each) => formatService(each.service) === formatService(service)))
    return `the service ${formatService(service)} is there already`;
  if ('port' in service && service.port === 0 && !options.persistent)
    return 'port 0, every port, needs a persistent service';
  return undefined;
}

/** 0: every port, or the service's own. */
export const isPort = (port: number): boolean => Number.isInteger(port) && port >= 0 && port <= 65_535;

/** `address port` of a service; undefined where they are none. */
export function addressOf(
  protocol: Protocol,
  host: string,
  port: string | number,
): ServiceAddress | undefined {
  const number = Number(port);
  if (familyOfText(host) === 0 || !isPort(number)) return undefined;
  return { protocol, address: canonical(host), port: number };
}

const familyOfService = (service: ServiceAddress): number =>
  'mark' in service ? service.family : familyOfText(service.address);

/** Leading bits that a dotted mask, or a prefix length, means for clients of the service. */
export function granularity(text: string, service: ServiceAddress): number | undefined {
  const bits = /^\d{1,3}$/.test(text) ? Number(text) : prefixOfMask(text);
  const most = familyOfService(service) === 6 ? 128 : 32;
  return bits !== undefined && bits >= 1 && bits <= most ? bits : undefined;
}

const BOUNDS = schema.properties.defaults.properties.check.properties;

/** Sets a number of a check; false: it is out of the bounds that it has here, or none. */
export function setNumber(
  check: { -readonly [K in keyof Check]: Check[K] },
  key: 'port' | 'interval' | 'timeout' | 'fall' | 'status',
  number: number | undefined,
): boolean {
  const { minimum, maximum } = BOUNDS[key];
  if (number === undefined || !(number >= minimum && number <= maximum)) return false;
  check[key] = number;
  return true;
}

/** Seconds, with a fraction or without. */
export const secondsOf = (text: string | undefined): number | undefined =>
  text !== undefined && /^\d{1,6}(\.\d{1,6})?$/.test(text) ? Number(text) : undefined;

/** A firewall mark; undefined for anything else, 0 too, which is none. */
export function markOf(text: string | undefined): number | undefined {
  const mark = text !== undefined && /^\d{1,10}$/.test(text) ? Number(text) : 0;
  return mark >= 1 && mark <= 0xffffffff ? mark : undefined;
}

/** A whole number of at most nine digits; undefined for anything else. */
export const wholeNumber = (text: string | undefined): number | undefined =>
  text !== undefined && /^\d{1,9}$/.test(text) ? Number(text) : undefined;
