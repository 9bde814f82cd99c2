/**
 * The servers that have joined, and what the director does for them: destinations, weights, slow start, drains. Uses no
 * clock and no sockets. Times are ms of one clock.
 */
import type { DestinationAddress, DestinationOptions } from '../model/destination.ts';
import { JOIN_REFUSALS, type JoinedSource, type JoinedState, type JoinRefusal } from '../model/joined.ts';
import { formatDestination, formatService } from '../model/naming.ts';
import type { ServiceAddress } from '../model/service.ts';
import { PrefixSet } from '../wire/prefix-set.ts';
import { judge } from './losses.ts';
import type { Announcement, MemberSink, Place, ServerState } from './member.ts';
import { type Placement, type Server, stateOf, weightOf } from './placement.ts';
import { forwardedTo, isAllowedAddress, type JoinPolicy } from './policy.ts';

/** Destinations in all services: it bounds the work of `steps`. */
const MAX_PLACEMENTS = 16_384;
/** Refusals that are reported, each once. */
const MAX_REPORTED = 256;
/** The director has other options than the configured ones. */
const OUTDATED = -1;

/** A step of the director. */
export interface Step {
  readonly kind: 'add' | 'edit' | 'remove';
  readonly placement: Placement;
  readonly weight: number;
}

export interface MembershipEvents {
  /** Destinations of a server have another state. */
  readonly changed: (server: string, state: JoinedState, services: readonly string[]) => void;
  /** Something of a server's announcement was refused, for the first time. `what`: the destination, or the service. */
  readonly refused: (server: string, why: JoinRefusal, what: string) => void;
}

/** How the director's destinations fare. */
export interface Fates {
  /** It has no connections. */
  readonly isIdle: (placement: Placement) => boolean;
  /** Its checks fail. */
  readonly isDown: (placement: Placement) => boolean;
}

/** A destination that another process has left. */
export interface Left extends Pick<Placement, 'service' | 'destination' | 'options' | 'weight' | 'end'> {
  readonly server: string;
  readonly run: string;
  readonly state: ServerState;
  /** Default: heartbeats. */
  readonly source?: JoinedSource;
  /** Missing: not known. */
  readonly stateSince?: number;
  /** The weight in the director's rules; undefined: they do not have it. */
  readonly applied: number | undefined;
}

const NO_POLICY: JoinPolicy = {
  ...{
    services: new Map(),
    maxServers: 0,
    networks: new PrefixSet(),
    vips: new Set(),
    drain: 0,
    patience: 0,
  },
};

export class Membership implements MemberSink {
  readonly refusals = Object.fromEntries(JOIN_REFUSALS.map((why) => [why, 0])) as Record<JoinRefusal, number>;
  massLosses = 0;
  readonly #events: MembershipEvents;
  #policy = NO_POLICY;
  readonly #servers = new Map<string, Server>();
  /** By service and endpoint. */
  readonly #placements = new Map<string, Placement>();
  readonly #byService = new Map<string, Set<Placement>>();
  /** States that were reported last. */
  readonly #shown = new Map<Placement, JoinedState>();
  readonly #reported = new Set<string>();

  constructor(events: MembershipEvents) {
    this.#events = events;
  }

  /** Applies a configuration. Destinations that it does not allow end; those that it lists itself are its own from now on. */
  configure(policy: JoinPolicy, now: number): void {
    this.#policy = policy;
    for (const placement of this.#placements.values()) {
      const allowed = policy.services.get(placement.serviceName);
      if (allowed?.listed.has(formatDestination(placement.destination))) this.#forget(placement);
      else if (!allowed || !isAllowedAddress(placement, allowed, policy)) this.#end(placement, now);
      else if (!isSame(placement.options, allowed.options)) {
        placement.options = allowed.options;
        if (placement.applied !== undefined) placement.applied = OUTDATED;
      }
    }
    this.#report(this.#placements.values(), now);
  }

  has(node: string): boolean {
    return this.#servers.has(node);
  }

  get servers(): Iterable<Server> {
    return this.#servers.values();
  }

  get placements(): Iterable<Placement> {
    return this.#placements.values();
  }

  /** Returns the time in which the weight of a destination grows, ms. */
  slowStartOf({ serviceName }: Placement): number {
    return this.#policy.services.get(serviceName)?.slowStart ?? 0;
  }

  /** Returns the destination of a service, if it has joined. */
  find(service: ServiceAddress, destination: DestinationAddress): Placement | undefined {
    return this.#placements.get(keyOf(formatService(service), destination));
  }

  announce(announcement: Announcement, now: number): boolean {
    const { node, run, state, source = 'heartbeats' } = announcement;
    const known = this.#servers.get(node);
    if (!known && state === 'leaving') return false;
    if (!known && this.#servers.size >= this.#policy.maxServers) return this.#refuse(node, 'limit', node);
    if (known && run !== known.run && !isSuccessor(known, announcement))
      return this.#refuse(node, 'duplicate', node);
    const server = known ?? { name: node, run, state, source, placements: new Map<string, Placement>() };
    const isNewRun = server.run !== run;
    Object.assign(server, { run, state, source });
    const announced = new Set<Placement>();
    for (const place of announcement.places) {
      const placement = this.#placementOf(server, place);
      if (!placement || announced.has(placement)) continue;
      announced.add(placement);
      if (isNewRun && placement.isRemoved) Object.assign(placement, { isRemoved: false, applied: undefined });
      if (isNewRun || placement.end) placement.since = undefined;
      Object.assign(placement, { lostAt: undefined, isKept: false, failingSince: undefined });
      if (state === 'leaving') continue;
      placement.end = undefined;
      placement.since = state === 'up' ? (placement.since ?? now) : undefined;
    }
    for (const placement of server.placements.values())
      if (!announced.has(placement) || state === 'leaving') this.#end(placement, now);
    this.#report(server.placements.values(), now);
    return server.placements.size > 0;
  }

  lose(node: string, now: number, source: JoinedSource = 'heartbeats'): void {
    const server = this.#servers.get(node);
    if (server?.source !== source) return;
    for (const placement of server.placements.values()) placement.lostAt ??= now;
  }

  /** Makes a destination known that another process has left. Its source confirms it, or loses its server. */
  restore(left: Left, now: number): void {
    const {
      server: name,
      run,
      state,
      source = 'heartbeats',
      service,
      destination,
      options,
      weight,
      end,
      applied,
      stateSince = now,
    } = left;
    const server = this.#servers.get(name) ?? { name, run, state, source, placements: new Map() };
    const placement = this.#own({ server, service, destination, options, weight });
    // Its slow start is over.
    const since = state === 'up' ? Number.NEGATIVE_INFINITY : undefined;
    const latest = now + this.#policy.drain;
    Object.assign(placement, {
      since,
      stateSince,
      applied,
      end: end && { ...end, latest: Math.min(end.latest, latest) },
    });
    this.#shown.set(placement, stateOf(placement));
  }

  /** Decides about lost servers, and returns what the director has to do. The steps count as done. */
  steps(now: number, { isIdle, isDown }: Fates): Step[] {
    const { patience, drain } = this.#policy;
    for (const placements of this.#byService.values())
      if (judge(placements, now, { patience, drain, isDown })) this.massLosses++;
    this.#report(this.#placements.values(), now);
    const steps: Step[] = [];
    for (const placement of this.#placements.values()) {
      const { end, applied, isRemoved } = placement;
      if (end && (now >= end.latest || applied === undefined || isRemoved || isOver(end, placement))) {
        this.#forget(placement);
        if (applied !== undefined && !isRemoved) steps.push({ kind: 'remove', placement, weight: 0 });
        continue;
      }
      const weight = weightOf(placement, this.slowStartOf(placement), now);
      if (isRemoved || applied === weight) continue;
      placement.applied = weight;
      steps.push({ kind: applied === undefined ? 'add' : 'edit', placement, weight });
    }
    // What takes connections comes before what takes none any more.
    return steps.sort((a, b) => b.weight - a.weight);

    function isOver({ earliest }: NonNullable<Placement['end']>, placement: Placement): boolean {
      return now >= earliest && isIdle(placement);
    }
  }

  /** Returns the placement of a place; undefined: the server may not have it. */
  #placementOf(server: Server, place: Place): Placement | undefined {
    const name = formatService(place.service);
    const policy = this.#policy.services.get(name);
    const no = (why: JoinRefusal, what = name) => void this.#refuse(server.name, why, what);
    if (!policy) return no('service');
    const destination = forwardedTo(place, policy);
    const known = this.#placements.get(keyOf(name, destination));
    const weight = Math.min(place.weight, policy.maxWeight);
    if (known?.server === server) return Object.assign(known, { weight });
    const what = `${name} -> ${formatDestination(destination)}`;
    if (!isAllowedAddress(place, policy, this.#policy)) return no('address', what);
    if (known || policy.listed.has(formatDestination(destination))) return no('taken', what);
    const isFull = (this.#byService.get(name)?.size ?? 0) >= policy.maxServers;
    if (isFull || this.#placements.size >= MAX_PLACEMENTS) return no('limit', what);
    if (server.state === 'leaving') return undefined;
    const { service, options } = policy;
    return this.#own({ server, service, destination, options, weight });
  }

  #own(part: Pick<Placement, 'server' | 'service' | 'destination' | 'options' | 'weight'>): Placement {
    const { server } = part;
    const serviceName = formatService(part.service);
    const placement: Placement = {
      ...part,
      ...{
        stateSince: Number.NEGATIVE_INFINITY,
        serviceName,
        since: undefined,
        lostAt: undefined,
        end: undefined,
        applied: undefined,
      },
      ...{ isKept: false, failingSince: undefined, isRemoved: false },
    };
    const key = keyOf(serviceName, part.destination);
    this.#servers.set(server.name, server);
    server.placements.set(key, placement);
    this.#placements.set(key, placement);
    const others = this.#byService.get(serviceName) ?? new Set();
    this.#byService.set(serviceName, others.add(placement));
    return placement;
  }

  #forget(placement: Placement): void {
    const { server, serviceName, destination } = placement;
    const key = keyOf(serviceName, destination);
    server.placements.delete(key);
    this.#placements.delete(key);
    this.#shown.delete(placement);
    const others = this.#byService.get(serviceName)!;
    others.delete(placement);
    if (others.size === 0) this.#byService.delete(serviceName);
    if (server.placements.size === 0) this.#servers.delete(server.name);
  }

  /** Quiesces a destination; it is removed when it has no connections, or after the drain time. */
  #end(placement: Placement, now: number): void {
    placement.isKept = false;
    placement.end ??= { earliest: now, latest: now + this.#policy.drain };
  }

  /** Reports the states of placements that have changed since the last call, by server. */
  #report(placements: Iterable<Placement>, now: number): void {
    const changes = new Map<string, { server: string; state: JoinedState; services: string[] }>();
    for (const placement of placements) {
      const state = stateOf(placement);
      if (this.#shown.get(placement) === state) continue;
      this.#shown.set(placement, state);
      placement.stateSince = now;
      const { server, serviceName } = placement;
      const key = `${server.name} ${state}`;
      const change = changes.get(key) ?? { server: server.name, state, services: [] };
      change.services.push(serviceName);
      changes.set(key, change);
    }
    for (const { server, state, services } of changes.values()) this.#events.changed(server, state, services);
  }

  #refuse(server: string, why: JoinRefusal, what: string): false {
    this.refusals[why]++;
    const key = `${server} ${why} ${what}`;
    if (!this.#reported.has(key) && this.#reported.size < MAX_REPORTED) {
      this.#reported.add(key);
      this.#events.refused(server, why, what);
    }
    return false;
  }
}

/** Reports whether another run with the same name is the same server: it has one of its addresses, or the server is gone. */
function isSuccessor(server: Server, { places }: Announcement): boolean {
  const placements = [...server.placements.values()];
  if (placements.every(({ lostAt, end }) => lostAt !== undefined || end)) return true;
  const addresses = new Set(places.map(({ destination }) => destination.address));
  return placements.some(({ destination }) => addresses.has(destination.address));
}

const isSame = (a: DestinationOptions, b: DestinationOptions): boolean =>
  JSON.stringify(a) === JSON.stringify(b);

const keyOf = (serviceName: string, destination: DestinationAddress): string =>
  `${serviceName} ${formatDestination(destination)}`;
