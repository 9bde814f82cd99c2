/** The configuration that a running director carries out: at its start, after a former director, and at each reload. */
import type { Notifier } from '../../checks/notifier.ts';
import type { Watch, Watched } from '../../checks/watch.ts';
import type { DirectorApi } from '../../control/director-api.ts';
import type { Director } from '../../director/director.ts';
import type { VipAddress } from '../../host/vip-addresses.ts';
import type { Command } from '../../model/command.ts';
import { LvsError } from '../../model/errors.ts';
import { Slice } from '../../model/slice.ts';
import type { ServiceSnapshot, Snapshot } from '../../model/snapshot.ts';
import type { BlockedClients } from '../blocked-clients.ts';
import { logChanges } from '../changes.ts';
import type { Conditions } from '../conditions.ts';
import { Drains } from '../drains.ts';
import { HeldVips } from '../host/held-vips.ts';
import type { ServedHost } from '../host/served-host.ts';
import type { JoinedServers } from '../join/joined-servers.ts';
import type { Log } from '../log.ts';
import type { KeptTable } from '../restart/kept-table.ts';
import { RestartRecord } from '../restart/restart-record.ts';
import { resumeHealth } from '../restart/resumed-health.ts';
import type { ServerDrains } from '../server-drains.ts';
import type { RunningSync } from '../sync/running-sync.ts';
import { WaitingDaemons } from '../sync/waiting-daemons.ts';
import {
  configurationOf,
  type OpenConfiguration,
  type PlanRequest,
  type ReadConfiguration,
  type ReloadPlan,
} from './configuration-thread.ts';
import type { ConfiguredNames } from './configured-names.ts';
import { ManualChanges } from './manual-changes.ts';
import { type Packed, unpacked } from './packed.ts';
import { planRequest } from './plan-request.ts';

/** What a configuration changes. */
export interface RunningConfigurationOptions {
  readonly director: Director;
  /** Commands through this API update the host, too, and are not manual changes. */
  readonly api: DirectorApi;
  readonly host: ServedHost;
  readonly health: Watch;
  readonly names: ConfiguredNames;
  readonly joined: JoinedServers;
  readonly blocked: BlockedClients;
  readonly notifier: Notifier;
  readonly serverDrains: ServerDrains;
  readonly sync: RunningSync;
  readonly kept: KeptTable | undefined;
  /** False: the VIPs of the file are left to another program. */
  readonly holdsVips: boolean;
  /** Completes a service by what only health checks and the configuration know. */
  readonly complete: (service: ServiceSnapshot) => ServiceSnapshot;
  readonly conditions: Conditions;
  readonly clock: () => number;
  readonly log: Log;
}

/** Resolves with the steps of a reload to `wanted` that are to be carried out. */
export type JoinSteps = (steps: Packed<Command>, wanted: ReadConfiguration) => Promise<Packed<Command>>;

export class RunningConfiguration {
  /** Destinations and services that a reload has quiesced. */
  readonly drains = new Drains();
  readonly #options: RunningConfigurationOptions;
  readonly #vips = new HeldVips(this.drains);
  readonly #manual = new ManualChanges();
  readonly #waitingDaemons: WaitingDaemons;
  /** Joins the steps of a reload with rules over the configuration, as a cluster has them. */
  joinSteps: JoinSteps = async (steps) => steps;
  #current: ReadConfiguration | undefined;
  #isDraining = false;
  /** For the next director, from the start on. */
  #record: RestartRecord | undefined;

  constructor(options: RunningConfigurationOptions) {
    this.#options = options;
    options.joined.drains = this.drains;
    this.#waitingDaemons = new WaitingDaemons(options.log);
  }

  /**
   * Starts with services, guard and VIPs, in this order: the host never refuses a client of a service. Where the rules of a
   * killed director were taken over, the file is applied as by a reload. `folder`: of records for the next director.
   */
  async start(opened: OpenConfiguration, folder: string): Promise<void> {
    const { clock, kept, log, host, director, health } = this.#options;
    const { names, joined, blocked, notifier, serverDrains, sync, api } = this.#options;
    const config = configurationOf(opened);
    const { drains } = this;
    this.#record = new RestartRecord(folder, kept?.identity, { director, drains, clock, log });
    notifier.user = config.programUser;
    serverDrains.restore();
    await names.set(unpacked(config.listed));
    blocked.restore();
    await blocked.setFile(unpacked(config.access));
    this.#configureJoin(config);
    joined.restore();
    await health.set(this.#watched(config), clock(), unpacked(config.policies));
    sync.configure(config.sync);
    director.takeOver(config.takeover);
    if (kept?.adopted) await this.#resume(opened);
    else {
      const commands = [...unpacked(config.commands)];
      this.#waitingDaemons.keep(commands, await api.apply(commands));
    }
    await joined.start();
    health.settled(clock());
    if (!kept?.adopted) this.#vips.set(config.vips);
    this.#current = config;
    await host.start(this.vips, folder);
    kept?.limitAbsence(config.restart, clock());
    await this.writeRecord();
  }

  /** Changes the rules that a killed director has left to those of the file. */
  async #resume(wanted: OpenConfiguration): Promise<void> {
    const { director, host, api, health, joined, serverDrains, clock, log } = this.#options;
    const former = await this.#record!.resume();
    this.#current = { ...configurationOf(wanted), commands: former.commands, vips: former.vips };
    this.#vips.set(former.vips);
    const configured = [...unpacked(former.commands), ...joined.commands()];
    const added = resumeHealth(director.services(clock()), health, configured, clock());
    serverDrains.restore();
    await host.updates.request({ added });
    const marks = [...unpacked(former.commands)].filter(({ op }) => op === 'set-marks');
    const daemons = former.daemons.map((daemon): Command => ({ op: 'start-daemon', daemon }));
    const commands = [...marks, ...daemons];
    this.#waitingDaemons.keep(commands, await api.apply(commands));
    const plan = await this.change(wanted);
    log('info', 'rules-adopted', {
      services: director.serviceNames().length,
      commands: plan.commands.length,
    });
  }

  /** Resolves when the next director finds what is in effect. */
  async writeRecord(): Promise<void> {
    const { vips } = this;
    if (this.#current) await this.#record?.write({ commands: this.#current.commands, vips });
  }

  /** Removes the record for the next director: nothing is kept for it. */
  forget(): void {
    this.#record?.remove();
  }

  /** Sets the condition that the file of a rejected reload is not in effect; undefined: that of the last reload is. */
  rejected(error: string | undefined): void {
    const time = new Date().toISOString().slice(0, 16).replace('T', ' ');
    const text = `the configuration file was rejected at ${time} UTC, and an earlier one is in effect`;
    const now = new Map(error === undefined ? [] : [['file', { text, fields: { error } }] as const]);
    this.#options.conditions.set('file-not-applied', now);
  }

  /** What was applied last. */
  get current(): ReadConfiguration | undefined {
    return this.#current;
  }

  /** The rules were changed by a command. */
  changedManually(): void {
    this.#manual.count();
  }

  /** Reports whether `wanted` is in effect: neither the file nor the rules changed since the last reload. */
  isCurrent(wanted: ReadConfiguration): boolean {
    return wanted.digest === this.#current?.digest && this.#manual.isNone;
  }

  /** Resolves with the rules, and the names of services and servers. */
  async snapshot(): Promise<Snapshot> {
    const { api, complete } = this.#options;
    const snapshot = await api.snapshot({ services: true });
    return { ...snapshot, services: snapshot.services.map(complete) };
  }

  /** Resolves with the state from which a reload is planned. Works in slices. */
  async state(): Promise<PlanRequest> {
    const { director, api, complete, clock } = this.#options;
    await this.#waitingDaemons.retry(api.apply);
    this.#manual.plan();
    return planRequest({ director, complete, drains: this.drains, config: this.#current!, now: clock() });
  }

  /** Resolves with what a reload would do. */
  async plan(wanted: OpenConfiguration): Promise<ReloadPlan> {
    const plan = await wanted.plan(await this.state());
    return { ...plan, commands: await this.joinSteps(plan.commands, wanted) };
  }

  /** Changes the rules to those of `wanted`, and logs which manual changes there were. Resolves with the plan. */
  async change(wanted: OpenConfiguration): Promise<ReloadPlan> {
    const { joined, log } = this.#options;
    const plan = await this.plan(wanted);
    for (const change of plan.manualChanges)
      log('warning', 'manual-change-found', { change, adopt: wanted.adopt });
    await joined.pause();
    try {
      await this.#carryOut(configurationOf(wanted), plan);
    } finally {
      joined.resume();
    }
    return plan;
  }

  /** Carries out the plan of a reload. Works in slices. */
  async #carryOut(wanted: ReadConfiguration, { commands, drains }: ReloadPlan): Promise<void> {
    const { director, host, api, health, names, blocked, notifier, sync, kept, clock, log } = this.#options;
    const slice = new Slice();
    this.#configureJoin(wanted);
    await names.set(unpacked(wanted.listed), unpacked(drains));
    notifier.user = wanted.programUser;
    await blocked.setFile(unpacked(wanted.access));
    const all = await health.set(this.#watched(wanted), clock(), unpacked(wanted.policies));
    sync.configure(wanted.sync);
    director.takeOver(wanted.takeover);
    for (const command of unpacked(commands)) {
      all.push(command);
      if (slice.spent) await slice.next();
    }
    const outcomes = await api.apply(all);
    health.settled(clock());
    await logChanges(all, outcomes, 'reload', log);
    await blocked.endConnections();
    const failures = outcomes.filter((outcome) => outcome !== undefined);
    for (const { message } of failures) log('error', 'reload-command-failed', { error: message });
    this.#manual.carriedOut(failures.length === 0);
    await this.drains.set(unpacked(drains), clock() + wanted.drain * 1000);
    this.#current = wanted;
    kept?.limitAbsence(wanted.restart, clock());
    this.#vips.set(wanted.vips);
    await this.#holdVips();
    host.refresh();
    for (const name of wanted.interfaces) await host.listen(name);
    await this.writeRecord();
  }

  #configureJoin({ join, joinable, drain }: ReadConfiguration): void {
    this.#options.joined.configure(join, unpacked(joinable), drain);
  }

  /** Yields the destinations with checks: of servers that joined, and of the file, which has precedence. */
  *#watched({ watched }: ReadConfiguration): Generator<Watched> {
    yield* this.#options.joined.watched();
    yield* unpacked(watched);
  }

  /** Removes what has drained, and starts daemons that wait for their interface. Call it once a second. */
  watch(): void {
    if (this.drains.size > 0) void this.#drain();
    void this.#waitingDaemons.retry(this.#options.api.apply);
  }

  async #drain(): Promise<void> {
    if (this.#isDraining) return;
    this.#isDraining = true;
    const { director, api, clock, log } = this.#options;
    try {
      const commands = await this.drains.due((service) => director.service(service), clock());
      if (commands.length === 0) return;
      await logChanges(commands, await api.apply(commands), 'drained', log);
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
    await this.#options.host.hold(this.vips);
  }

  /** Returns the VIPs that this host should have: those of the file, and those that connections still use. */
  get vips(): readonly VipAddress[] {
    return this.#options.holdsVips ? this.#vips.all : [];
  }
}
