/** Computes the keys of the map of services: which packets without a known flow are sent to the director. */
import { isIPv4, isIPv6 } from 'node:net';
import { PROTOCOL_NUMBERS } from '../model/naming.ts';
import type { DestinationSnapshot, ServiceSnapshot } from '../model/snapshot.ts';
import { type Address, isV4, parseAddress } from '../wire/address.ts';
import { ICMP } from '../wire/icmp.ts';
import { ICMP6 } from '../wire/icmp6.ts';
import {
  FROM_SERVER,
  OWN_ADDRESS,
  PIECE_FROM_SERVER,
  PIECE_TO_SERVICE,
  SERVICE_ADDRESS,
  SERVICE_KEY,
  SERVICE_PORT,
  SERVICE_PROTOCOL,
  SERVICE_VERSION,
  TO_SERVICE,
} from './layout.ts';

/** The director's services and addresses. Services by firewall mark have no address, and so no key. */
export interface Served {
  readonly services: readonly {
    readonly service: ServiceSnapshot['service'];
    readonly destinations: readonly Pick<DestinationSnapshot, 'method' | 'address' | 'port'>[];
  }[];
  /** Addresses of the host itself, including VIPs. */
  readonly own: readonly Address[];
}

/** Flags by key; keys are in hexadecimal. */
export type ServiceKeys = ReadonlyMap<string, number>;

export function serviceKeys({ services, own }: Served): ServiceKeys {
  const keys = new Map<string, number>();
  const add = (address: Address, port: number, protocol: number, flag: number) => {
    const key = keyOf(address, port, protocol);
    keys.set(key, (keys.get(key) ?? 0) | flag);
  };
  /** Adds the keys of an endpoint: its packets, its fragments, ICMP errors about it. */
  const end = (text: string, port: number, protocol: number, flag: number, piece: number) => {
    if (!isIPv4(text) && !isIPv6(text)) return;
    const address = parseAddress(text);
    if (!address) return;
    add(address, port, protocol, flag);
    add(address, 0, protocol, piece);
    add(address, 0, isV4(address) ? ICMP : ICMP6, piece);
    add(address, 0, 0, piece);
  };
  for (const { service, destinations } of services) {
    if (!('address' in service)) continue;
    const protocol = PROTOCOL_NUMBERS[service.protocol];
    end(service.address, service.port, protocol, TO_SERVICE, PIECE_TO_SERVICE);
    for (const { method, address, port } of destinations)
      if (method === 'nat') end(address, port, protocol, FROM_SERVER, PIECE_FROM_SERVER);
  }
  const tunnels = services.some(({ destinations }) => destinations.some(({ method }) => method === 'tunnel'));
  for (const address of own) {
    add(address, 0, 0, OWN_ADDRESS);
    // Routers send ICMP errors about a tunnel to the host, where it begins.
    if (tunnels) add(address, 0, isV4(address) ? ICMP : ICMP6, PIECE_TO_SERVICE);
  }
  return keys;
}

function keyOf(address: Address, port: number, protocol: number): string {
  const octets = Buffer.alloc(SERVICE_KEY);
  if (isV4(address)) octets.writeUInt32BE(address[3]!, SERVICE_ADDRESS);
  else for (const [i, word] of address.entries()) octets.writeUInt32BE(word, SERVICE_ADDRESS + 4 * i);
  octets.writeUInt16BE(port, SERVICE_PORT);
  octets[SERVICE_PROTOCOL] = protocol;
  octets[SERVICE_VERSION] = isV4(address) ? 4 : 6;
  return octets.toString('hex');
}
