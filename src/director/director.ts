/** The director: executes commands, handles packets, returns snapshots. Contains no I/O and no clock. */

import { ErrorLimit } from '../forwarding/error-limit.ts';
import type { Host } from '../forwarding/method.ts';
import { PathMtuHost } from '../forwarding/path-mtu.ts';
import type { Command } from '../model/command.ts';
import type { Explanation } from '../model/explanation.ts';
import type { ServiceAddress } from '../model/service.ts';
import type { Settings } from '../model/settings.ts';
import type { ConnectionSnapshot, ServiceSnapshot, Snapshot } from '../model/snapshot.ts';
import type { Takeover } from '../model/takeover.ts';
import type { DropReason, Verdict } from '../model/verdict.ts';
import { ordinaryMemory, type TableMemory } from '../table/memory.ts';
import { identifications } from '../table/settings-record.ts';
import type { Ticks } from '../table/ticks.ts';
import { formatAddress } from '../wire/address.ts';
import type { Frame } from '../wire/frame.ts';
import {
  addDestination,
  addService,
  deleteDestination,
  deleteService,
  dropService,
  editDestination,
  editService,
  requireService,
  serviceKey,
} from './administration.ts';
import { adoptRules } from './adoption.ts';
import { ConnectionTable } from './connections.ts';
import { DirectorCore } from './core.ts';
import { Estimator } from './estimator.ts';
import { Draws } from './explain/random-choices.ts';
import { rehearse } from './explain/rehearsal.ts';
import { AbandonedConnections } from './path/abandoned-connections.ts';
import { countClosed } from './path/closed-connections.ts';
import { onExpired } from './path/connection-lifecycle.ts';
import { Datapath } from './path/datapath.ts';
import { DEFENSE_INTERVAL_MS, Defense, isStrategy } from './path/defense.ts';
import { endDenied } from './path/denied-connections.ts';
import { PublishedSettings } from './published-settings.ts';
import type { Service } from './service.ts';
import { serviceAddress } from './service-address.ts';
import { changeSetting, newSettings } from './settings.ts';
import { snapshotOfConnection, snapshotOfService } from './snapshots.ts';
import { SyncDaemons } from './sync-daemons.ts';

/** Default number of rows of the connection table. */
const DEFAULT_CONNECTIONS = 1_048_576;
/** Maximum number of missed updates of the defenses to catch up after a jump of the clock, as in a file of packets. */
const MAX_MISSED_UPDATES = 128;

export interface DirectorOptions {
  readonly host: Host;
  /** 0 <= x < 1; seeded in tests. */
  readonly random?: () => number;
  readonly settings?: Partial<Settings>;
  /** Number of rows of the connection table. */
  readonly maxConnections?: number;
  /** Where the table and its records are; default: memory of this process. */
  readonly memory?: TableMemory;
  /** The table in that memory, if it was made before; default: a new one. */
  readonly table?: ConnectionTable;
  /** Another process has left the memory, and the rows of `table` were adopted: rules and settings are taken from it. */
  readonly isAdopted?: boolean;
  /** The clock by which programs of the kernel restart timers in rows; without it, no program does. */
  readonly ticks?: Ticks;
  /** Interval of the estimator, ms; rates are per second of a period of 2000. */
  readonly estimatorPeriod?: number;
  /** Whether ICMP errors are limited (see ErrorLimit); default true. */
  readonly limitErrors?: boolean;
}

/** The load balancer. Times are ms of one monotonic clock of the caller. */
export class Director {
  /** The shared state of the director's parts. */
  readonly context: DirectorCore;
  readonly #host: PathMtuHost;
  readonly #datapath: Datapath;
  readonly #errorLimit: ErrorLimit;
  readonly #defense: Defense;
  readonly #published: PublishedSettings;
  readonly #draws: Draws;
  readonly #daemons: SyncDaemons;
  readonly #estimator: Estimator;
  readonly #abandoned: AbandonedConnections;
  /** Time of the next update of the defenses, ms; -1: no time is known yet. */
  #nextDefense = -1;

  constructor(options: DirectorOptions) {
    const { random = () => 0.5, maxConnections = DEFAULT_CONNECTIONS } = options;
    const settings = newSettings(options.settings);
    const seed = Math.floor(random() * 2 ** 32);
    const memory = options.memory ?? ordinaryMemory;
    const { ticks } = options;
    const table = options.table ?? new ConnectionTable({ limit: maxConnections, seed, memory, ticks });
    const nextId = identifications(memory, Math.floor(random() * 0x10000) + 1);
    this.#host = new PathMtuHost(options.host);
    this.#draws = new Draws(random);
    this.#errorLimit = new ErrorLimit(seed);
    const errorLimit = options.limitErrors === false ? undefined : this.#errorLimit;
    this.context = new DirectorCore(
      settings,
      table,
      memory,
      { host: this.#host, settings, nextId, errorLimit },
      this.#draws.next,
    );
    if (options.isAdopted) adoptRules(this.context, memory, ticks!);
    this.#datapath = new Datapath(this.context);
    this.#daemons = new SyncDaemons(this.context);
    this.#estimator = new Estimator(this.context, options.estimatorPeriod);
    this.#abandoned = new AbandonedConnections(this.context);
    this.#defense = new Defense(this.context);
    this.#defense.update();
    this.#published = new PublishedSettings(memory, table, options.ticks);
    this.#published.update(this.context);
    this.context.kernelPath.onExclusion = () => this.#published.update(this.context);
  }

  /**
   * Sets how connections of other directors are treated: `history` in seconds, `share` in percent of the table; undefined: as
   * by the kernel.
   */
  takeOver({ history, share }: Takeover = { history: 0, share: 0 }): void {
    Object.assign(this.context.takeover, { history: history * 1000, share: share / 100 });
  }

  /** Executes a command; throws an LvsError, and changes nothing, when it is invalid. */
  apply(command: Command, now: number): void {
    this.#advance(now);
    const core = this.context;
    switch (command.op) {
      case 'add-service':
        addService(core, command.service, command.options);
        break;
      case 'edit-service':
        editService(core, command.service, command.options);
        break;
      case 'delete-service':
        deleteService(core, command.service, now);
        this.#abandoned.find();
        break;
      case 'add-destination':
        addDestination(core, command.service, command.destination, command.options);
        break;
      case 'edit-destination':
        editDestination(core, command.service, command.destination, command.options);
        break;
      case 'delete-destination':
        deleteDestination(core, command.service, command.destination, now);
        this.#abandoned.find();
        break;
      case 'flush':
        for (const service of [...core.services.all]) dropService(core, service, now);
        this.#abandoned.find();
        break;
      case 'zero':
        this.#zero(command.service && requireService(core, command.service));
        break;
      case 'set-timeouts':
        core.timeouts.set(command.timeouts);
        break;
      case 'set':
        changeSetting(core.settings, command.name, command.value);
        if (isStrategy(command.name)) this.#defense.update();
        break;
      case 'set-marks':
        core.marks.set(command.rules);
        break;
      case 'start-daemon':
        this.#daemons.start(command.daemon, now);
        break;
      case 'stop-daemon':
        this.#daemons.stop(command.role, now);
        break;
      case 'notify':
        this.#daemons.report(command.instance, command.at, now);
        break;
      default:
        command satisfies never;
    }
    this.#published.update(core);
  }

  /** Handles an IP packet and returns its verdict. The caller may reuse the frame afterwards. */
  handle(frame: Frame, now: number): Verdict {
    if (now >= this.#estimator.next) this.#advance(now);
    this.#errorLimit.advance(now);
    const verdict = this.#datapath.handle(frame, now);
    this.#count(verdict);
    this.#defense.makeRoom(now);
    return verdict;
  }

  /**
   * Returns the subject of the last verdict: the frame passed to `handle`, or the datagram that it completed. A
   * driver that passes packets to the host must pass this one, because the host may lack the other fragments.
   */
  get subject(): Frame {
    return this.#datapath.subject;
  }

  /** Advances timers, estimator and defenses. To be called at least every 100 ms. */
  expire(now: number): void {
    this.#advance(now);
  }

  /** Returns a copy of the director's state. */
  snapshot(now: number): Snapshot {
    return { ...this.summary(now), services: [...this.services(now)] };
  }

  /** Yields copies of the services. Each is made when it is requested; what is added or deleted meanwhile may be missing. */
  *services(now: number): Iterable<ServiceSnapshot> {
    this.#advance(now);
    for (const service of this.context.services.all) yield snapshotOfService(this.context, service);
  }

  /** Returns the names of the services. */
  serviceNames(): readonly ServiceAddress[] {
    return Array.from(this.context.services.all, (service) => serviceAddress(service, formatAddress));
  }

  /** Returns a copy of one service; undefined: not found. */
  service(name: ServiceAddress): ServiceSnapshot | undefined {
    const service = this.context.services.get(serviceKey(name));
    return service && snapshotOfService(this.context, service);
  }

  /** Returns a copy of everything but the services. */
  summary(now: number): Omit<Snapshot, 'services'> {
    this.#advance(now);
    const { total, timeouts, settings, table, drops, counts, sync } = this.context;
    return {
      stats: total.traffic(),
      rates: total.rate(),
      timeouts: timeouts.get(),
      settings: { ...settings },
      daemons: this.#daemons.all,
      vrrp: this.#daemons.vrrp,
      table: {
        connections: table.size,
        capacity: table.capacity,
        octets: table.bytes,
        highest: table.highest,
        longestProbe: table.longestProbe,
      },
      drops: Object.fromEntries(Object.entries(drops).filter(([, packets]) => packets > 0)),
      counts: { ...counts },
      ...(sync.counts && { sync: { ...sync.counts } }),
    };
  }

  /**
   * Returns what `handle` would do with the IP packet now, and why. Sends nothing, and changes nothing but
   * the time.
   */
  explain(octets: Uint8Array, now: number): Explanation {
    this.#advance(now);
    return rehearse(this.context, this.#datapath, octets, now, this.#draws.ahead());
  }

  /** Returns the number of places of the connection table. */
  get places(): number {
    return this.context.table.places;
  }

  /** Returns how many connections of destinations, by their numbers, in the places from `from` to `to` are over. */
  closed(destinations: ReadonlySet<number>, from: number, to: number): number {
    return countClosed(this.context, destinations, from, to);
  }

  /**
   * Ends the connections and templates in the places from `from` to `to`, exclusive, whose clients a deny list has. Returns
   * their number.
   */
  endDenied(from: number, to: number): number {
    return endDenied(this.context, from, to);
  }

  /** Returns the connections and templates in the places from `from` to `to`, exclusive; default: all. Unordered. */
  *connections(now: number, from = 0, to = this.places): Iterable<ConnectionSnapshot> {
    this.#advance(now);
    for (const row of this.context.table.rows(from, to)) yield snapshotOfConnection(this.context, row, now);
  }

  /** Advances all that depends on time. Ticks count from the first known time. */
  #advance(now: number): void {
    const core = this.context;
    if (this.#nextDefense < 0) this.#nextDefense = now + DEFENSE_INTERVAL_MS;
    core.table.expire(now, this.#onExpired);
    core.sync.advance(now);
    this.#daemons.advance(now);
    this.#estimator.advance(now);
    this.#abandoned.advance(now);
    this.#nextDefense = Math.max(this.#nextDefense, now - MAX_MISSED_UPDATES * DEFENSE_INTERVAL_MS);
    while (now >= this.#nextDefense) {
      this.#nextDefense += DEFENSE_INTERVAL_MS;
      this.#everySecond(now);
    }
    this.#datapath.expire(now);
    this.#host.expire(now);
  }

  readonly #onExpired = (row: number): boolean => onExpired(this.context, row);

  #everySecond(now: number): void {
    const { destinations, services } = this.context;
    this.#defense.update();
    this.#published.update(this.context);
    this.#defense.scan(now);
    destinations.expire(now);
    services.recycle();
    for (const service of services.all) service.scheduler.expire?.(now);
  }

  #zero(only: Service | undefined): void {
    const { services, total } = this.context;
    for (const service of only ? [only] : services.all) {
      service.meter.zero();
      for (const destination of service.destinations) destination.meter.zero();
    }
    if (!only) total.zero();
  }

  #count(verdict: Verdict): void {
    const { counts, drops } = this.context;
    switch (verdict) {
      case 'forwarded':
        counts.forwarded++;
        break;
      case 'pass':
        counts.passed++;
        break;
      case 'answered':
        counts.answered++;
        break;
      case 'waiting':
        counts.waiting++;
        break;
      default:
        drops[verdict satisfies DropReason]++;
    }
  }
}
