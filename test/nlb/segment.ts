/** A simulated segment: hosts whose heartbeats are lost, delayed, reordered and duplicated, each with a clock of its rate. */
import { Convergence } from '../../src/nlb/convergence.ts';
import type { Heartbeat, Member } from '../../src/nlb/heartbeat.ts';
import { ACCEPTED, BEGINNING, ENDING, type GroupsByRule } from '../../src/nlb/own-places.ts';
import { GROUP_SHIFT, GROUPS, rendezvous } from '../../src/nlb/places.ts';

export const PERIOD = 200;
export const MISSED = 5;
const PLACES = 24;
/** ms between two calls of `tick`, at most. */
const TICK = PERIOD / 4;

export type Random = () => number;

/** Returns a generator of numbers in [0, 1) that the seed determines (mulberry32). */
export function randomOf(seed: number): Random {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let x = Math.imul(state ^ (state >>> 15), 1 | state);
    x = (x + Math.imul(x ^ (x >>> 7), 61 | x)) ^ x;
    return ((x ^ (x >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Rule 0, and rule 1 with stickiness, whose places have owners in groups. */
const assign = (members: readonly Member[]): readonly Uint8Array[] => {
  const owners = (rule: number, places: number) =>
    rendezvous(
      members.map(({ id, weights }) => ({ id, weight: weights[rule]! })),
      undefined,
      places,
    ).owners;
  const groups = owners(1, (PLACES >> GROUP_SHIFT) + 1);
  return [owners(0, PLACES), Uint8Array.from({ length: PLACES }, (_, i) => groups[i >> GROUP_SHIFT]!)];
};

export interface Network {
  /** Probability that a heartbeat is lost on a link. */
  loss: number;
  /** Greatest number of consecutive losses of a link. */
  maxLosses: number;
  /** ms. */
  maxDelay: number;
  duplicates: number;
}

export class Host {
  readonly id: number;
  readonly rate: number;
  readonly offset: number;
  convergence: Convergence | undefined;
  configuration = 7;
  weights: readonly number[] = [50, 50];
  nextTick = 0;
  lease = 0;
  /** When the host executes nothing, in order; its filter stays. */
  pauses: readonly (readonly [from: number, until: number])[] = [];
  sent: Heartbeat[] = [];
  /** Groups of rules that had clients lately. */
  recent: GroupsByRule = new Map();

  constructor(id: number, random: Random) {
    this.id = id;
    this.rate = 0.9995 + random() * 0.001;
    this.offset = random() * 1e6;
  }

  clock(now: number): number {
    return this.offset + now * this.rate;
  }

  /** Returns the places of a rule whose new connections the filter accepts, a bit for each. */
  accepted(rule: number, now: number): number {
    const at = this.clock(now);
    if (!this.convergence || at >= this.lease) return 0;
    const { rules, endsAt, beginsAt } = this.convergence.places;
    let bits = 0;
    for (const [place, value] of rules[rule]!.entries())
      if (value === ACCEPTED || (value === ENDING && at < endsAt) || (value === BEGINNING && at >= beginsAt))
        bits |= 1 << place;
    return bits;
  }

  /** Returns the end of the pause at this time; `now` if there is none. */
  runsAt(now: number): number {
    return this.pauses.find(([from, until]) => from <= now && now < until)?.[1] ?? now;
  }

  /** Clients of rule 1 are seen in these groups, until the next call. */
  visit(...groups: readonly number[]): void {
    const seen = new Uint8Array(GROUPS);
    for (const group of groups) seen[group] = 1;
    this.recent = new Map([[1, seen]]);
  }

  /** When the host begins to accept places, unless it has. */
  get begins(): number {
    const { isSettled = true, beginsAt = 0 } = this.convergence?.places ?? {};
    return isSettled ? Number.POSITIVE_INFINITY : (beginsAt - this.offset) / this.rate;
  }
}

interface Arrival {
  readonly at: number;
  readonly to: Host;
  readonly beat: Heartbeat;
}

export class Segment {
  now = 0;
  readonly hosts: Host[] = [];
  readonly network: Network = { loss: 0, maxLosses: Number.POSITIVE_INFINITY, maxDelay: 5, duplicates: 0 };
  /** Links that are cut, one direction each. */
  readonly cut = new Set<string>();
  /** The hosts of the configuration. */
  readonly #ids: number[] = [];
  readonly #random: Random;
  readonly #arrivals: Arrival[] = [];
  readonly #losses = new Map<string, number>();
  /** Called after each event by which a host's places or its last heartbeats may have changed. */
  check: () => void = () => {};
  #seen = -1;

  constructor(random: Random) {
    this.#random = random;
  }

  add(id: number): Host {
    const host = new Host(id, this.#random);
    this.hosts.push(host);
    this.#ids.push(id);
    return host;
  }

  start(host: Host): void {
    host.sent = [];
    host.lease = 0;
    host.nextTick = this.now;
    const newBoot = () => Math.floor(this.#random() * 2 ** 32);
    host.convergence = new Convergence(
      {
        id: host.id,
        hosts: this.#ids,
        newBoot,
        configuration: host.configuration,
        period: PERIOD,
        missed: MISSED,
        weights: host.weights,
        assign,
        recent: () => host.recent,
      },
      host.clock(this.now),
    );
  }

  kill(host: Host): void {
    host.convergence = undefined;
  }

  weigh(host: Host, weights: readonly number[]): void {
    host.weights = weights;
    host.convergence?.setWeights(weights);
  }

  /** Lets `ms` pass. */
  run(ms: number): void {
    const end = this.now + ms;
    for (;;) {
      let arrival: Arrival | undefined;
      for (const each of this.#arrivals) if (!arrival || each.at < arrival.at) arrival = each;
      let ticking: Host | undefined;
      let begins = Number.POSITIVE_INFINITY;
      for (const host of this.hosts) {
        if (host.convergence && (!ticking || host.nextTick < ticking.nextTick)) ticking = host;
        const at = host.begins;
        if (at > this.now && at < begins) begins = at;
      }
      const next = Math.min(arrival?.at ?? end, ticking?.nextTick ?? end);
      // A place may have two owners from the moment on at which one begins.
      if (begins < Math.min(next, end)) {
        this.now = begins;
        this.check();
        continue;
      }
      if (next >= end) break;
      this.now = Math.max(this.now, next);
      if (arrival && arrival.at === next) {
        this.#arrivals.splice(this.#arrivals.indexOf(arrival), 1);
        this.#arrive(arrival);
      } else this.#tick(ticking!);
      const changes = this.#changes();
      if (changes !== this.#seen) this.check();
      this.#seen = changes;
    }
    this.now = end;
  }

  #changes(): number {
    return this.hosts.reduce((sum, { convergence, sent }) => {
      return sum + (convergence?.places.revision ?? 0) * 65_536 + (sent.at(-1)?.sequence ?? 0);
    }, 0);
  }

  #arrive({ to, beat }: Arrival): void {
    if (!to.convergence) return;
    const runsAt = to.runsAt(this.now);
    if (this.now < runsAt) {
      // It waits in the socket, and is read after the first tick.
      this.#arrivals.push({ at: runsAt + 1, to, beat });
      return;
    }
    to.convergence.receive(beat, to.clock(this.now));
    this.#run(to);
  }

  #tick(host: Host): void {
    const runsAt = host.runsAt(this.now);
    if (this.now < runsAt) {
      host.nextTick = runsAt;
      return;
    }
    host.nextTick = this.now + TICK * (0.3 + 0.7 * this.#random());
    this.#run(host);
  }

  /** What the agent does after each heartbeat that it receives, and from time to time. */
  #run(host: Host): void {
    const now = host.clock(this.now);
    const convergence = host.convergence!;
    const isDue = convergence.tick(now);
    host.lease = convergence.leaseUntil(now);
    if (!isDue) return;
    const beat = convergence.heartbeat(now);
    host.sent = [...host.sent.slice(-1), beat];
    for (const to of this.hosts) if (to !== host) this.#send(host, to, beat);
  }

  #send(from: Host, to: Host, beat: Heartbeat): void {
    const link = `${this.hosts.indexOf(from)}>${this.hosts.indexOf(to)}`;
    const losses = this.#losses.get(link) ?? 0;
    if (this.cut.has(link) || (this.#random() < this.network.loss && losses < this.network.maxLosses)) {
      this.#losses.set(link, losses + 1);
      return;
    }
    this.#losses.set(link, 0);
    const delay = () => this.#random() ** 3 * this.network.maxDelay;
    this.#arrivals.push({ at: this.now + delay(), to, beat });
    if (this.#random() < this.network.duplicates) this.#arrivals.push({ at: this.now + delay(), to, beat });
  }
}

/** Returns pairs of hosts that accept new connections of the same place; `among`: only pairs for which it is true. */
export function shared(segment: Segment, among: (a: Host, b: Host) => boolean = () => true): string[] {
  const found: string[] = [];
  const accepted = segment.hosts.map((host) => [0, 1].map((rule) => host.accepted(rule, segment.now)));
  for (const [i, a] of segment.hosts.entries())
    for (let j = i + 1; j < segment.hosts.length; j++) {
      const b = segment.hosts[j]!;
      const isShared = accepted[i]!.some((bits, rule) => (bits & accepted[j]![rule]!) !== 0);
      if (isShared && among(a, b)) found.push(`t=${segment.now}: hosts ${a.id} and ${b.id}`);
    }
  return found;
}

/** Reports whether the last two heartbeats of each host named the other, all with the same view in force. */
export function nameEachOther(a: Host, b: Host): boolean {
  const beats = [...a.sent, ...b.sent];
  if (beats.length < 4) return false;
  const epoch = JSON.stringify(beats[0]!.inForce);
  const names = (from: Host, to: Host) =>
    from.sent.every(({ received }) =>
      received.some(({ id, boot }) => id === to.id && boot === to.sent.at(-1)!.boot),
    );
  return (
    epoch !== undefined &&
    beats.every(({ inForce }) => JSON.stringify(inForce) === epoch) &&
    names(a, b) &&
    names(b, a)
  );
}

/** Returns the number of hosts that accept each place of a rule. */
export function owners(segment: Segment, rule: number): number[] {
  const accepted = segment.hosts.map((host) => host.accepted(rule, segment.now));
  return Array.from({ length: PLACES }, (_, place) => accepted.filter((bits) => (bits >> place) & 1).length);
}
