/**
 * Estimates the share of clients that a change moves, under schedulers that hash: samples clients in both
 * tables.
 */

import type { Command } from '../../model/command.ts';
import { formatService } from '../../model/naming.ts';
import type { ServiceAddress } from '../../model/service.ts';
import type { Snapshot } from '../../model/snapshot.ts';
import { type Address, addressFromV4, formatAddress } from '../../wire/address.ts';
import { mix } from '../../wire/hash.ts';
import { Director } from '../director.ts';
import type { Service } from '../service.ts';
import { serviceAddress } from '../service-address.ts';

export const SAMPLED_CLIENTS = 4096;

export interface Moved {
  readonly service: ServiceAddress;
  /** Share, 0..1, of new connections that would go to a different destination. */
  readonly share: number;
}

const HASHING: ReadonlySet<string> = new Set(['sh', 'dh', 'mh']);
/** Rows of a connection table that stays empty. */
const TABLE_ROWS = 16;

/** Daemons choose no destination. */
const isAboutDaemon = ({ op }: Command): boolean => op === 'start-daemon' || op === 'stop-daemon';

/**
 * Returns the shares for each service that hashes, before or after; `commands`: all commands, including
 * removals after draining.
 */
export function movedClients(snapshot: Snapshot, commands: readonly Command[]): Moved[] {
  const before = directorLike(snapshot);
  const after = directorLike(snapshot);
  for (const command of commands) if (!isAboutDaemon(command)) after.apply(command, 0);
  const services = servicesOf(after);
  const touched = new Set(
    commands.flatMap((each) => ('service' in each && each.service ? [formatService(each.service)] : [])),
  );
  const moved: Moved[] = [];
  for (const [key, was] of servicesOf(before)) {
    const is = services.get(key);
    if (!is || !touched.has(key) || ![was, is].some(({ options }) => HASHING.has(options.scheduler)))
      continue;
    let count = 0;
    for (let i = 0; i < SAMPLED_CLIENTS; i++) if (pick(was, i) !== pick(is, i)) count++;
    moved.push({ service: serviceAddress(was, formatAddress), share: count / SAMPLED_CLIENTS });
  }
  return moved;
}

const servicesOf = (director: Director): ReadonlyMap<string, Service> =>
  new Map(
    [...director.context.services.all].map((each) => [
      formatService(serviceAddress(each, formatAddress)),
      each,
    ]),
  );

/** Returns a director with the same rules and settings. */
function directorLike({ services, settings }: Snapshot): Director {
  const host = { transmit: () => false, route: () => undefined, isLocal: () => false };
  const director = new Director({ host, settings, maxConnections: TABLE_ROWS });
  for (const { service, options, destinations } of services) {
    director.apply({ op: 'add-service', service, options }, 0);
    for (const {
      address,
      port,
      method,
      tunnel,
      weight,
      upperThreshold,
      lowerThreshold,
    } of destinations.toReversed())
      director.apply(
        {
          op: 'add-destination',
          service,
          destination: { address, port },
          options: {
            method,
            tunnel,
            weight,
            upperThreshold,
            lowerThreshold,
          },
        },
        0,
      );
  }
  return director;
}

/**
 * Returns the endpoint for client number `i` of the sample; undefined without one. With a mark, its
 * destination varies too.
 */
function pick({ scheduler, family, address, port, mark }: Service, i: number): string | undefined {
  const vaddr = mark === 0 ? address : sampled(family, i + SAMPLED_CLIENTS + 1);
  const destination = scheduler.schedule({
    caddr: sampled(family, i + 1),
    cport: 1024 + ((mix(i) >>> 8) % 64_512),
    vaddr,
    vport: port,
    daddr: vaddr,
    now: 0,
  });
  return destination && `${formatAddress(destination.address)} ${destination.port}`;
}

function sampled(family: 4 | 6, i: number): Address {
  const word = mix(i) >>> 0;
  // Documentation prefix (RFC 3849); each client is in a different network.
  return family === 4 ? addressFromV4(word) : Uint32Array.of(0x20010db8, word, 0, i);
}
