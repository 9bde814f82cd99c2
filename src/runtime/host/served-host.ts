/** Makes the host follow the director's services: guard, kernel path, interfaces, VIPs, and packets of no service. */

import type { Director } from '../../director/director.ts';
import { interfaceAddresses } from '../../host/interface-addresses.ts';
import type { Routes } from '../../host/routes.ts';
import type { VipAddress } from '../../host/vip-addresses.ts';
import type { HostIo } from '../../io/host-io.ts';
import type { MarkRule } from '../../model/command.ts';
import { LvsError } from '../../model/errors.ts';
import { NO_CHANGE, type OwnedChange, portionsOf } from '../../model/owned-packets.ts';
import { Slice } from '../../model/slice.ts';
import type { System } from '../../sys/system.ts';
import { parseAddress } from '../../wire/address.ts';
import type { Frame } from '../../wire/frame.ts';
import type { Offloading } from '../kernel/offloading.ts';
import type { Log } from '../log.ts';
import { OwnedPackets, runningServices } from '../restart/owned-packets.ts';
import { GuardUpdates, type HostRequest } from './guard-update.ts';
import { type HostSetup, setUpHost } from './host-setup.ts';
import { UnmatchedPackets } from './unmatched-packets.ts';

/** Bytes of the longest tunnel header: IPv6 (RFC 8200) and GUE with a private field, or GRE with a checksum. */
const TUNNEL_HEADER_BYTES = 60;
/** ms after the start, or after a VIP arrived, in which the host resets no unknown connection. */
const GRACE_MS = 5000;

/** An event of an interface: see io/live.ts. */
export type InterfaceChange = 'deleted' | 'back' | 'polling';

export interface ServedHostOptions {
  readonly io: HostIo;
  /** The kernel path, if one is used. */
  readonly offloading?: Offloading;
  readonly routes: Routes;
  readonly clock: () => number;
  readonly log: Log;
  /** Undefined where system calls are not available. */
  readonly system: System | undefined;
  /** The interfaces of the file or the command line. */
  readonly named: readonly string[];
  /** Called, and awaited, before VIPs are added. */
  readonly beforeHold: (vips: readonly VipAddress[]) => Promise<void>;
  /** Called when a VIP has left this host: another host may have it now. */
  readonly vipLeft?: () => void;
}

export class ServedHost {
  /** Requests for updates of the host: a command has taken effect when the host respects it, too. */
  readonly updates = new GuardUpdates((request) => this.#update(request));
  /** Handles packets that match no service. */
  readonly handleUnmatched: (frame: Frame) => void;
  readonly #director: Director;
  readonly #options: ServedHostOptions;
  readonly #unmatched: UnmatchedPackets;
  readonly #owned: OwnedPackets;
  #setup: HostSetup | undefined;
  /** Mark rules that the host respects. */
  #marks: readonly MarkRule[] = [];
  /** Number of destinations that are reached by a tunnel. */
  #tunnels = 0;
  /** When the grace period ends, ms; undefined: it has ended. */
  #graceEnd: number | undefined;
  /** Addresses of this host. */
  #local: ReadonlySet<string> = new Set();

  constructor(director: Director, options: ServedHostOptions) {
    this.#director = director;
    this.#options = options;
    this.#owned = new OwnedPackets(runningServices(director));
    const { marks, forwarding } = director.context;
    this.#unmatched = new UnmatchedPackets(forwarding, options.io.exclusive, (packet) => marks.of(packet));
    this.handleUnmatched = this.#unmatched.handle;
  }

  /** Installs guard and VIPs, in this order: the host never refuses a client of a service. `folder`: of records. */
  async start(vips: readonly VipAddress[], folder: string): Promise<void> {
    const { io, log, offloading, named, beforeHold, system } = this.#options;
    this.#setup = await setUpHost({
      interfaces: io.interfaces,
      named,
      beforeHold,
      folder,
      log,
      system,
      merged: offloading !== undefined,
    });
    await this.updates.request();
    await this.#setup.hold(vips);
    await this.#setup.takeOver();
    this.refresh();
    this.beginGrace();
  }

  /** Begins the grace period, or begins it again: until its end, the host resets no unknown connection. */
  beginGrace(): void {
    this.#unmatched.beginGrace();
    this.#graceEnd = this.#options.clock() + GRACE_MS;
  }

  /**
   * Reads routes and addresses again; returns true if something changed. A VIP that has arrived may have been another
   * host's, whose connections this director may not know, and the reverse.
   */
  refresh(): boolean {
    if (!this.#options.routes.refresh()) return false;
    const local = new Set(interfaceAddresses().map(({ address }) => address));
    const before = this.#local;
    this.#local = local;
    if (this.#hasMoreVips(local, before)) this.beginGrace();
    if (this.#hasMoreVips(before, local)) this.#options.vipLeft?.();
    return true;
  }

  /** Reports whether some addresses have a VIP of a service that others lack. */
  #hasMoreVips(some: ReadonlySet<string>, others: ReadonlySet<string>): boolean {
    return [...some].some((address) => !others.has(address) && this.#unmatched.serves(parseAddress(address)));
  }

  /** Adds VIPs that are missing, and removes others. Throws LvsError. */
  async hold(vips: readonly VipAddress[]): Promise<void> {
    await this.#setup?.hold(vips);
  }

  /** The VIPs that the director added to the host. */
  get heldVips(): readonly VipAddress[] {
    return this.#setup?.held ?? [];
  }

  /** Handles an event of the packet driver. */
  interfaceChanged(name: string, change: InterfaceChange): void {
    const { io, log } = this.#options;
    log(change === 'back' ? 'info' : 'warning', `interface-${change}`, { interface: name });
    if (change !== 'back') return;
    this.refresh();
    this.#setup
      ?.renew(name, io.interfaces)
      .catch(({ message }: Error) => log('error', 'host-setup-failed', { interface: name, error: message }));
  }

  /** Checks routes and addresses, and ends the grace period. Call it once a second. */
  check(): void {
    if (this.#graceEnd !== undefined && this.#options.clock() >= this.#graceEnd) {
      this.#graceEnd = undefined;
      const packets = this.#unmatched.endGrace();
      if (packets > 0)
        this.#options.log('info', 'unknown-connections-dropped', {
          packets,
          reason: 'they may be connections of another director',
        });
    }
    if (!this.refresh()) return;
    this.#setup?.check();
    void this.#updateKernelPath(NO_CHANGE);
  }

  /** Receives packets from an interface, too, unless that fails, which is logged. */
  async listen(name: string): Promise<void> {
    const { io, log } = this.#options;
    if (io.interfaces.includes(name)) return;
    try {
      await io.listen(name);
      await this.#setup?.renew(name, io.interfaces);
      log('info', 'interface-added', { interface: name });
    } catch (error) {
      if (!(error instanceof LvsError)) throw error;
      log('error', 'interface-failed', { interface: name, error: error.message });
    }
  }

  /** Receives on an interface that neither the file nor the command line names. Throws LvsError. */
  async listenUnnamed(name: string, bufferBytes: number): Promise<void> {
    const { io } = this.#options;
    await io.listen(name, bufferBytes);
    await this.#setup?.guard(io.interfaces);
  }

  /** Restores the host. */
  close(): void {
    this.#setup?.close();
  }

  /** Makes the host ignore the packets of the services that exist or are about to be added. Works in slices. */
  async #update({ added, changed }: HostRequest): Promise<void> {
    const { clock, io, log } = this.#options;
    const now = clock();
    await this.#owned.add(added);
    await this.#owned.review(changed, now);
    this.#owned.expire(now);
    if (!this.#setup) return;
    const change = this.#owned.takeChange();
    const { rules: marks } = this.#director.context.marks;
    if (change.added.length + change.removed.length === 0 && marks === this.#marks) return;
    this.#marks = marks;
    await this.#unmatched.change(change);
    await this.#updateKernelPath(change);
    const interfaces = await this.#follow(change);
    io.reserve = this.#tunnels > 0 ? TUNNEL_HEADER_BYTES : 0;
    for (const name of interfaces) await this.listen(name);
    try {
      await this.#setup.withhold({ ...change, marks });
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
    const { offloading } = this.#options;
    if (!offloading || !this.#setup) return;
    const slice = new Slice();
    for (const part of portionsOf(change)) {
      offloading.changeServices(part);
      if (slice.spent) await slice.next();
    }
    await offloading.review();
  }
}
