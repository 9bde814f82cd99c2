/** The result of importing another program's configuration: a document, and the lines that it does not carry over. */

import type { Check } from '../../model/check.ts';
import type { DestinationOptions, ForwardingMethodName } from '../../model/destination.ts';
import { formatDestination, formatService } from '../../model/naming.ts';
import type { Notify } from '../../model/notify.ts';
import type { Protocol, ServiceAddress, ServiceOptions } from '../../model/service.ts';
import { familyOf, isUnicast, parseAddress, prefixOfMask } from '../../wire/address.ts';
import { canonical, familyOfText } from '../canonical-address.ts';
import { CHECK_KEYS } from '../check-schema.ts';
import { type DestinationDocument, type Document, EMPTY_DOCUMENT } from '../document.ts';
import type { Names } from '../names.ts';

/** A line of a configuration file. */
export interface SourceLine {
  readonly text: string;
  /** From 1. */
  readonly line: number;
  /** The included file that has the line. Missing: the file itself. */
  readonly file?: string;
}

/** A line that was left out of the document, wholly or in part, and why. */
export interface LeftOut extends SourceLine {
  readonly why: string;
}

export interface Imported {
  readonly document: Document;
  readonly leftOut: readonly LeftOut[];
}

/** What an importer asks the host. */
export interface ImportContext {
  readonly names: Names;
  /** The schedulers that exist. */
  readonly schedulers: readonly string[];
}

export type CheckDraft = { -readonly [K in keyof Check]: Check[K] };

/** A destination while it is read. */
export type DestinationDraft = { -readonly [K in keyof DestinationDocument]: DestinationDocument[K] };

/** A service while it is read. */
export interface Draft {
  service: ServiceAddress;
  options: { -readonly [K in keyof ServiceOptions]: ServiceOptions[K] };
  destinations: DestinationDraft[];
  sorry?: DestinationDraft[];
  quorum?: { weight: number; hysteresis: number };
  notify?: Notify;
}

export const newDraft = (service: ServiceAddress, scheduler: string): Draft => ({
  service,
  options: { scheduler },
  destinations: [],
});

/** Returns a document of these services. The operator adds the VIPs' interfaces, which such files do not name. */
export function documentOf(drafts: readonly Draft[]): Document {
  return {
    ...EMPTY_DOCUMENT,
    method: commonMethod(drafts),
    services: drafts,
  };
}

/** Returns the method of most destinations, so that few have to name theirs. */
function commonMethod(drafts: readonly Draft[]): ForwardingMethodName {
  const used = drafts.flatMap(({ destinations }) => destinations.map(({ options }) => options.method));
  const uses = (method: ForwardingMethodName) => used.filter((each) => each === method).length;
  return (['nat', 'tunnel'] as const).reduce<ForwardingMethodName>(
    (a, b) => (uses(b) > uses(a) ? b : a),
    'dr',
  );
}

/** Adds a destination to a service; returns the reason where it is invalid. */
export function addDestination(
  draft: Draft,
  host: string,
  port: number,
  options: DestinationOptions,
  to = draft.destinations,
): string | undefined {
  const address = parseAddress(host);
  if (!address || !isPort(port)) return 'invalid real server: expected an address and a port';
  if (!isUnicast(address)) return `${host} is not a unicast address, or it is link-local`;
  const family = familyOfService(draft.service);
  if (familyOfText(host) !== family && options.method !== 'tunnel')
    return `an IPv${family} service reaches ${host} by the tunnel method only`;
  const { lowerThreshold = 0, upperThreshold = 0 } = options;
  if (lowerThreshold > upperThreshold)
    return `the lower threshold ${lowerThreshold} is above the upper threshold ${upperThreshold}`;
  const destination = { address: canonical(host), port };
  if (
    [...draft.destinations, ...(draft.sorry ?? [])].some(
      (each) => formatDestination(each.destination) === formatDestination(destination),
    )
  )
    return `the destination ${formatDestination(destination)} already exists`;
  to.push({ server: host, destination, options: { weight: 1, ...options } });
  return undefined;
}

/** Adds a sorry server to a service; returns the reason where it is invalid. */
export function addSorryServer(
  draft: Draft,
  host: string,
  port: number,
  options: DestinationOptions,
): string | undefined {
  const sorry = draft.sorry ?? [];
  const why = addDestination(draft, host, port, options, sorry);
  if (sorry.length > 0) draft.sorry = sorry;
  return why;
}

/** Reports whether checks can take a destination out of service. */
export const hasConsequences = ({ destinations, sorry }: Draft): boolean =>
  sorry !== undefined || destinations.some(({ checks }) => checks);

/** Returns why a service cannot be added to the services `before`; undefined where it can. */
export function whyNotService({ service, options }: Draft, before: readonly Draft[]): string | undefined {
  if (before.some((each) => formatService(each.service) === formatService(service)))
    return `the service ${formatService(service)} already exists`;
  if ('port' in service && service.port === 0 && !options.persistent)
    return 'port 0, which means every port, requires a persistent service';
  return undefined;
}

/** Port 0 is every port, or the service's. */
export const isPort = (port: number): boolean => Number.isInteger(port) && port >= 0 && port <= 65_535;

export const familyOfService = (service: ServiceAddress): 4 | 6 =>
  'mark' in service ? service.family : (familyOfText(service.address) as 4 | 6);

/** Returns the service of an address and a port; undefined where they are none. */
export function addressOf(
  protocol: Protocol,
  host: string,
  port: string | number,
): ServiceAddress | undefined {
  const number = Number(port);
  const address = parseAddress(host);
  // An IPv4-mapped IPv6 address (RFC 4291 section 2.5.5.2) cannot be served: it stands for IPv4 here.
  if (!address || familyOf(address) !== familyOfText(host) || !isPort(number)) return undefined;
  return { protocol, address: canonical(host), port: number };
}

/** Returns the leading bits of a dotted netmask or a prefix length for clients of the service. */
export function granularity(text: string, service: ServiceAddress): number | undefined {
  const bits = /^\d{1,3}$/.test(text) ? Number(text) : prefixOfMask(text);
  const length = familyOfService(service) === 6 ? 128 : 32;
  return bits !== undefined && bits >= 1 && bits <= length ? bits : undefined;
}

/** Sets a number of a check; false where it is missing, or outside the bounds of the schema. */
export function setNumber(
  check: CheckDraft,
  key: 'port' | 'interval' | 'timeout' | 'retry-interval' | 'fall',
  number: number | undefined,
): boolean {
  const { minimum, maximum } = CHECK_KEYS[key];
  if (number === undefined || !(number >= minimum && number <= maximum)) return false;
  check[key === 'retry-interval' ? 'retryInterval' : key] = number;
  return true;
}

/** Parses seconds, with or without a fraction. */
export const secondsOf = (text: string | undefined): number | undefined =>
  text !== undefined && /^\d{1,6}(\.\d{1,6})?$/.test(text) ? Number(text) : undefined;

/** Parses a firewall mark; undefined for anything else, and for 0, which is no mark. */
export function markOf(text: string | undefined): number | undefined {
  const mark = text !== undefined && /^\d{1,10}$/.test(text) ? Number(text) : 0;
  return mark >= 1 && mark <= 0xffffffff ? mark : undefined;
}

/** Parses a whole number of at most nine digits; undefined for anything else. */
export const wholeNumber = (text: string | undefined): number | undefined =>
  text !== undefined && /^\d{1,9}$/.test(text) ? Number(text) : undefined;
