/** A director on a live host: its API, its health checks, and the changes on the host that follow from its services. */

import type { Watch } from '../checks/watch.ts';
import { type Rule, ruleOf } from '../config/reload/applied-state.ts';
import type { DirectorApi } from '../control/director-api.ts';
import { Director } from '../director/director.ts';
import type { Routes } from '../host/routes.ts';
import type { SourceValidator } from '../host/source-validation.ts';
import type { VipAddress } from '../host/vip-addresses.ts';
import type { HostIo } from '../io/host-io.ts';
import type { LiveLosses } from '../io/live.ts';
import type { MarkRule } from '../model/command.ts';
import { LvsError } from '../model/errors.ts';
import type { Explanation } from '../model/explanation.ts';
import { NO_CHANGE, type OwnedChange, portionsOf } from '../model/owned-packets.ts';
import { Slice } from '../model/slice.ts';
import type { ServiceSnapshot, Snapshot } from '../model/snapshot.ts';
import { parseAddress } from '../wire/address.ts';
import type { Frame } from '../wire/frame.ts';
import { logChanges, Overloads } from './changes.ts';
import type { Conditions } from './conditions.ts';
import type { PlanRequest, ReadConfiguration, ReloadPlan } from './configuration-thread.ts';
import { Drains } from './drains.ts';
import { GuardUpdates, guardedApi, type HostRequest } from './guard-update.ts';
import { explainedWithChecks, healthWatch, withChecks } from './health.ts';
import { type HostSetup, setUpHost } from './host-setup.ts';
import { liveHost } from './live-host.ts';
import { localApi } from './local-director.ts';
import type { Log } from './log.ts';
import type { Offloading } from './offloading.ts';
import { OwnedPackets, runningServices } from './owned-packets.ts';
import { Packing, unpacked } from './packed.ts';
import { unpredictable } from './random.ts';
import { withTable } from './table-size.ts';
import { UnmatchedPackets } from './unmatched-packets.ts';

/** Bytes of the longest tunnel header: IPv6 (RFC 8200) and GUE with a private field, or GRE with a checksum. */
const TUNNEL_HEADER_BYTES = 60;

/** ms between two searches for health checks that are due. */
const CHECK_TICK_MS = 100;

/** An event of an interface: see io/live.ts. */
export type InterfaceChange = 'deleted' | 'back' | 'polling';

export interface RunningDirectorOptions {
  readonly io: HostIo;
  /** Sends the director's packets through `io`. */
  readonly sender: Pick<HostIo, 'transmit'>;
  /** The kernel path, if one is used. */
  readonly offloading?: Offloading;
  readonly routes: Routes;
  readonly sources: SourceValidator;
  readonly clock: () => number;
  readonly log: Log;
  /** Maximum number of connections. */
  readonly connections: number;
  readonly conditions: Conditions;
  /** The interfaces of the file or the command line. */
  readonly named: readonly string[];
  /** Called, and awaited, before VIPs are added. */
  readonly beforeHold: (vips: readonly VipAddress[]) => Promise<void>;
}

export class RunningDirector {
  readonly director: Director;
  /** Commands through this API update the host, too. They count as manual changes. */
  readonly api: DirectorApi;
  /** Handles packets that match no service. */
  readonly handleUnmatched: (frame: Frame) => void;
  readonly #options: RunningDirectorOptions;
  readonly #unmatched: UnmatchedPackets;
  readonly #owned: OwnedPackets;
  readonly #updates = new GuardUpdates((request) => this.#updateHost(request));
  readonly #drains = new Drains();
  readonly #overloads = new Overloads();
  readonly #health: Watch;
  /** Like `api`, for changes that are not manual. */
  readonly #internalApi: DirectorApi;
  #checking: NodeJS.Timeout | undefined;
  #host: HostSetup | undefined;
  /** Mark rules that the host respects. */
  #marks: readonly MarkRule[] = [];
  /** Number of destinations that are reached by a tunnel. */
  #tunnels = 0;
  #hasWarned = false;
  #crowded = 0;
  #lost = 0;
  #config: ReadConfiguration | undefined;
  /** Number of manual changes: so far, at the last plan, and at the last successful reload (-1: it failed). */
  #changes = 0;
  #plannedChange = 0;
  #appliedChange = 0;
  #isDraining = false;
  #isTableFull = false;
  /** VIPs that are no longer in the file, and that connections still use. */
  #drainingVips: readonly VipAddress[] = [];

  constructor(options: RunningDirectorOptions) {
    const { io, sender, routes, clock, connections, log } = options;
    this.#options = options;
    this.director = withTable(connections, log, (maxConnections) => {
      const host = liveHost(sender, routes, options.sources);
      return new Director({ host, random: unpredictable, maxConnections });
    });
    options.offloading?.start(this.director);
    this.#owned = new OwnedPackets(runningServices(this.director));
    const { marks, forwarding } = this.director.context;
    this.#unmatched = new UnmatchedPackets(forwarding, io.exclusive, (packet) => marks.of(packet));
    this.handleUnmatched = this.#unmatched.handle;
    this.#health = healthWatch({ api: localApi(this.director, { now: clock }), log });
    const local = localApi(this.director, {
      now: clock,
      prepare: (command, now) => this.#health.adjust(command, now),
      complete: (service, now) => withChecks(service, this.#health, now),
    });
    // The kernel path must reflect every command immediately, even if the guard does not change.
    const forwarded: DirectorApi = {
      ...local,
      apply: async (commands) => {
        const outcomes = await local.apply(commands);
        options.offloading?.review();
        return outcomes;
      },
    };
    this.#internalApi = guardedApi(forwarded, this.#updates);
    this.api = {
      ...this.#internalApi,
      apply: (commands) => {
        this.#changes++;
        return this.#internalApi.apply(commands);
      },
    };
  }

  /** Starts with services, guard and VIPs, in this order: the host never refuses a client of a service. */
  async start(config: ReadConfiguration, folder: string): Promise<void> {
    const { clock, io, log, offloading, routes, named, beforeHold } = this.#options;
    await this.#health.set(unpacked(config.watched), clock());
    await this.#internalApi.apply([...unpacked(config.commands)]);
    this.#config = config;
    this.#host = await setUpHost({
      interfaces: io.interfaces,
      named,
      beforeHold,
      folder,
      log,
      merged: offloading !== undefined,
    });
    await this.#updates.request();
    await this.#host.hold(config.vips);
    routes.refresh();
    this.#checking = setInterval(() => this.#health.tick(clock()), CHECK_TICK_MS);
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
    return wanted.digest === this.#config?.digest && this.#changes === this.#appliedChange;
  }

  /** Resolves with the state from which a reload is planned. Works in slices. */
  async state(): Promise<PlanRequest> {
    const { clock } = this.#options;
    this.#plannedChange = this.#changes;
    const rules = new Packing<Rule>();
    const slice = new Slice();
    const now = clock();
    for (const service of this.director.services(now)) {
      rules.add(ruleOf(withChecks(service, this.#health, now)));
      if (slice.spent) await slice.next();
    }
    const { settings, timeouts } = this.director.summary(clock());
    const draining = this.#drains.all;
    return {
      running: rules.packed,
      snapshot: { settings, timeouts },
      commands: this.#config!.commands,
      draining,
    };
  }

  /** Carries out the plan of a reload. Works in slices. */
  async carryOut(wanted: ReadConfiguration, { commands, drains }: ReloadPlan): Promise<void> {
    const { clock, log, routes } = this.#options;
    const previous = this.#config!;
    const slice = new Slice();
    const all = await this.#health.set(unpacked(wanted.watched), clock());
    for (const command of unpacked(commands)) {
      all.push(command);
      if (slice.spent) await slice.next();
    }
    const outcomes = await this.#internalApi.apply(all);
    await logChanges(all, outcomes, 'reload', log);
    const failures = outcomes.filter((outcome) => outcome !== undefined);
    for (const { message } of failures) log('error', 'reload-command-failed', { error: message });
    this.#appliedChange = failures.length > 0 ? -1 : this.#plannedChange;
    this.#drains.set(drains, clock() + wanted.drain * 1000);
    this.#config = wanted;
    this.#drainingVips = [...this.#drainingVips, ...previous.vips];
    await this.#holdVips();
    routes.refresh();
    for (const name of wanted.interfaces) await this.#listen(name);
  }

  /** Resolves with a copy of the director's state, health checks included. Works in slices. */
  snapshot(): Promise<Snapshot> {
    return this.#internalApi.snapshot({ services: true });
  }

  /** Yields copies of the services, health checks included. Each is made when it is requested. */
  *services(): Generator<ServiceSnapshot> {
    const now = this.#options.clock();
    for (const service of this.director.services(now)) yield withChecks(service, this.#health, now);
  }

  explain(packet: Uint8Array): Explanation {
    const now = this.#options.clock();
    return explainedWithChecks(this.director.explain(packet, now), this.#health, now);
  }

  losses(): LiveLosses {
    return this.#options.io.losses();
  }

  /** Handles an event of the packet driver. */
  interfaceChanged(name: string, change: InterfaceChange): void {
    const { io, log, routes } = this.#options;
    log(change === 'back' ? 'info' : 'warning', `interface-${change}`, { interface: name });
    if (change !== 'back') return;
    routes.refresh();
    this.#host
      ?.renew(name, io.interfaces)
      .catch(({ message }: Error) => log('error', 'host-setup-failed', { interface: name, error: message }));
  }

  /** Checks routes, addresses, drains and losses. Call it once a second. */
  watch(): void {
    const { routes, log } = this.#options;
    if (routes.refresh()) {
      this.#host?.check();
      void this.#updateKernelPath(NO_CHANGE);
    }
    if (this.#drains.size > 0) void this.#drain();
    this.#checkTable();
    this.#overloads.update(this.director.context.services.all, log);
    const { captureDrops, ringDrops, truncated } = this.losses();
    const lost = captureDrops + ringDrops + truncated;
    if (lost > this.#lost) log('warning', 'packets-lost', { captureDrops, ringDrops, truncated });
    this.#lost = lost;
    const { crowded = 0 } = this.#options.offloading?.counts ?? {};
    if (crowded > this.#crowded) log('warning', 'flow-table-full', { refused: crowded - this.#crowded });
    this.#crowded = crowded;
  }

  /**
   * Reports a full connection table as a condition until a tenth of it is free, so that the condition does not flap.
   */
  #checkTable(): void {
    const { conditions } = this.#options;
    const { size, capacity } = this.director.context.table;
    this.#isTableFull = size >= (this.#isTableFull ? 0.9 : 1) * capacity;
    const text = `the connection table is full: ${capacity} entries (see --connections)`;
    const entry = { text, fields: { entries: size, capacity } };
    conditions.set('table-full', new Map(this.#isTableFull ? [['connections', entry]] : []));
  }

  /** Restores the host. */
  close(): void {
    clearInterval(this.#checking);
    this.#health[Symbol.dispose]();
    this.#host?.close();
    this.#options.offloading?.close();
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
    const { vips = [] } = this.#config ?? {};
    const own = new Set(vips.map(({ address }) => address));
    this.#drainingVips = this.#drainingVips.filter(
      ({ address }) => !own.has(address) && this.#drains.uses(address),
    );
    await this.#host?.hold(this.vips);
  }

  /** Returns the VIPs that this host should have: those of the file, and those that connections still use. */
  get vips(): readonly VipAddress[] {
    return [...(this.#config?.vips ?? []), ...this.#drainingVips];
  }

  /** The VIPs that the director added to the host. */
  get heldVips(): readonly VipAddress[] {
    return this.#host?.held ?? [];
  }

  /** Receives on an interface that neither the file nor the command line names. Throws LvsError. */
  async listenUnnamed(name: string, bufferBytes: number): Promise<void> {
    const { io } = this.#options;
    await io.listen(name, bufferBytes);
    await this.#host?.guard(io.interfaces);
  }

  /** Makes the host ignore the packets of the services that exist or are about to be added. Works in slices. */
  async #updateHost({ added, changed }: HostRequest): Promise<void> {
    const { clock, io, log } = this.#options;
    const now = clock();
    await this.#owned.add(added);
    await this.#owned.review(changed, now);
    this.#owned.expire(now);
    if (!this.#host) return;
    const change = this.#owned.takeChange();
    const { rules: marks } = this.director.context.marks;
    if (change.added.length + change.removed.length === 0 && marks === this.#marks) return;
    this.#marks = marks;
    await this.#unmatched.change(change);
    await this.#updateKernelPath(change);
    const interfaces = await this.#follow(change);
    io.reserve = this.#tunnels > 0 ? TUNNEL_HEADER_BYTES : 0;
    for (const name of interfaces) await this.#listen(name);
    try {
      await this.#host.withhold({ ...change, marks });
    } catch (error) {
      if (!(error instanceof LvsError)) throw error;
      log('error', 'guard-failed', { error: error.message });
    }
  }

  /** Counts tunnels, and resolves with the interfaces that receive replies of new NATed destinations. */
  async #follow({ added, removed }: OwnedChange): Promise<ReadonlySet<string>> {
    const { routes } = this.#options;
    const slice = new Slice();
    const interfaces = new Set<string>();
    for (const { destination } of removed) if (destination?.method === 'tunnel') this.#tunnels--;
    for (const { destination } of added) {
      if (slice.spent) await slice.next();
      if (destination?.method === 'tunnel') this.#tunnels++;
      const address = destination?.method === 'nat' ? parseAddress(destination.address) : undefined;
      const device = address && !routes.isLocal(address) && routes.route(address)?.device;
      if (device) interfaces.add(device);
    }
    return interfaces;
  }

  /** Works in slices. */
  async #updateKernelPath(change: OwnedChange): Promise<void> {
    const { offloading, log } = this.#options;
    if (!offloading || !this.#host) return;
    const slice = new Slice();
    for (const part of portionsOf(change)) {
      offloading.changeServices(part);
      if (slice.spent) await slice.next();
    }
    offloading.review();
    if (this.#marks.length > 0 && !this.#hasWarned) {
      this.#hasWarned = true;
      log('error', 'marks-not-supported', { reason: 'services by firewall mark need --datapath live' });
    }
  }

  /** Receives packets from an interface, too. */
  async #listen(name: string): Promise<void> {
    const { io, log } = this.#options;
    if (io.interfaces.includes(name)) return;
    try {
      await io.listen(name);
      await this.#host?.renew(name, io.interfaces);
      log('info', 'interface-added', { interface: name });
    } catch (error) {
      if (!(error instanceof LvsError)) throw error;
      log('error', 'interface-failed', { interface: name, error: error.message });
    }
  }
}
