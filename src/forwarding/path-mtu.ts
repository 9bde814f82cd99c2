/**
 * A host that remembers paths with a smaller MTU than their link for ten minutes (RFC 1191 section 6.3, RFC
 * 8201).
 */
import { type Address, isV4, sameAddress } from '../wire/address.ts';
import type { Frame } from '../wire/frame.ts';
import type { Host, Route } from './method.ts';
import { UNKNOWN_TIME } from './station.ts';

/** Lifetime of a learned path MTU, ms: Linux's ip_rt_mtu_expires. */
const LIFETIME = 600_000;
/** Smallest path MTU that is accepted, bytes: Linux's min_pmtu, and the minimum MTU of RFC 8200 section 5. */
const LEAST4 = 552;
const LEAST6 = 1280;
/** Number of learned paths; the oldest one is replaced. */
const PLACES = 64;

interface NarrowRoute extends Route {
  mtu: number;
  source: Address;
}

interface Place {
  readonly to: Address;
  readonly route: NarrowRoute;
  learnt: number;
  /** Whether packets have used the path since it was found to be narrow. */
  isUsed: boolean;
}

export class PathMtuHost implements Host {
  pathChanges = 0;
  readonly #host: Host;
  readonly #places: Place[] = [];
  #now = 0;

  constructor(host: Host) {
    this.#host = host;
  }

  transmit(frame: Frame, nextHop: Address): boolean {
    return this.#host.transmit(frame, nextHop);
  }

  isLocal(address: Address): boolean {
    return this.#host.isLocal(address);
  }

  timeOfDay(): number {
    return this.#host.timeOfDay?.() ?? UNKNOWN_TIME;
  }

  isValidSource(source: Address, destination: Address, ingress: number): boolean {
    return this.#host.isValidSource?.(source, destination, ingress) ?? true;
  }

  route(to: Address): Route | undefined {
    const route = this.#host.route(to);
    if (this.#places.length === 0 || route === undefined) return route;
    const place = this.#find(to);
    if (place === undefined || place.route.mtu >= route.mtu) return route;
    place.route.source = route.source;
    place.isUsed = true;
    return place.route;
  }

  learnMtu(to: Address, mtu: number): number {
    const believed = Math.max(mtu, isV4(to) ? LEAST4 : LEAST6);
    const known = this.#find(to);
    const link = this.#host.route(to)?.mtu ?? 0;
    if (known !== undefined) {
      // A delayed error does not raise the path MTU again.
      if (believed < known.route.mtu) {
        this.pathChanges++;
        known.route.mtu = believed;
        known.learnt = this.#now;
      }
      // Linux 6.1: a destination keeps its route until its next packet, and a narrow route is narrowed in place.
      return known.isUsed ? Math.min(known.route.mtu, link) : link;
    }
    this.pathChanges++;
    if (this.#places.length >= PLACES) this.#places.shift();
    this.#places.push({
      to: to.slice(),
      route: { mtu: believed, source: to },
      learnt: this.#now,
      isUsed: false,
    });
    return link;
  }

  /** Deletes expired entries. `now`: ms; to be called regularly, and before the first packet. */
  expire(now: number): void {
    this.#now = now;
    const places = this.#places;
    for (let i = places.length - 1; i >= 0; i--) {
      if (now - places[i]!.learnt < LIFETIME) continue;
      places.splice(i, 1);
      this.pathChanges++;
    }
  }

  #find(to: Address): Place | undefined {
    const places = this.#places;
    for (let i = 0; i < places.length; i++) if (sameAddress(places[i]!.to, to)) return places[i];
    return undefined;
  }
}
