/** Finds the next hops of packets that programs forward: the host's route, its interface, and the gateway's MAC address. */
import type { Host } from '../../forwarding/method.ts';
import { KernelNeighbors } from '../../host/kernel-neighbors.ts';
import { linkFacts } from '../../host/link-facts.ts';
import type { Routes } from '../../host/routes.ts';
import type { NextHop } from '../../offload/next-hops.ts';
import type { System } from '../../sys/system.ts';
import { type Address, sameAddress } from '../../wire/address.ts';
import { AddressMap } from '../../wire/address-map.ts';
import { parseMac } from '../../wire/ethernet.ts';

/** Maximum number of cached next hops. */
const MAX_NEXT_HOPS = 65_536;
/** Maximum number of neighbors that the kernel is made to ask for between two refreshes. */
const MAX_SOLICITED = 4096;
/** Minimum time between two reads of the neighbors because one was missing, ms. */
const REREAD_MS = 50;

/** The part of a next hop that depends on the interface only. */
export type Link = Pick<NextHop, 'interfaceIndex' | 'from'>;

export class NextHopFinder implements Disposable {
  readonly #routes: Routes;
  readonly #clock: () => number;
  readonly #neighbors: KernelNeighbors;
  /** The director's host, which knows path MTUs. */
  #host: Host | undefined;
  /** Interfaces by name, cached until the next `refresh`. */
  readonly #links = new Map<string, Link | undefined>();
  /** Cached until the next `refresh` or `forget`. */
  readonly #hops = new AddressMap<NextHop>();
  /** Addresses whose neighbors the kernel has requested since the last `refresh`. */
  readonly #solicited = new Set<string>();
  /** Time at which neighbors were last read because one was missing, ms. */
  #rereadAt = 0;

  /** Throws SystemCallError. */
  constructor(system: System, routes: Routes, clock: () => number) {
    this.#routes = routes;
    this.#clock = clock;
    this.#neighbors = new KernelNeighbors(system, clock);
  }

  /** Begins to find next hops, with the MTUs that `host` returns. */
  start(host: Host): void {
    this.#host = host;
    this.#neighbors.refresh();
  }

  /** Reads interfaces and neighbors again. */
  refresh(): void {
    this.#solicited.clear();
    this.#links.clear();
    this.#hops.clear();
    this.#neighbors.refresh();
  }

  /** Forgets next hops: their routes or path MTUs may have changed. */
  forget(): void {
    this.#hops.clear();
  }

  /** Makes the kernel confirm the neighbors in use, as its own packets would. */
  confirm(): void {
    this.#neighbors.confirm();
  }

  /** Makes the kernel ask for the neighbors in use that it has forgotten: programs send past its IP stack. */
  recall(): void {
    this.#neighbors.recall();
  }

  /** Goes on with a next hop of packets to `to` that a former director has found, until the kernel knows better. */
  assume(to: Address, { interfaceIndex, to: mac }: NextHop): void {
    const route = this.#routes.route(to);
    if (!route || this.link(route.device)?.interfaceIndex !== interfaceIndex) return;
    this.#neighbors.assume(route.hop, interfaceIndex, mac);
    this.solicit(to);
  }

  /** Returns the next hop of packets to an address; undefined: not known (yet). */
  find(to: Address): NextHop | undefined {
    const known = this.#hops.get(to);
    if (known) return known;
    const hop = this.#lookUp(to);
    if (hop && this.#hops.size < MAX_NEXT_HOPS) this.#hops.set(to, hop);
    return hop;
  }

  #lookUp(to: Address): NextHop | undefined {
    const route = this.#host?.route(to);
    const hostRoute = this.#routes.route(to);
    if (!route || !hostRoute) return undefined;
    const link = this.link(hostRoute.device);
    const mac = link && this.#neighbors.mac(hostRoute.hop, link.interfaceIndex);
    if (!link || !mac) {
      this.#requestNeighbor(to);
      return undefined;
    }
    const isNeighbor = sameAddress(hostRoute.hop, to);
    return { ...link, to: mac, vlan: 0, mtu: route.mtu, source: route.source, isNeighbor };
  }

  /** Makes the kernel ask for the neighbor that packets to an address go to, unless it is known. */
  solicit(to: Address): void {
    const route = this.#routes.route(to);
    const link = route && this.link(route.device);
    if (link) this.#neighbors.solicit(route.hop, link.interfaceIndex);
  }

  /** Returns the interface of that name; undefined: it does not exist, or has no MAC address. */
  link(name: string): Link | undefined {
    if (!this.#links.has(name)) {
      const facts = linkFacts(name);
      const from = facts && parseMac(facts.mac);
      this.#links.set(name, from && { interfaceIndex: facts.index, from });
    }
    return this.#links.get(name);
  }

  /**
   * Makes the kernel ask for a neighbor that is missing, once until the next `refresh`, because no packet of the host's IP stack
   * may ever go to a client of direct routing. Reads the neighbors again, at most once in REREAD_MS.
   */
  #requestNeighbor(to: Address): void {
    const key = to.join();
    if (!this.#solicited.has(key) && this.#solicited.size < MAX_SOLICITED) {
      this.#solicited.add(key);
      this.solicit(to);
    }
    const now = this.#clock();
    if (now - this.#rereadAt < REREAD_MS) return;
    this.#rereadAt = now;
    this.#neighbors.refresh();
  }

  [Symbol.dispose](): void {
    this.#neighbors[Symbol.dispose]();
  }
}
