/** A director on a live host: commands reach both, and what the host does meanwhile is noticed. */

import type { Watch } from '../checks/watch.ts';
import type { Drain } from '../config/reload/reconcile.ts';
import type { DirectorDoor, Reloaded } from '../control/director-api.ts';
import { Director } from '../director/director.ts';
import type { Guarded } from '../host/guard-script.ts';
import type { Routes } from '../host/routes.ts';
import type { SourceValidator } from '../host/source-validation.ts';
import { checkVips, type VipAddress } from '../host/vip-addresses.ts';
import type { HostIo } from '../io/host-io.ts';
import type { LiveLosses } from '../io/live.ts';
import { LvsError } from '../model/errors.ts';
import type { Explanation } from '../model/explanation.ts';
import type { ServiceSnapshot, Snapshot } from '../model/snapshot.ts';
import { parseAddress } from '../wire/address.ts';
import type { Frame } from '../wire/frame.ts';
import { Overloads, tellChanges } from './changes.ts';
import type { Configured } from './configuration.ts';
import { Drains } from './drains.ts';
import { guardedDoor } from './guard-update.ts';
import { explainedWithChecks, healthWatch, watchedDoor, watchedOf, withChecks } from './health.ts';
import { type HostSetUp, setUpHost } from './host-setup.ts';
import { liveHost } from './live-host.ts';
import { localDoor } from './local-director.ts';
import type { Log } from './log.ts';
import type { Offloading } from './offloading.ts';
import { keptServices } from './owned-packets.ts';
import { unforeseeable } from './random.ts';
import { reloadCommands } from './reload.ts';
import { PassedPackets } from './unmatched-packets.ts';

/** Octets that the longest tunnel header adds: IPv6 (RFC 8200) and GUE with a private field, or GRE with a checksum. */
const TUNNEL_HEADERS = 60;

/** ms between two looks for health checks that are due. */
const LOOK = 100;

export interface RunningDirectorOptions {
  readonly io: HostIo;
  /** The kernel path, where there is one. */
  readonly offloading?: Offloading;
  readonly routes: Routes;
  readonly sources: SourceValidator;
  readonly clock: () => number;
  readonly log: Log;
  /** Most connections at a time. */
  readonly connections: number;
  /** The interfaces of the file or the command line. */
  readonly named: readonly string[];
  /** Called, and awaited, before VIPs are added. */
  readonly beforeHold: (vips: readonly VipAddress[]) => Promise<void>;
}

export class RunningDirector {
  readonly director: Director;
  readonly door: DirectorDoor;
  readonly passed: (frame: Frame) => void;
  readonly #options: RunningDirectorOptions;
  readonly #passed: PassedPackets;
  readonly #kept = keptServices();
  readonly #drains = new Drains();
  readonly #overloads = new Overloads();
  readonly #health: Watch;
  #looking: NodeJS.Timeout | undefined;
  #host: HostSetUp | undefined;
  #guarded: Guarded | undefined;
  #warned = false;
  #crowded = 0;
  #config: Configured | undefined;
  #lost = 0;
  /** VIPs that the file no longer has, and that are still in use. */
  #leaving: readonly VipAddress[] = [];
  #reloading: Promise<unknown> = Promise.resolve();

  constructor(options: RunningDirectorOptions) {
    const { io, routes, clock, connections } = options;
    this.#options = options;
    this.director = new Director({
      host: liveHost(io, routes, options.sources),
      random: unforeseeable,
      maxConnections: connections,
    });
    options.offloading?.start(this.director);
    const { marks, forwarding } = this.director.context;
    this.#passed = new PassedPackets(forwarding, io.exclusive, (packet) => marks.of(packet));
    this.passed = this.#passed.handle;
    const door = localDoor(this.director, { now: clock });
    this.#health = healthWatch({ door, log: options.log });
    this.door = watchedDoor(
      guardedDoor(door, () => this.#settle()),
      this.#health,
      clock,
    );
  }

  /** Services first, then what keeps the kernel from them, then the VIPs: clients never meet the kernel's refusal. */
  async start(config: Configured, folder: string): Promise<void> {
    const { clock, io, log, offloading, routes, named, beforeHold } = this.#options;
    this.#health.set(watchedOf(config.document), clock());
    for (const command of this.#health.adjust(config.commands, clock()))
      this.director.apply(command, clock());
    this.#config = config;
    this.#host = await setUpHost({
      interfaces: io.interfaces,
      named,
      beforeHold,
      folder,
      log,
      merged: offloading !== undefined,
    });
    await this.#settle();
    await this.#host.hold(config.vips);
    routes.refresh();
    this.#looking = setInterval(() => this.#health.tick(clock()), LOOK);
  }

  /** The configuration that was applied last. */
  get config(): Configured | undefined {
    return this.#config;
  }

  /** One reload at a time. Throws LvsError, and changes nothing, where it cannot be done. */
  reload(wanted: Configured): Promise<Omit<Reloaded, 'warnings'>> {
    const work = this.#reloading.catch(() => {}).then(() => this.#reload(wanted));
    this.#reloading = work;
    return work;
  }

  async #reload(wanted: Configured): Promise<Omit<Reloaded, 'warnings'>> {
    const { clock, log, routes } = this.#options;
    const previous = this.#config!;
    checkVips(wanted.vips);
    const { commands, drains, byHand } = reloadCommands(this.snapshot(), wanted.document, {
      commands: previous.commands,
      draining: this.#drains.all,
    });
    for (const what of byHand) log('warning', 'by-hand', { what, adopt: wanted.document.adopt });
    const released = this.#health.set(watchedOf(wanted.document), clock());
    const all = [...released, ...commands];
    const outcomes = await this.door.apply(all);
    tellChanges(all, outcomes, 'reload', log);
    for (const outcome of outcomes) if (outcome) log('error', 'reload', { why: outcome.message });
    this.#drains.set(drains, clock() + wanted.document.drain * 1000);
    this.#config = wanted;
    this.#leaving = [...this.#leaving, ...previous.vips];
    await this.#holdVips();
    routes.refresh();
    for (const name of wanted.interfaces) await this.#listen(name);
    log('info', 'reloaded', { commands: commands.length, draining: drains.length });
    return { commands: commands.length, draining: drains.length, byHand };
  }

  /** What goes when its connections have ended. */
  get draining(): readonly Drain[] {
    return this.#drains.all;
  }

  snapshot(): Snapshot {
    const now = this.#options.clock();
    const snapshot = this.director.snapshot(now);
    return { ...snapshot, services: withChecks(snapshot.services, this.#health, now) };
  }

  explain(octets: Uint8Array): Explanation {
    const now = this.#options.clock();
    return explainedWithChecks(this.director.explain(octets, now), this.#health, now);
  }

  losses(): LiveLosses {
    return this.#options.io.losses();
  }

  interfaceChanged(name: string, what: 'deleted' | 'back' | 'polling'): void {
    const { io, log, routes } = this.#options;
    log('warning', `interface-${what}`, { interface: name });
    if (what !== 'back') return;
    routes.refresh();
    this.#host
      ?.renew(name, io.interfaces)
      .catch((error: Error) => log('error', 'host', { why: error.message }));
  }

  /** To be called every second or so. */
  watch(): void {
    const { routes, log } = this.#options;
    if (routes.refresh()) {
      this.#host?.check();
      this.#keep();
    }
    if (this.#drains.size > 0) void this.#drain();
    this.#overloads.look(this.director.context.services.all, log);
    const { captureDrops, ringDrops, truncated } = this.losses();
    const lost = captureDrops + ringDrops + truncated;
    if (lost > this.#lost) log('warning', 'packets-lost', { captureDrops, ringDrops, truncated });
    this.#lost = lost;
    const { crowded = 0 } = this.#options.offloading?.counts ?? {};
    if (crowded > this.#crowded) log('warning', 'offload-full', { refused: crowded - this.#crowded });
    this.#crowded = crowded;
  }

  /** Gives the host back what was taken. */
  close(): void {
    clearInterval(this.#looking);
    this.#health[Symbol.dispose]();
    this.#host?.close();
    this.#options.offloading?.close();
  }

  async #drain(): Promise<void> {
    const commands = this.#drains.due(this.snapshot().services, this.#options.clock());
    if (commands.length === 0) return;
    const { log } = this.#options;
    tellChanges(commands, await this.door.apply(commands), 'drained', log);
    try {
      await this.#holdVips();
    } catch (error) {
      // An interface is away: its VIPs are set again with the next renewal.
      if (!(error instanceof LvsError)) throw error;
      log('error', 'vips', { why: error.message });
    }
  }

  /** Those of the file, and those that it no longer has while connections through them end. */
  async #holdVips(): Promise<void> {
    const { vips = [] } = this.#config ?? {};
    const own = new Set(vips.map(({ address }) => address));
    this.#leaving = this.#leaving.filter(({ address }) => !own.has(address) && this.#drains.uses(address));
    await this.#host?.hold(this.vips);
  }

  /** The VIPs that this host is to have: those of the file, and those that connections still use. */
  get vips(): readonly VipAddress[] {
    return [...(this.#config?.vips ?? []), ...this.#leaving];
  }

  /** The VIPs that the director added to the host. */
  get heldVips(): readonly VipAddress[] {
    return this.#host?.held ?? [];
  }

  /** Receives on an interface that neither file nor command line name. Throws LvsError. */
  async listenUnnamed(name: string, bufferBytes: number): Promise<void> {
    const { io } = this.#options;
    await io.listen(name, bufferBytes);
    await this.#host?.guard(io.interfaces);
  }

  /** The host keeps off what the director has now. */
  async #settle(): Promise<void> {
    const { clock, io, log, routes } = this.#options;
    const { services } = this.snapshot();
    const guarded = this.#kept.update(services, this.director.context.marks.rules, clock());
    this.#guarded = guarded;
    this.#passed.keep(guarded);
    this.#keep();
    const tunnels = services.some(({ destinations }) =>
      destinations.some(({ method }) => method === 'tunnel'),
    );
    io.reserve = tunnels ? TUNNEL_HEADERS : 0;
    for (const name of replyInterfaces(services, routes)) await this.#listen(name);
    try {
      await this.#host?.keep(guarded);
    } catch (error) {
      if (!(error instanceof LvsError)) throw error;
      log('error', 'guard', { why: error.message });
    }
  }

  /** The kernel path hands the director's packets up, and those to the host itself on. */
  #keep(): void {
    const { offloading, log } = this.#options;
    if (!offloading || !this.#guarded) return;
    offloading.settle(this.#guarded.services);
    if (this.#guarded.marks.length > 0 && !this.#warned) {
      this.#warned = true;
      log('error', 'offload', { why: 'services by firewall mark need --datapath live' });
    }
  }

  /** Packets that come in by this interface are heard from now on. */
  async #listen(name: string): Promise<void> {
    const { io, log } = this.#options;
    if (io.interfaces.includes(name)) return;
    try {
      await io.listen(name);
      await this.#host?.renew(name, io.interfaces);
      log('info', 'interface-new', { interface: name });
    } catch (error) {
      if (!(error instanceof LvsError)) throw error;
      log('error', 'interface-new', { interface: name, why: error.message });
    }
  }
}

/** Where translated destinations answer. */
function replyInterfaces(services: readonly ServiceSnapshot[], routes: Routes): ReadonlySet<string> {
  const names = new Set<string>();
  for (const { destinations } of services)
    for (const { method, address: text } of destinations) {
      const address = method === 'nat' ? parseAddress(text) : undefined;
      const device = address && !routes.isLocal(address) && routes.route(address)?.device;
      if (device) names.add(device);
    }
  return names;
}
