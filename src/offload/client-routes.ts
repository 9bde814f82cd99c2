/** Fills the map of clients: prefixes behind gateways, and neighbors that the director has sent to. */
import type { BpfMap } from '../ebpf/map.ts';
import { SystemCallError } from '../sys/system-call-error.ts';
import { type Address, formatAddress } from '../wire/address.ts';
import { AddressMap } from '../wire/address-map.ts';
import { ADDRESS_BITS } from '../wire/prefix.ts';
import { clientKey, clientValue, MAX_CLIENTS } from './client-map.ts';

/** A route of clients. */
export interface ClientRoute {
  readonly to: Address;
  /** Bits of the prefix, of 128: those of an IPv4 prefix and 96. */
  readonly bits: number;
  readonly interfaceIndex: number;
  /** Number of the gateway's next hop; 0: not known, or the clients are neighbors themselves. */
  readonly nextHop: number;
}

/** Entries for neighbors, so that there is room for routes. */
const MAX_NEIGHBORS = MAX_CLIENTS - 16_384;

/** What a map of clients is written by. */
export type ClientEntries = Pick<BpfMap, 'update' | 'delete'>;

export class ClientRoutes {
  readonly #map: ClientEntries;
  /** By prefix. */
  #routes = new Map<string, ClientRoute>();
  /** All of them, and by address the same. */
  readonly #learned = new Set<ClientRoute>();
  readonly #neighbors = new AddressMap<ClientRoute>();

  constructor(map: ClientEntries) {
    this.#map = map;
  }

  /** Replaces the routes. Clients that the map has no room for go up to the director. */
  setRoutes(routes: readonly ClientRoute[]): void {
    const wanted = new Map(routes.map((route) => [nameOf(route), route]));
    for (const [name, route] of this.#routes) if (!wanted.has(name)) this.#delete(route);
    for (const [name, route] of wanted) if (!isSame(this.#routes.get(name), route)) this.#update(route);
    this.#routes = wanted;
  }

  /** Returns the number of a known neighbor's next hop; 0: not known. */
  neighborHop(address: Address): number {
    return this.#neighbors.get(address)?.nextHop ?? 0;
  }

  /** Makes a neighbor known. */
  learn(to: Address, interfaceIndex: number, nextHop: number): void {
    const known = this.#neighbors.get(to);
    if (known ? known.nextHop === nextHop : this.#neighbors.size >= MAX_NEIGHBORS) return;
    const route = { to: to.slice(), bits: ADDRESS_BITS, interfaceIndex, nextHop };
    if (known) this.#learned.delete(known);
    this.#learned.add(route);
    this.#neighbors.set(to, route);
    this.#update(route);
  }

  /** Makes the neighbors unknown that have one of these next hops. */
  clear(nextHops: ReadonlySet<number>): void {
    for (const route of this.#learned) {
      if (!nextHops.has(route.nextHop)) continue;
      this.#learned.delete(route);
      this.#neighbors.delete(route.to);
      this.#delete(route);
    }
  }

  #update({ to, bits, interfaceIndex, nextHop }: ClientRoute): void {
    try {
      this.#map.update(clientKey(to, bits), clientValue(interfaceIndex, nextHop));
    } catch (error) {
      if (!(error instanceof SystemCallError)) throw error;
    }
  }

  #delete({ to, bits }: ClientRoute): void {
    this.#map.delete(clientKey(to, bits));
  }
}

const nameOf = ({ to, bits }: ClientRoute): string => `${formatAddress(to)}/${bits}`;

const isSame = (a: ClientRoute | undefined, b: ClientRoute): boolean =>
  a !== undefined && a.interfaceIndex === b.interfaceIndex && a.nextHop === b.nextHop;
