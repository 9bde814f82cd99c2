/** A director on a live host: its API, its health checks, its reloads, and what follows from them on the host. */

import { Notifier } from '../checks/notifier.ts';
import type { Watch } from '../checks/watch.ts';
import type { DirectorApi } from '../control/director-api.ts';
import { Director } from '../director/director.ts';
import { catchUp } from '../director/estimator.ts';
import type { Host } from '../forwarding/method.ts';
import type { SourceValidator } from '../host/source-validation.ts';
import type { HostIo } from '../io/host-io.ts';
import type { LiveLosses } from '../io/live.ts';
import type { Command } from '../model/command.ts';
import type { Explanation } from '../model/explanation.ts';
import { formatService } from '../model/naming.ts';
import type { ServiceSnapshot, Snapshot } from '../model/snapshot.ts';
import type { Surroundings } from '../model/surroundings.ts';
import { BlockedClients } from './blocked-clients.ts';
import { CapacityWatch } from './capacity-watch.ts';
import type { Conditions } from './conditions.ts';
import type { OpenConfiguration, ReadConfiguration } from './configuration/configuration-thread.ts';
import type { ConfiguredNames } from './configuration/configured-names.ts';
import { RunningConfiguration } from './configuration/running-configuration.ts';
import type { Drains } from './drains.ts';
import { explainedWithChecks, healthWatch, withChecks } from './health.ts';
import { guardedApi } from './host/guard-update.ts';
import { ServedHost, type ServedHostOptions } from './host/served-host.ts';
import { explainedWithJoined, withJoined } from './join/joined-outputs.ts';
import type { JoinedRecord } from './join/joined-record.ts';
import { JoinedServers } from './join/joined-servers.ts';
import { localApi } from './local-director.ts';
import { logNotifyFailure } from './notify.ts';
import type { OperatorState } from './operator-state.ts';
import { unpredictable } from './random.ts';
import type { KeptTable } from './restart/kept-table.ts';
import { ServerDrains } from './server-drains.ts';
import { RunningSync } from './sync/running-sync.ts';
import { withTable } from './table-size.ts';

const DAY_MS = 86_400_000;
/** ms between two searches for health checks that are due. */
const CHECK_TICK_MS = 100;

export interface RunningDirectorOptions extends ServedHostOptions {
  /** Sends the director's packets through `io`. */
  readonly sender: Pick<HostIo, 'transmit'>;
  readonly sources: SourceValidator;
  /** Maximum number of connections. */
  readonly connections: number;
  readonly conditions: Conditions;
  readonly names: ConfiguredNames;
  /** The table; undefined: the director makes one that ends with this process. */
  readonly kept: KeptTable | undefined;
  /** False: the VIPs of the file are left to another program. */
  readonly holdsVips: boolean;
  /** What operators have changed by commands. */
  readonly operatorState: OperatorState;
  /** The servers that have joined. */
  readonly joinedRecord: JoinedRecord;
}

export class RunningDirector {
  readonly director: Director;
  /** Commands through this API update the host, too. They count as manual changes. */
  readonly api: DirectorApi;
  readonly host: ServedHost;
  readonly notifier: Notifier;
  readonly serverDrains: ServerDrains;
  readonly blocked: BlockedClients;
  readonly joined: JoinedServers;
  readonly configuration: RunningConfiguration;
  readonly #options: RunningDirectorOptions;
  readonly #capacity: CapacityWatch;
  readonly #sync: RunningSync;
  readonly #health: Watch;
  /** Like `api`, for changes that are not manual. */
  readonly #internalApi: DirectorApi;
  #checking: NodeJS.Timeout | undefined;

  constructor(options: RunningDirectorOptions) {
    const { io, sender, routes, sources, clock, connections, conditions, offloading, kept, log } = options;
    this.#options = options;
    const host: Host = {
      transmit: (frame, nextHop) => sender.transmit(frame, nextHop),
      route: (to) => routes.route(to),
      isLocal: (address) => routes.isLocal(address),
      timeOfDay: () => Date.now() % DAY_MS,
      isValidSource: (source, destination, ingress) => sources.isValid(source, destination, ingress),
    };
    this.director = kept
      ? new Director({ host, random: unpredictable, ...kept.shared, isAdopted: kept.adopted !== undefined })
      : withTable(
          connections,
          log,
          (maxConnections) => new Director({ host, random: unpredictable, maxConnections }),
        );
    const { context } = this.director;
    if (offloading) offloading.start(this.director);
    else if (kept?.adopted) catchUp(context, kept.adopted.silent);
    this.#sync = new RunningSync(context, clock, log);
    this.host = new ServedHost(this.director, {
      ...options,
      vipLeft: () => void this.#sync.handOverAll(),
    });
    this.#capacity = new CapacityWatch({ director: this.director, io, conditions, log });
    const plain = localApi(this.director, { now: clock });
    // The kernel path must reflect every command immediately, even if the guard does not change.
    const guarded = (api: DirectorApi) =>
      guardedApi(
        {
          ...api,
          apply: async (commands) => {
            const outcomes = await api.apply(commands);
            await offloading?.review();
            return outcomes;
          },
        },
        this.host.updates,
      );
    this.notifier = new Notifier({ failed: (failure) => logNotifyFailure(failure, log) });
    const { names } = options;
    this.#health = healthWatch({ api: plain, guarded: guarded(plain), notifier: this.notifier, names, log });
    this.blocked = new BlockedClients({
      ...{ director: this.director, state: options.operatorState, kernel: offloading?.lists, log },
      wallClock: Date.now,
    });
    this.serverDrains = new ServerDrains({
      ...{ watch: this.#health, state: options.operatorState, clock, log },
      director: this.director,
      addressOf: (text) => names.addressOf(text),
      nameOf: (service) => names.of(service).service ?? formatService(service),
    });
    const local = localApi(this.director, {
      now: clock,
      prepare: (command, now) => this.#health.adjust(command, now),
      complete: (service, now) => this.#completed(service, now),
    });
    this.#internalApi = guarded(local);
    this.joined = new JoinedServers({
      ...{ director: this.director, health: this.#health, names, conditions, clock, log },
      ...{ guarded: this.#internalApi, plain: local, record: options.joinedRecord },
    });
    this.configuration = new RunningConfiguration({
      ...options,
      ...{ director: this.director, host: this.host, api: this.#internalApi, notifier: this.notifier },
      ...{ health: this.#health, joined: this.joined, blocked: this.blocked, sync: this.#sync },
      serverDrains: this.serverDrains,
      complete: (service) => this.#completed(service, clock()),
    });
    this.api = {
      ...this.#internalApi,
      apply: async (commands) => {
        if (commands.some(({ op }) => op !== 'notify')) this.configuration.changedManually();
        if (commands.some(isResignation)) await this.#sync.handOverAll();
        const outcomes = await this.#internalApi.apply(commands);
        if (commands.some(({ op }) => op === 'start-daemon' || op === 'stop-daemon'))
          await this.configuration.writeRecord();
        return outcomes;
      },
    };
  }

  /** Starts with the configuration. `folder`: of records for the next director. */
  async start(opened: OpenConfiguration, folder: string): Promise<void> {
    const { clock, offloading, kept } = this.#options;
    await this.configuration.start(opened, folder);
    offloading?.begin();
    kept?.complete();
    await this.blocked.endConnections();
    this.#checking = setInterval(() => this.#health.tick(clock()), CHECK_TICK_MS);
  }

  /** The configuration that was applied last. */
  get config(): ReadConfiguration | undefined {
    return this.configuration.current;
  }

  get drains(): Drains {
    return this.configuration.drains;
  }

  /** Resolves with a copy of the director's state, health checks included. Works in slices. */
  snapshot(): Promise<Snapshot> {
    return this.#internalApi.snapshot({ services: true });
  }

  /** Yields copies of the services, health checks included. Each is made when it is requested. */
  *services(): Generator<ServiceSnapshot> {
    const now = this.#options.clock();
    for (const service of this.director.services(now)) yield this.#completed(service, now);
  }

  /** Returns a copy of a service with what only health checks and the configuration know. */
  #completed(service: ServiceSnapshot, now: number): ServiceSnapshot {
    const completed = this.#options.names.complete(withChecks(service, this.#health, now));
    return withJoined(completed, (destination) => this.joined.of(service.service, destination));
  }

  explain(packet: Uint8Array): Explanation {
    const now = this.#options.clock();
    const explanation = this.blocked.explained(this.director.explain(packet, now));
    const joined = explainedWithJoined(explanation, (...of) => this.joined.of(...of));
    return this.#options.names.explained(explainedWithChecks(joined, this.#health, now));
  }

  losses(): LiveLosses {
    return this.#options.io.losses();
  }

  /** Checks the host, drains and capacities. Call it once a second. */
  watch(): void {
    const { kept, clock } = this.#options;
    kept?.beat(clock());
    this.#sync.check();
    if (this.#sync.isFetching) this.host.beginGrace();
    this.host.check();
    this.configuration.watch();
    this.#capacity.check();
    this.blocked.tick();
    this.joined.watch();
  }

  /** What restarts keep, and what this director has taken over. */
  get restart(): Surroundings['restart'] {
    const { kept } = this.#options;
    const { adopted } = kept ?? {};
    return {
      keeps: kept?.identity !== undefined,
      ...(adopted && {
        adopted: {
          connections: adopted.connections,
          absence: adopted.silent / 1000,
          since: new Date(adopted.since).toISOString(),
        },
      }),
    };
  }

  /** Reports whether connections of another director are being fetched. */
  get isCatchingUp(): boolean {
    return this.#sync.isFetching;
  }

  /** Sends to the backups what they lack: before another director becomes the master, whose clients they are then. */
  handOver(): Promise<void> {
    return this.#sync.handOver();
  }

  /** Restores the host, or, with `isKept`, leaves it as it is to the next director if the kernel path can go on. */
  close(isKept: boolean): void {
    clearInterval(this.#checking);
    this.joined[Symbol.dispose]();
    this.#health[Symbol.dispose]();
    this.notifier[Symbol.dispose]();
    this.#sync[Symbol.dispose]();
    this.blocked[Symbol.dispose]();
    const { offloading, kept, log } = this.#options;
    if (isKept && kept?.identity !== undefined) {
      offloading?.leave();
      kept.leave(this.#options.clock());
      return;
    }
    if (isKept)
      log('warning', 'keep-unavailable', { reason: 'nothing keeps the connections without this process' });
    this.host.close();
    this.configuration.forget();
    offloading?.close();
    kept?.close();
  }
}

/** Reports whether this host may be the master no longer. */
const isResignation = (command: Command): boolean =>
  command.op === 'notify' && command.instance.state !== 'MASTER';
