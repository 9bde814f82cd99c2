/** The director: what it is told, the packets it is handed, and what one can see of it. No I/O, no clock. */
import type { Host } from '../forwarding/method.ts';
import type { Command, SyncDaemon } from '../model/command.ts';
import { LvsError } from '../model/errors.ts';
import type { Settings, Timeouts } from '../model/settings.ts';
import type { ConnectionSnapshot, Snapshot } from '../model/snapshot.ts';
import type { Verdict } from '../model/verdict.ts';
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
} from './administration.ts';
import { DestinationRegistry } from './destinations.ts';
import { Meter, TICK } from './estimator.ts';
import { Marks } from './marks.ts';
import { type Service, ServiceRegistry } from './services.ts';
import { changeSetting, newSettings } from './settings.ts';
import { snapshotOfService } from './snapshots.ts';

export interface DirectorOptions {
  readonly host: Host;
  /** 0 <= x < 1; seeded in tests. */
  readonly random?: () => number;
  readonly settings?: Partial<Settings>;
  /** Rows of the connection table. */
  readonly maxConnections?: number;
}

/** The load balancer. Times are ms of one monotonic clock, the caller's. */
export class Director {
  readonly #settings: Settings;
  readonly #services = new ServiceRegistry();
  readonly #destinations = new DestinationRegistry();
  readonly #marks = new Marks();
  readonly #total = new Meter();
  readonly #random: () => number;
  #daemons: readonly SyncDaemon[] = [];
  #timeouts: Timeouts = { tcp: 900, tcpFin: 120, udp: 300 };
  /** When the estimator reads next, ms; NaN: no time is known yet. */
  #nextTick = Number.NaN;

  constructor(options: DirectorOptions) {
    this.#settings = newSettings(options.settings);
    this.#random = options.random ?? (() => 0.5);
  }

  /** Does what the command says, or throws an LvsError and changes nothing. */
  apply(command: Command, now: number): void {
    this.#advance(now);
    const into = {
      services: this.#services,
      destinations: this.#destinations,
      settings: this.#settings,
      random: this.#random,
    };
    switch (command.op) {
      case 'add-service':
        addService(into, command.service, command.options);
        break;
      case 'edit-service':
        editService(into, command.service, command.options);
        break;
      case 'delete-service':
        deleteService(into, command.service);
        break;
      case 'add-destination':
        addDestination(into, command.service, command.destination, command.options);
        break;
      case 'edit-destination':
        editDestination(into, command.service, command.destination, command.options);
        break;
      case 'delete-destination':
        deleteDestination(into, command.service, command.destination);
        break;
      case 'flush':
        for (const service of [...this.#services.all]) dropService(into, service);
        break;
      case 'zero':
        this.#zero(command.service && requireService(into, command.service));
        break;
      case 'set-timeouts':
        this.#setTimeouts(command.timeouts);
        break;
      case 'set':
        changeSetting(this.#settings, command.name, command.value);
        break;
      case 'set-marks':
        this.#marks.set(command.rules);
        break;
      case 'start-daemon':
        this.#startDaemon(command.daemon);
        break;
      case 'stop-daemon':
        this.#stopDaemon(command.role);
        break;
      default:
        command satisfies never;
    }
  }

  /** Sends an IP packet where it belongs, or says why not. The frame is the caller's again when this returns. */
  handle(_frame: Frame, now: number): Verdict {
    this.#advance(now);
    return 'pass';
  }

  /** Lets time pass: timers, the estimator's ticks, the defences. Due at least every 100 ms. */
  expire(now: number): void {
    this.#advance(now);
  }

  /** A copy of what the director holds. */
  snapshot(now: number): Snapshot {
    this.#advance(now);
    return {
      services: [...this.#services.all].map(snapshotOfService),
      stats: this.#total.traffic(),
      rates: this.#total.rate(),
      timeouts: this.#timeouts,
      settings: { ...this.#settings },
      daemons: this.#daemons,
      table: { connections: 0, capacity: 0, octets: 0 },
      drops: {},
    };
  }

  /** Every connection and template, in no order. */
  *connections(_now: number): Iterable<ConnectionSnapshot> {}

  #advance(now: number): void {
    if (Number.isNaN(this.#nextTick)) this.#nextTick = now + TICK;
    while (now >= this.#nextTick) {
      this.#nextTick += TICK;
      this.#tick();
    }
    this.#destinations.expire(now);
  }

  #tick(): void {
    if (this.#settings.run_estimation === 0) return;
    this.#total.tick();
    for (const service of this.#services.all) {
      service.meter.tick();
      for (const destination of service.destinations) destination.meter.tick();
    }
  }

  #zero(only: Service | undefined): void {
    for (const service of only ? [only] : this.#services.all) {
      service.meter.zero();
      for (const destination of service.destinations) destination.meter.zero();
    }
    if (!only) this.#total.zero();
  }

  #setTimeouts({ tcp, tcpFin, udp }: Timeouts): void {
    for (const seconds of [tcp, tcpFin, udp])
      if (!(Number.isInteger(seconds) && seconds >= 0 && seconds <= 2_147_483))
        throw new LvsError('INVALID', `a time-out of ${seconds} s: 0 to 2147483, 0 for no change`);
    const was = this.#timeouts;
    this.#timeouts = { tcp: tcp || was.tcp, tcpFin: tcpFin || was.tcpFin, udp: udp || was.udp };
  }

  #startDaemon(daemon: SyncDaemon): void {
    if (this.#daemons.some(({ role }) => role === daemon.role))
      throw new LvsError('DAEMON_RUNNING', `the ${daemon.role} sync daemon runs already`);
    this.#daemons = [...this.#daemons, daemon];
  }

  #stopDaemon(role: SyncDaemon['role']): void {
    if (!this.#daemons.some((daemon) => daemon.role === role))
      throw new LvsError('NO_DAEMON', `no ${role} sync daemon runs`);
    this.#daemons = this.#daemons.filter((daemon) => daemon.role !== role);
  }
}
