/** Resolves names of ports and hosts like the host: /etc/services, /etc/hosts and the resolver. */
import { lookup } from 'node:dns/promises';
import { readFileSync } from 'node:fs';
import { isIP } from 'node:net';
import { serviceLines } from '../host/services-file.ts';
import type { Protocol } from '../model/service.ts';

/** Resolves names of a configuration; tests pass others. */
export interface Names {
  /** Returns the number of a port; undefined: not found. */
  port(name: string, protocol: Protocol): number | undefined;
  /** Returns an address of the host; undefined: not found. */
  host(name: string, family?: 4 | 6): Promise<string | undefined>;
}

/** Common aliases that /etc/services may lack. */
const OLD_PORTS: Readonly<Record<string, number>> = { www: 80, http: 80, https: 443, telnet: 23 };

/** Parses services(5): `name port/protocol alias...` per line, # comments. */
export function parseServices(text: string): Map<string, number> {
  const ports = new Map<string, number>();
  for (const { names, port, protocol } of serviceLines(text))
    for (const name of names) {
      const key = `${name}/${protocol}`;
      if (!ports.has(key)) ports.set(key, port);
    }
  return ports;
}

/**
 * Returns the names of this host. Reads /etc/services once, at the first name, and resolves each host once.
 */
export function systemNames(servicesFile = '/etc/services'): Names {
  let services: Map<string, number> | undefined;
  // The resolver can take many seconds for a name, and every service of a file may use it.
  const asked = new Map<string, Promise<string | undefined>>();
  return {
    port(name, protocol) {
      services ??= readServices(servicesFile);
      return services.get(`${name}/${protocol}`) ?? OLD_PORTS[name];
    },
    async host(name, family) {
      if (isIP(name) !== 0) return name;
      const key = `${family ?? 0} ${name}`;
      const answer = asked.get(key) ?? addressOf(name, family ?? 0);
      asked.set(key, answer);
      return await answer;
    },
  };
}

async function addressOf(name: string, family: 0 | 4 | 6): Promise<string | undefined> {
  try {
    return (await lookup(name, { family, verbatim: true })).address;
  } catch {
    return undefined;
  }
}

function readServices(file: string): Map<string, number> {
  try {
    return parseServices(readFileSync(file, 'utf8'));
  } catch {
    return new Map(); // without the file, OLD_PORTS and numbers still work
  }
}
