/** Makes routes of clients out of the host's routes: by them programs find the next hops of new connections' clients. */
import type { Routes } from '../../host/routes.ts';
import type { ClientRoute } from '../../offload/client-routes.ts';
import type { NextHops } from '../../offload/next-hops.ts';
import { type Address, isV4, sameAddress } from '../../wire/address.ts';
import { ADDRESS_BITS } from '../../wire/prefix.ts';
import type { NextHopFinder } from '../kernel/next-hop-finder.ts';

/** Maximum number of routes by which programs find the next hops of clients. */
const MAX_CLIENT_ROUTES = 16_384;

/** Returns the host's routes as routes of clients; none if there are too many. */
export function clientPrefixes(routes: Routes, finder: NextHopFinder, nextHops: NextHops): ClientRoute[] {
  const { entries } = routes;
  if (entries.length > MAX_CLIENT_ROUTES) return [];
  const found = new Map<string, ClientRoute>();
  for (const { to, bits, device, gateway } of entries) {
    const link = finder.link(device);
    const length = isV4(to) ? ADDRESS_BITS - 32 + bits : bits;
    const name = `${to.join()}/${length}`;
    // The first of several routes to a prefix is the one that is used.
    if (!link || found.has(name)) continue;
    const nextHop = gateway && isRoutedBy(routes, to, device, gateway) ? numberOf(finder, nextHops, to) : 0;
    found.set(name, { to, bits: length, interfaceIndex: link.interfaceIndex, nextHop });
  }
  return [...found.values()];
}

/**
 * Reports whether packets to the first address of a prefix take that gateway. The address stands for the prefix: the
 * gateway's address may be one of link scope, which several interfaces have.
 */
function isRoutedBy(routes: Routes, prefix: Address, device: string, gateway: Address): boolean {
  const route = routes.route(prefix);
  return route?.device === device && sameAddress(route.hop, gateway);
}

/** Returns the number of the next hop of packets to an address; 0: not known. */
function numberOf(finder: NextHopFinder, nextHops: NextHops, to: Address): number {
  const hop = finder.find(to);
  return hop ? nextHops.numberOf(hop, to) : 0;
}
