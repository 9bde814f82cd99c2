/**
 * Resolves names of hosts and services in both directions, like the host: /etc/services, /etc/hosts, the
 * resolver.
 */

import { lookup, lookupService } from 'node:dns/promises';
import { readFileSync } from 'node:fs';
import { serviceLines } from '../host/services-file.ts';
import type { Protocol } from '../model/service.ts';

type Soon<T> = T | Promise<T>;

/** Resolves names to numbers and back; tests pass others. undefined: not found. */
export interface Names {
  portNumber(name: string, protocol: Protocol): number | undefined;
  portName(port: number, protocol: Protocol): string | undefined;
  /** Returns an IPv4 address of the host: ipvsadm requests no other. */
  hostAddress(name: string): Soon<string | undefined>;
  hostName(address: string): Soon<string | undefined>;
}

/** Number of cached host names. */
const MAX_CACHED_NAMES = 10_000;
/** Bytes of the longest host name (RFC 1035 section 2.3.4). */
const MAX_HOST_NAME_BYTES = 253;

/**
 * Parses services(5), `name port/protocol alias...` per line, for both directions. The first entry of a port
 * names it.
 */
export function servicesOf(text: string): Pick<Names, 'portNumber' | 'portName'> {
  const numbers = new Map<string, number>();
  const names = new Map<string, string>();
  for (const { names: all, port, protocol } of serviceLines(text)) {
    if (!names.has(`${port}/${protocol}`)) names.set(`${port}/${protocol}`, all[0]);
    for (const each of all) if (!numbers.has(`${each}/${protocol}`)) numbers.set(`${each}/${protocol}`, port);
  }
  return {
    portNumber: (name, protocol) => numbers.get(`${name}/${protocol}`),
    portName: (port, protocol) => names.get(`${port}/${protocol}`),
  };
}

/** Returns the names of this host; files are read when first needed. */
export function systemNames(servicesFile = '/etc/services'): Names {
  let read: Pick<Names, 'portNumber' | 'portName'> | undefined;
  const services = () => {
    read ??= servicesOf(textOf(servicesFile));
    return read;
  };
  const hosts = new Map<string, string | undefined>();
  return {
    portNumber: (name, protocol) => services().portNumber(name, protocol),
    portName: (port, protocol) => services().portName(port, protocol),
    async hostAddress(name) {
      if (name === '' || name.length > MAX_HOST_NAME_BYTES || /\s/.test(name)) return undefined;
      try {
        return (await lookup(name, { family: 4 })).address;
      } catch {
        return undefined;
      }
    },
    hostName(address) {
      if (hosts.has(address)) return hosts.get(address);
      return lookupService(address, 0)
        .then(({ hostname }) => (hostname === address ? undefined : hostname))
        .catch(() => undefined)
        .then((name) => {
          if (hosts.size >= MAX_CACHED_NAMES) hosts.clear();
          hosts.set(address, name);
          return name;
        });
    },
  };
}

function textOf(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return ''; // a host without the file has numbers only
  }
}
