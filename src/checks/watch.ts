/** Schedules the health checks of destinations and turns their results into weights. */
import type { Check, CheckSnapshot, HealthState } from '../model/check.ts';
import type { Command } from '../model/command.ts';
import type { DestinationAddress, DestinationOptions } from '../model/destination.ts';
import { formatRule } from '../model/naming.ts';
import type { ServiceAddress } from '../model/service.ts';
import { Slice } from '../model/slice.ts';
import type { QuorumSnapshot } from '../model/snapshot.ts';
import { UNPRINTABLE } from '../model/unprintable.ts';
import { DrainedServers, isOfServer } from './drained-servers.ts';
import { Health } from './health.ts';
import { type Member, Members, type ServiceEvent } from './members.ts';
import type { Policy } from './policy.ts';
import type { Observation, Probe, Target } from './probe.ts';

/** ms until a check that could not run is tried again. */
const RETRY_MS = 1000;

/** A destination and its checks, at least one. */
export interface Watched {
  readonly service: ServiceAddress;
  readonly destination: DestinationAddress;
  readonly checks: readonly Check[];
}

/** A change of a destination's health or weight. */
export interface HealthEvent {
  readonly service: ServiceAddress;
  readonly destination: DestinationAddress;
  readonly from: HealthState;
  readonly to: HealthState;
  /** The weight after the change. */
  readonly weight: number;
  /** The result of the last check. */
  readonly cause: string;
}

export interface WatchOptions {
  /** Checks one destination once. */
  readonly probe: Probe;
  /** 0 <= x < 1; spreads first checks over their interval. */
  readonly random: () => number;
  /** Reports whether checks can run now: without descriptors a failure would not be caused by the destination. */
  readonly mayProbe?: () => boolean;
  /** Receives new weights as edit-destination commands. */
  readonly apply: (commands: readonly Command[]) => void;
  readonly event: (event: HealthEvent) => void;
  readonly serviceEvent: (event: ServiceEvent) => void;
  /** Maximum number of checks that run at a time. Default 64. */
  readonly maxRunning?: number;
}

/** ms between two updates of weights during slow start. */
const SLOW_START_UPDATE_MS = 1000;

/** What another process has left of a destination: options with the weight in effect, and the weight that was configured. */
export interface ResumedOptions {
  readonly options: DestinationOptions;
  readonly configured: number;
}

interface Entry {
  readonly watched: Watched;
  readonly health: Health;
  /** Its checks, in their order. */
  readonly schedules: readonly Schedule[];
}

/** When one check of a destination runs. */
interface Schedule {
  readonly target: Target;
  /** Time of the next check, ms. */
  due: number;
  /** Aborts the check that runs now. */
  busy: AbortController | undefined;
}

/** The health checks of a director. */
export class Watch implements Disposable {
  /** The servers that an operator has drained. */
  readonly drained = new DrainedServers();
  readonly #options: WatchOptions;
  #entries = new Map<string, Entry>();
  /** Every destination of the director: a later configuration may give it a check. */
  readonly #members: Members;
  #running = 0;
  #isSettled = true;
  /** Time of the next update during slow start, ms. */
  #nextUpdate = 0;

  constructor(options: WatchOptions) {
    this.#options = options;
    this.#members = new Members({
      apply: options.apply,
      event: options.serviceEvent,
      healthOf: (service, destination) => this.#entries.get(formatRule(service, destination))?.health,
      isDrained: (destination) => this.drained.has(destination),
    });
  }

  /**
   * Replaces the destinations to check and the policies of services; the health of those that stay is kept. Resolves
   * with commands that restore the configured weight of destinations that are no longer checked, and remove former sorry
   * servers. Until `settled` is called, the quorum is not decided. Works in slices. `now`: ms of the clock of `tick`.
   */
  async set(all: Iterable<Watched>, now: number, policies: Iterable<Policy> = []): Promise<Command[]> {
    this.#isSettled = false;
    const slice = new Slice();
    const before = this.#entries;
    const entries = new Map<string, Entry>();
    for (const watched of all) {
      if (slice.spent) await slice.next();
      const key = formatRule(watched.service, watched.destination);
      const known = before.get(key);
      const isSame = known && JSON.stringify(known.watched.checks) === JSON.stringify(watched.checks);
      entries.set(key, isSame ? known : this.#entry(watched, known, now));
    }
    this.#entries = entries;
    const commands = this.#members.setPolicies(policies);
    for (const [key, entry] of before) {
      if (slice.spent) await slice.next();
      if (entries.get(key) === entry) continue;
      endChecks(entry);
      const { service, destination } = entry.watched;
      if (!entries.has(key)) commands.push(...this.#members.released(service, destination));
    }
    return commands;
  }

  /**
   * Adds a destination whose checks begin now. Before they have passed, it has weight 0, and `reason` is shown. Call it before
   * applying the command that adds it.
   */
  add(watched: Watched, reason: string, now: number): void {
    const key = formatRule(watched.service, watched.destination);
    if (this.#entries.has(key)) return;
    const entry = this.#entry(watched, undefined, now);
    entry.health.await(reason);
    for (const schedule of entry.schedules) schedule.due = now;
    this.#entries.set(key, entry);
  }

  /** Ends the checks of a destination that was removed. */
  remove(service: ServiceAddress, destination: DestinationAddress): void {
    const key = formatRule(service, destination);
    const entry = this.#entries.get(key);
    if (!entry) return;
    endChecks(entry);
    this.#entries.delete(key);
  }

  /** The commands of a configuration have been applied: the quorum is decided by the destinations that exist now. */
  settled(now: number): void {
    this.#isSettled = true;
    this.#members.updateChanged(now);
  }

  /**
   * Returns a command with the weight that the checks allow, and records its configured options; undefined: the director
   * does not get it now. Call it before applying a command.
   */
  adjust(command: Command, now: number): Command | undefined {
    return this.#members.adjust(command, now);
  }

  /**
   * Makes a destination known that another process has left with `weight`, and returns its configured weight. `configured`: the
   * weight of the file that this process had applied, if it has the destination. `now`: ms.
   */
  resume(at: Pick<Watched, 'service' | 'destination'>, left: ResumedOptions, now: number): void {
    const { options, configured } = left;
    const { weight = 1 } = options;
    const entry = this.#entries.get(formatRule(at.service, at.destination));
    const isDrained = this.drained.has(at.destination);
    const wanted = (entry || isDrained) && weight < configured ? configured : weight;
    // The first checks find out whether it is down, too.
    if (!isDrained) entry?.health.resume(weight, wanted, now);
    this.#members.resume(at.service, at.destination, { ...options, weight: wanted }, weight);
  }

  /** Drains a server in all services that have it, or ends that; destinations get their weights. `now`: ms. */
  drain(server: string, isDrained: boolean, now: number): void {
    this.drained.set(server, isDrained);
    this.#members.refresh((destination) => isOfServer(destination, server), now);
  }

  /** Yields the destinations of a server in all services, sorry servers and removed ones included. */
  *destinationsOf(server: string): Generator<Member & { readonly service: ServiceAddress }> {
    for (const member of this.destinations()) if (isOfServer(member.destination, server)) yield member;
  }

  /** Yields the destinations of all services. */
  destinations(): Generator<Member & { readonly service: ServiceAddress }> {
    return this.#members.all();
  }

  /** Starts the checks that are due. Call it every 100 ms. */
  tick(now: number): void {
    const { maxRunning = 64, mayProbe = () => true } = this.#options;
    const due: { readonly entry: Entry; readonly position: number; readonly since: number }[] = [];
    const growing: Entry[] = [];
    for (const entry of this.#entries.values()) {
      for (const [position, { due: since, busy }] of entry.schedules.entries())
        if (since <= now && !busy) due.push({ entry, position, since });
      if (entry.health.state === 'growing') growing.push(entry);
    }
    due.sort((a, b) => a.since - b.since);
    for (const { entry, position } of due.length > 0 && mayProbe() ? due : []) {
      if (this.#running >= maxRunning) break;
      if (this.#members.find(entry.watched.service, entry.watched.destination))
        this.#check(entry, position, now);
    }
    for (const entry of growing) {
      if (!entry.health.tick(now)) continue;
      this.#updateWeight(entry, now);
      this.#report(entry, 'growing');
    }
    if (this.#isSettled) this.#members.updateChanged(now);
    if (now < this.#nextUpdate) return;
    this.#nextUpdate = now + SLOW_START_UPDATE_MS;
    for (const entry of growing) this.#updateWeight(entry, now);
  }

  /** Returns the health of a destination; undefined without a check. */
  stateOf(service: ServiceAddress, destination: DestinationAddress, now: number): CheckSnapshot | undefined {
    const entry = this.#entries.get(formatRule(service, destination));
    const member = entry && this.#members.find(service, destination);
    if (!member) return undefined;
    const { health } = entry;
    return {
      type: health.type,
      state: health.state,
      since: Math.floor(Math.max(0, now - health.since) / 1000),
      message: health.message,
      weight: member.options.weight ?? 1,
    };
  }

  /** Yields the destinations of a service: those that the director has, those that were removed, sorry servers. */
  members(service: ServiceAddress): Iterable<Member> {
    return this.#members.of(service);
  }

  /** Returns one of the members; undefined: the service does not have it. */
  member(service: ServiceAddress, destination: DestinationAddress): Member | undefined {
    return this.#members.find(service, destination);
  }

  policyOf(service: ServiceAddress): Policy | undefined {
    return this.#members.policyOf(service);
  }

  /** Returns the quorum of a service that has one in its configuration. */
  quorumOf(service: ServiceAddress): QuorumSnapshot | undefined {
    return this.#members.quorumOf(service);
  }

  /** Aborts the checks that run. */
  [Symbol.dispose](): void {
    for (const entry of this.#entries.values()) endChecks(entry);
    this.#entries = new Map();
  }

  #entry(watched: Watched, known: Entry | undefined, now: number): Entry {
    const { service, destination, checks } = watched;
    const virtual = 'address' in service ? service.address : destination.address;
    return {
      watched,
      health: new Health(checks, now, known?.health),
      schedules: checks.map((check) => ({
        target: { address: destination.address, port: check.port ?? destination.port, virtual, check },
        due: now + this.#options.random() * check.interval * 1000,
        busy: undefined,
      })),
    };
  }

  #check(entry: Entry, position: number, now: number): void {
    const { service, destination } = entry.watched;
    const schedule = entry.schedules[position]!;
    const { check } = schedule.target;
    const abort = new AbortController();
    const timer = setTimeout(() => abort.abort(), check.timeout * 1000);
    schedule.busy = abort;
    schedule.due = now + check.interval * 1000;
    this.#running++;
    void observationOf(this.#options.probe, schedule.target, abort.signal).then((observation) => {
      clearTimeout(timer);
      this.#running--;
      schedule.busy = undefined;
      // The destination is no longer checked, or by another check.
      if (this.#entries.get(formatRule(service, destination)) !== entry) return;
      if (observation.isInconclusive) schedule.due = now + RETRY_MS;
      else this.#observe(entry, position, observation, now);
    });
  }

  #observe(entry: Entry, position: number, observation: Observation, now: number): void {
    const { health } = entry;
    const schedule = entry.schedules[position]!;
    const from = health.state;
    const before = this.#weightOf(entry);
    const hasChanged = health.observe(observation, now, position);
    const { interval, retryInterval = interval } = schedule.target.check;
    if (!observation.healthy && !health.isDown(position)) schedule.due = now + retryInterval * 1000;
    this.#updateWeight(entry, now);
    if (hasChanged || (this.#weightOf(entry) !== before && health.state !== 'growing'))
      this.#report(entry, from);
  }

  #weightOf({ watched: { service, destination } }: Entry): number {
    return this.#members.find(service, destination)?.weight ?? 0;
  }

  #report(entry: Entry, from: HealthState): void {
    const { service, destination } = entry.watched;
    const { state: to, message: cause } = entry.health;
    this.#options.event({ service, destination, from, to, weight: this.#weightOf(entry), cause });
  }

  #updateWeight({ watched: { service, destination } }: Entry, now: number): void {
    this.#members.update(service, destination, now);
  }
}

function endChecks({ schedules }: Entry): void {
  for (const { busy } of schedules) busy?.abort();
}

/** Runs a probe. An exception, such as for a path that HTTP cannot express, is a failed check. */
export async function observationOf(probe: Probe, target: Target, signal: AbortSignal): Promise<Observation> {
  try {
    const observation = await probe(target, signal);
    return { ...observation, message: observation.message.replace(UNPRINTABLE, '\ufffd') };
  } catch (error) {
    return { healthy: false, message: (error as Error).message };
  }
}
