/** A director on a live host: its API, its health checks, its reloads, and what follows from them on the host. */

import { Notifier } from '../checks/notifier.ts';
import type { Watch, Watched } from '../checks/watch.ts';
import type { DirectorApi } from '../control/director-api.ts';
import { Director } from '../director/director.ts';
import { catchUp } from '../director/estimator.ts';
import type { Host } from '../forwarding/method.ts';
import type { SourceValidator } from '../host/source-validation.ts';
import type { VipAddress } from '../host/vip-addresses.ts';
import type { HostIo } from '../io/host-io.ts';
import type { LiveLosses } from '../io/live.ts';
import type { Command } from '../model/command.ts';
import { LvsError } from '../model/errors.ts';
import type { Explanation } from '../model/explanation.ts';
import { formatService } from '../model/naming.ts';
import { Slice } from '../model/slice.ts';
import type { ServiceSnapshot, Snapshot } from '../model/snapshot.ts';
import type { Surroundings } from '../model/surroundings.ts';
import { BlockedClients } from './blocked-clients.ts';
import { CapacityWatch } from './capacity-watch.ts';
import { logChanges } from './changes.ts';
import type { Conditions } from './conditions.ts';
import {
  configurationOf,
  type OpenConfiguration,
  type PlanRequest,
  type ReadConfiguration,
  type ReloadPlan,
} from './configuration-thread.ts';
import type { ConfiguredNames } from './configured-names.ts';
import { Drains } from './drains.ts';
import { guardedApi } from './guard-update.ts';
import { explainedWithChecks, healthWatch, withChecks } from './health.ts';
import { HeldVips } from './held-vips.ts';
import { explainedWithJoined, withJoined } from './joined-outputs.ts';
import type { JoinedRecord } from './joined-record.ts';
import { JoinedServers } from './joined-servers.ts';
import type { KeptTable } from './kept-table.ts';
import { localApi } from './local-director.ts';
import { ManualChanges } from './manual-changes.ts';
import { logNotifyFailure } from './notify.ts';
import type { OperatorState } from './operator-state.ts';
import { unpacked } from './packed.ts';
import { planRequest } from './plan-request.ts';
import { unpredictable } from './random.ts';
import { RestartRecord } from './restart-record.ts';
import { resumeHealth } from './resumed-health.ts';
import { RunningSync } from './running-sync.ts';
import { ServedHost, type ServedHostOptions } from './served-host.ts';
import { ServerDrains } from './server-drains.ts';
import { withTable } from './table-size.ts';
import { WaitingDaemons } from './waiting-daemons.ts';

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
  readonly #options: RunningDirectorOptions;
  readonly #capacity: CapacityWatch;
  readonly #drains = new Drains();
  readonly #vips = new HeldVips(this.#drains);
  readonly #manual = new ManualChanges();
  readonly #sync: RunningSync;
  readonly #waitingDaemons: WaitingDaemons;
  readonly #health: Watch;
  /** Like `api`, for changes that are not manual. */
  readonly #internalApi: DirectorApi;
  #checking: NodeJS.Timeout | undefined;
  #config: ReadConfiguration | undefined;
  #isDraining = false;
  /** For the next director, from the start on. */
  #record: RestartRecord | undefined;

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
    this.#waitingDaemons = new WaitingDaemons(log);
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
    this.api = {
      ...this.#internalApi,
      apply: async (commands) => {
        if (commands.some(({ op }) => op !== 'notify')) this.#manual.count();
        if (commands.some(isResignation)) await this.#sync.handOverAll();
        const outcomes = await this.#internalApi.apply(commands);
        if (commands.some(({ op }) => op === 'start-daemon' || op === 'stop-daemon'))
          await this.#writeRecord();
        return outcomes;
      },
    };
  }

  /**
   * Starts with services, guard and VIPs, in this order: the host never refuses a client of a service. Where the rules of a
   * killed director were taken over, the file is applied as by a reload. `folder`: of records for the next director.
   */
  async start(opened: OpenConfiguration, folder: string): Promise<void> {
    const { clock, offloading, kept } = this.#options;
    const config = configurationOf(opened);
    this.#record = new RestartRecord(folder, kept?.identity, {
      ...{ director: this.director, drains: this.#drains, clock, log: this.#options.log },
    });
    this.notifier.user = config.programUser;
    this.serverDrains.restore();
    await this.#options.names.set(unpacked(config.listed));
    this.blocked.restore();
    await this.blocked.setFile(unpacked(config.access));
    this.#configureJoin(config);
    this.joined.restore();
    await this.#health.set(this.#watched(config), clock(), unpacked(config.policies));
    this.#sync.configure(config.sync);
    this.director.takeOver(config.takeover);
    if (kept?.adopted) await this.#resume(opened);
    else {
      const commands = [...unpacked(config.commands)];
      this.#waitingDaemons.keep(commands, await this.#internalApi.apply(commands));
    }
    await this.joined.start();
    this.#health.settled(clock());
    if (!kept?.adopted) this.#vips.set(config.vips);
    this.#config = config;
    await this.host.start(this.vips, folder);
    kept?.limitAbsence(config.restart, clock());
    await this.#writeRecord();
    offloading?.begin();
    kept?.complete();
    await this.blocked.endConnections();
    this.#checking = setInterval(() => this.#health.tick(clock()), CHECK_TICK_MS);
  }

  /** Changes the rules that a killed director has left to those of the file. */
  async #resume(wanted: OpenConfiguration): Promise<void> {
    const { clock, log } = this.#options;
    const former = await this.#record!.resume();
    this.#config = { ...configurationOf(wanted), commands: former.commands, vips: former.vips };
    this.#vips.set(former.vips);
    const configured = [...unpacked(former.commands), ...this.joined.commands()];
    const added = resumeHealth(this.director.services(clock()), this.#health, configured, clock());
    this.serverDrains.restore();
    await this.host.updates.request({ added });
    const marks = [...unpacked(former.commands)].filter(({ op }) => op === 'set-marks');
    const daemons = former.daemons.map((daemon): Command => ({ op: 'start-daemon', daemon }));
    const commands = [...marks, ...daemons];
    this.#waitingDaemons.keep(commands, await this.#internalApi.apply(commands));
    const plan = await wanted.plan(await this.state());
    for (const change of plan.manualChanges)
      log('warning', 'manual-change-found', { change, adopt: wanted.adopt });
    await this.carryOut(configurationOf(wanted), plan);
    log('info', 'rules-adopted', {
      services: this.director.serviceNames().length,
      commands: plan.commands.length,
    });
  }

  async #writeRecord(): Promise<void> {
    const { vips } = this;
    if (this.#config) await this.#record?.write({ commands: this.#config.commands, vips });
  }

  /** Sets the condition that the file of a rejected reload is not in effect; undefined: that of the last reload is. */
  rejected(error: string | undefined): void {
    const time = new Date().toISOString().slice(0, 16).replace('T', ' ');
    const text = `the configuration file was rejected at ${time} UTC, and an earlier one is in effect`;
    const now = new Map(error === undefined ? [] : [['file', { text, fields: { error } }] as const]);
    this.#options.conditions.set('file-not-applied', now);
  }

  /** The configuration that was applied last. */
  get config(): ReadConfiguration | undefined {
    return this.#config;
  }

  get drains(): Drains {
    return this.#drains;
  }

  /** Reports whether `wanted` is in effect: neither the file nor the rules changed since the last reload. */
  isCurrent(wanted: ReadConfiguration): boolean {
    return wanted.digest === this.#config?.digest && this.#manual.isNone;
  }

  /** Resolves with the state from which a reload is planned. Works in slices. */
  async state(): Promise<PlanRequest> {
    await this.#waitingDaemons.retry(this.#internalApi.apply);
    this.#manual.plan();
    return planRequest({
      director: this.director,
      complete: (service) => this.#completed(service, this.#options.clock()),
      drains: this.#drains,
      config: this.#config!,
      now: this.#options.clock(),
    });
  }

  /** Carries out the plan of a reload. Works in slices. */
  async carryOut(wanted: ReadConfiguration, plan: ReloadPlan): Promise<void> {
    await this.joined.pause();
    try {
      await this.#carryOut(wanted, plan);
    } finally {
      this.joined.resume();
    }
  }

  async #carryOut(wanted: ReadConfiguration, { commands, drains }: ReloadPlan): Promise<void> {
    const { clock, log, names } = this.#options;
    const slice = new Slice();
    this.#configureJoin(wanted);
    await names.set(unpacked(wanted.listed), unpacked(drains));
    this.notifier.user = wanted.programUser;
    await this.blocked.setFile(unpacked(wanted.access));
    const all = await this.#health.set(this.#watched(wanted), clock(), unpacked(wanted.policies));
    this.#sync.configure(wanted.sync);
    this.director.takeOver(wanted.takeover);
    for (const command of unpacked(commands)) {
      all.push(command);
      if (slice.spent) await slice.next();
    }
    const outcomes = await this.#internalApi.apply(all);
    this.#health.settled(clock());
    await logChanges(all, outcomes, 'reload', log);
    await this.blocked.endConnections();
    const failures = outcomes.filter((outcome) => outcome !== undefined);
    for (const { message } of failures) log('error', 'reload-command-failed', { error: message });
    this.#manual.carriedOut(failures.length === 0);
    await this.#drains.set(unpacked(drains), clock() + wanted.drain * 1000);
    this.#config = wanted;
    this.#options.kept?.limitAbsence(wanted.restart, clock());
    this.#vips.set(wanted.vips);
    await this.#holdVips();
    this.host.refresh();
    for (const name of wanted.interfaces) await this.host.listen(name);
    await this.#writeRecord();
  }

  #configureJoin({ join, joinable, drain }: ReadConfiguration): void {
    this.joined.configure(join, unpacked(joinable), drain);
  }

  /** Yields the destinations with checks: of servers that joined, and of the file, which has precedence. */
  *#watched({ watched }: ReadConfiguration): Generator<Watched> {
    yield* this.joined.watched();
    yield* unpacked(watched);
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
    if (this.#drains.size > 0) void this.#drain();
    this.#capacity.check();
    this.blocked.tick();
    this.joined.watch();
    void this.#waitingDaemons.retry(this.#internalApi.apply);
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
    this.#record?.remove();
    offloading?.close();
    kept?.close();
  }

  async #drain(): Promise<void> {
    if (this.#isDraining) return;
    this.#isDraining = true;
    const { clock, log } = this.#options;
    try {
      const commands = await this.#drains.due((service) => this.director.service(service), clock());
      if (commands.length === 0) return;
      await logChanges(commands, await this.#internalApi.apply(commands), 'drained', log);
      await this.#holdVips();
    } catch (error) {
      // VIPs of a missing interface are added when it returns.
      if (!(error instanceof LvsError)) throw error;
      log('error', 'vips-failed', { error: error.message });
    } finally {
      this.#isDraining = false;
    }
  }

  /** Adds the VIPs of the file, and removes others when no connection uses them. */
  async #holdVips(): Promise<void> {
    this.#vips.release();
    await this.host.hold(this.vips);
  }

  /** Returns the VIPs that this host should have: those of the file, and those that connections still use. */
  get vips(): readonly VipAddress[] {
    return this.#options.holdsVips ? this.#vips.all : [];
  }
}

/** Reports whether this host may be the master no longer. */
const isResignation = (command: Command): boolean =>
  command.op === 'notify' && command.instance.state !== 'MASTER';
