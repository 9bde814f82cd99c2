/** Checks a whole document: duplicates, and combinations that will not work as written. */

import { usesPort } from '../model/check.ts';
import { formatService } from '../model/naming.ts';
import {
  type Address,
  isLoopback,
  isOneHost,
  isUnicast,
  maskAddress,
  parseAddress,
  prefixMask,
  sameAddress,
} from '../wire/address.ts';
import { reviewAnnounce } from './announce-checks.ts';
import type { DestinationDocument, Document, Interface, ServiceDocument } from './document.ts';
import { reviewJoin } from './join-checks.ts';
import { reviewNames } from './listed.ts';
import type { Notes, Placed } from './parse-result.ts';
import type { Place } from './problem.ts';
import { reviewSync } from './sync-checks.ts';

const NOWHERE: Place = { line: 1, column: 1, length: 1 };

/** A network of a host's interface. */
export interface Segment {
  readonly address: string;
  readonly prefix: number;
}

/**
 * Adds the document's problems to `notes`. `segments`: networks of the director's host, in addition to those
 * of the document.
 */
export function review(document: Document, notes: Notes, segments: readonly Segment[] = []): void {
  const place = (part: Placed): Place => notes.places.get(part) ?? NOWHERE;
  const { inside } = document.director;
  reviewInterfaces(document.vips, inside, notes, place);
  reviewSync(document, notes, place);
  reviewAnnounce(document, notes);
  reviewJoin(document, notes, place);
  if (document.takeover && document.settings.sloppy_tcp !== 1)
    notes.warning(NOWHERE, 'takeover has no effect without settings: { sloppy_tcp: 1 }');

  const known = [...segments, ...(inside ? [inside] : []), ...document.vips];
  reviewNames(document.services, notes, place);
  const services = new Map<string, ServiceDocument>();
  for (const service of document.services) {
    const key = formatService(service.service);
    const first = services.get(key);
    if (first) notes.error(place(service), `duplicate service ${key} (first on line ${place(first).line})`);
    else services.set(key, service);
    const all = [...service.destinations, ...(service.sorry ?? [])];
    for (const { server, destination, checks = [] } of all)
      if (destination.port === 0 && checks.some((check) => usesPort(check) && check.port === undefined))
        notes.warning(
          place(service),
          `${server} has no port to check, so this check is not made: add a port to it`,
        );
    reviewVip(document, service, (message) => notes.warning(place(service), message));

    const seen = new Set<string>();
    for (const destination of all) {
      const { address, port } = destination.destination;
      const endpoint = `${address} ${port}`;
      if (seen.has(endpoint))
        notes.error(place(destination), `duplicate destination ${destination.server} of this service`);
      seen.add(endpoint);
      if (!isDestination(address))
        notes.error(
          place(destination),
          `invalid destination ${destination.server}: expected a unicast address that is not link-local`,
        );
      const warn = (message: string) => notes.warning(place(destination), message);
      reviewPort(service, destination, warn);
      reviewReplies(service, destination, warn);
      if (destination.options.method === 'dr' && !isDirector(address))
        reviewSegment(destination, known, warn);
    }
  }
}

/** Checks the VIPs and the director's address: each must be valid for an interface and unique. */
function reviewInterfaces(
  vips: readonly Interface[],
  inside: Interface | undefined,
  notes: Notes,
  place: (part: Placed) => Place,
): void {
  const first = new Map<string, Interface>();
  for (const vip of vips) {
    const before = first.get(vip.address);
    if (before) notes.error(place(vip), `duplicate VIP (first on line ${place(before).line})`);
    else first.set(vip.address, vip);
  }
  for (const each of [...vips, ...(inside ? [inside] : [])]) {
    const address = parseAddress(each.address);
    if (address && !isOneHost(address) && !isUnicast(address))
      notes.error(place(each), `invalid address ${each.address}: expected an address of a host's interface`);
  }
  if (inside && first.has(inside.address))
    notes.warning(
      place(inside),
      `the director's inside address ${inside.address} is also a VIP: use another address`,
    );
}

/** Reports whether a destination is the director itself, by a loopback address. */
function isDirector(text: string): boolean {
  const address = parseAddress(text);
  return address !== undefined && isLoopback(address);
}

function isDestination(text: string): boolean {
  const address = parseAddress(text);
  return address !== undefined && isUnicast(address);
}

function reviewVip(document: Document, { service }: ServiceDocument, warn: (message: string) => void): void {
  if (!('address' in service) || document.vips.length === 0) return;
  if (!document.vips.some((vip) => vip.address === service.address))
    warn(`${service.address} is not among the VIPs, so the director does not add it`);
}

function reviewPort(
  { service }: ServiceDocument,
  { destination, options }: DestinationDocument,
  warn: (message: string) => void,
): void {
  if (!('port' in service) || options.method === 'nat' || destination.port === service.port) return;
  const name = options.method === 'tunnel' ? 'tunnel' : 'dr';
  warn(`${name} cannot change the port: uses ${service.port}, not ${destination.port}`);
}

/**
 * Warns of replies that leave untranslated: one-packet scheduling keeps no connection for the translation.
 */
function reviewReplies(
  { options }: ServiceDocument,
  { server, options: { method } }: DestinationDocument,
  warn: (message: string) => void,
): void {
  // The kernel translates replies only for the engine sip (ip_vs_sip.c, Linux 6.1).
  if (options.ops && options.engine === undefined && method === 'nat')
    warn(
      `one-packet with nat: replies of ${server} are not translated, because no connection is kept (use dr or tunnel)`,
    );
}

function reviewSegment(
  { server, destination }: DestinationDocument,
  segments: readonly Segment[],
  warn: (message: string) => void,
): void {
  const address = parseAddress(destination.address);
  const comparable = segments.flatMap((segment) => {
    const network = parseAddress(segment.address);
    return network
      ? [{ network, mask: prefixMask(segment.address.includes(':') ? 6 : 4, segment.prefix) }]
      : [];
  });
  if (!address || comparable.length === 0) return;
  const masked = (each: Address, mask: Address) => maskAddress(each, mask, new Uint32Array(4));
  const near = comparable.some(({ network, mask }) =>
    sameAddress(masked(address, mask), masked(network, mask)),
  );
  if (!near)
    warn(
      `${server} (${destination.address}) is not in a network of the director: direct routing cannot reach it`,
    );
}
