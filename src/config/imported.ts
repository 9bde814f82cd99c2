/** What an importer of another program's configuration returns: services, and every line that it could not carry over. */

import { isIP } from 'node:net';
import type { Check } from '../model/check.ts';
import type { DestinationOptions } from '../model/destination.ts';
import type { Protocol, ServiceAddress, ServiceOptions } from '../model/service.ts';
import { prefixOfMask } from '../wire/address.ts';
import { canonical } from './canonical.ts';
import {
  type ClusterMethod,
  DEFAULT_CHECK,
  type DestinationDocument,
  type Document,
  EMPTY_DOCUMENT,
  FORWARDING,
} from './document.ts';

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

/** The check of a draft, made with defaults when it is first asked for. */
export function checkOf(draft: Draft, type: Check['type']): NonNullable<Draft['check']> {
  draft.check ??= { ...DEFAULT_CHECK, type };
  return draft.check;
}

/** A document of these services; the VIPs' devices are for the operator to fill in, as no such file names them all. */
export function documentOf(drafts: readonly Draft[]): Document {
  return {
    ...EMPTY_DOCUMENT,
    method: commonMethod(drafts),
    services: drafts.map(({ check, ...rest }) => ({ ...rest, ...(check && { check }) })),
  };
}

/** The method of most destinations, so that few have to name theirs. */
function commonMethod(drafts: readonly Draft[]): ClusterMethod {
  const used = drafts.flatMap(({ destinations }) => destinations.map(({ options }) => options.method));
  const uses = (method: ClusterMethod) => used.filter((each) => each === FORWARDING[method]).length;
  return (['nat', 'tunnel'] as const).reduce<ClusterMethod>((a, b) => (uses(b) > uses(a) ? b : a), 'dr');
}

/** `address port` of a service; undefined where they are none. */
export function addressOf(
  protocol: Protocol,
  host: string,
  port: string | number,
): ServiceAddress | undefined {
  const number = Number(port);
  if (isIP(host) === 0 || !Number.isInteger(number) || number < 0 || number > 65_535) return undefined;
  return { protocol, address: canonical(host), port: number };
}

export function destinationOf(
  host: string,
  port: number,
  options: DestinationOptions,
): DestinationDocument | undefined {
  if (isIP(host) === 0 || !Number.isInteger(port) || port < 0 || port > 65_535) return undefined;
  return { name: host, destination: { address: canonical(host), port }, options: { weight: 1, ...options } };
}

/** Leading bits that a dotted mask, or an IPv6 prefix length, means. */
export function granularity(text: string): number | undefined {
  if (/^\d{1,3}$/.test(text)) return Number(text) >= 1 && Number(text) <= 128 ? Number(text) : undefined;
  return prefixOfMask(text);
}

/** A whole number of at most nine digits; undefined for anything else. */
export const wholeNumber = (text: string | undefined): number | undefined =>
  text !== undefined && /^\d{1,9}$/.test(text) ? Number(text) : undefined;
