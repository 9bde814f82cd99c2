/** Looks over a whole document for what no single line shows: things said twice, and what will not work as written. */

import { formatService } from '../model/naming.ts';
import {
  type Address,
  isOneHost,
  isUnicast,
  maskAddress,
  parseAddress,
  prefixMask,
  sameAddress,
} from '../wire/address.ts';
import type { DestinationDocument, Document, Interface, ServiceDocument } from './document.ts';
import type { Notes, Placed } from './parse-result.ts';
import type { Place } from './problem.ts';

const NOWHERE: Place = { line: 1, column: 1, length: 1 };

/** A network as a host's interface has it. */
export interface Segment {
  readonly address: string;
  readonly prefix: number;
}

/**
 * Adds to `notes` what is wrong with the document as a whole.
 * `segments`: networks that the director's host is on, besides those that the document names.
 */
export function review(document: Document, notes: Notes, segments: readonly Segment[] = []): void {
  const place = (part: Placed): Place => notes.places.get(part) ?? NOWHERE;
  const { inside } = document.director;
  reviewInterfaces(document.vips, inside, notes, place);

  const known = [...segments, ...(inside ? [inside] : []), ...document.vips];
  const services = new Map<string, ServiceDocument>();
  for (const service of document.services) {
    const key = formatService(service.service);
    const first = services.get(key);
    if (first)
      notes.error(place(service), `this service is defined already, on line ${place(first).line} (${key})`);
    else services.set(key, service);
    if (service.check && service.check.type !== 'command' && service.check.port === undefined)
      for (const { name, destination } of service.destinations)
        if (destination.port === 0)
          notes.warning(
            place(service),
            `the check has no port to ask ${name} at, and is not made: give it one`,
          );
    reviewVip(document, service, (message) => notes.warning(place(service), message));

    const seen = new Set<string>();
    for (const destination of service.destinations) {
      const { address, port } = destination.destination;
      const endpoint = `${address} ${port}`;
      if (seen.has(endpoint))
        notes.error(place(destination), `${destination.name} is a destination of this service already`);
      seen.add(endpoint);
      if (!isDestination(address))
        notes.error(
          place(destination),
          `${destination.name} is not one host: a destination's address has to be unicast, and not link-local`,
        );
      const warn = (message: string) => notes.warning(place(destination), message);
      reviewPort(service, destination, warn);
      reviewReplies(service, destination, warn);
      if (destination.options.method === 'dr') reviewSegment(destination, known, warn);
    }
  }
}

/** VIPs, and the director's own address: each can be one host's, and none is named twice. */
function reviewInterfaces(
  vips: readonly Interface[],
  inside: Interface | undefined,
  notes: Notes,
  place: (part: Placed) => Place,
): void {
  const first = new Map<string, Interface>();
  for (const vip of vips) {
    const before = first.get(vip.address);
    if (before) notes.error(place(vip), `this VIP is named already, on line ${place(before).line}`);
    else first.set(vip.address, vip);
  }
  for (const each of [...vips, ...(inside ? [inside] : [])]) {
    const address = parseAddress(each.address);
    if (address && !isOneHost(address) && !isUnicast(address))
      notes.error(place(each), `${each.address} cannot be the address of a host's interface`);
  }
  if (inside && first.has(inside.address))
    notes.warning(
      place(inside),
      `the director's own address is a VIP too (${inside.address}): give it another one`,
    );
}

function isDestination(text: string): boolean {
  const address = parseAddress(text);
  return address !== undefined && isUnicast(address);
}

function reviewVip(document: Document, { service }: ServiceDocument, warn: (message: string) => void): void {
  if (!('address' in service) || document.vips.length === 0) return;
  if (!document.vips.some((vip) => vip.address === service.address))
    warn(`${service.address} is not among the VIPs: the director will not take it`);
}

function reviewPort(
  { service }: ServiceDocument,
  { destination, options }: DestinationDocument,
  warn: (message: string) => void,
): void {
  if (!('port' in service) || options.method === 'nat' || destination.port === service.port) return;
  const name = options.method === 'tunnel' ? 'tunnel' : 'dr';
  warn(`${name} cannot change the port: ${service.port} will be used, not ${destination.port}`);
}

/** Warns of replies that leave untranslated: one-packet scheduling keeps no connection that could translate them. */
function reviewReplies(
  { options }: ServiceDocument,
  { name, options: { method } }: DestinationDocument,
  warn: (message: string) => void,
): void {
  // The kernel translates what a real server sends only for the engine sip (ip_vs_sip.c, Linux 6.1).
  if (options.ops && options.engine === undefined && method === 'nat')
    warn(
      `one-packet with nat: replies of ${name} keep its own address, because no connection is kept (use dr or tunnel)`,
    );
}

function reviewSegment(
  { name, destination }: DestinationDocument,
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
    warn(`${name} (${destination.address}) is on no segment of the director: direct routing cannot reach it`);
}
