/** Watches the network around a running director: VIPs of other hosts, interfaces, refused packets, other directors. */

import type { Director } from '../../director/director.ts';
import { serviceAddress } from '../../director/service-address.ts';
import { type ReceivingInterface, receivingInterfaces } from '../../host/link-facts.ts';
import { OtherDirectors } from '../../host/other-directors.ts';
import { outputDrops } from '../../host/output-policy.ts';
import type { Routes } from '../../host/routes.ts';
import type { VipAddress } from '../../host/vip-addresses.ts';
import { type VipConflict, VipWatch, type WatchedVip } from '../../host/vip-watch.ts';
import type { HostIo } from '../../io/host-io.ts';
import { LvsError } from '../../model/errors.ts';
import { formatService } from '../../model/naming.ts';
import type { VirtualService } from '../../model/service.ts';
import type { System } from '../../sys/system.ts';
import { formatAddress, parseAddress } from '../../wire/address.ts';
import type { Conditions } from '../conditions.ts';
import type { Fields, Log } from '../log.ts';

/** The error for a packet that an output chain of the packet filter dropped: EPERM. */
const REFUSED = 'Operation not permitted';
/** Time after the last refusal at which the condition ends, ms. */
const REFUSAL_LIFETIME_MS = 30_000;
/** Buffer of a capture on an interface that the file does not name, bytes. */
const UNNAMED_BUFFER_BYTES = 2 * 1024 * 1024;
/** Maximum number of interfaces, counting those that the file does not name; each takes memory. */
const MAX_UNNAMED_INTERFACES = 32;
/** Time between two reads of the interfaces, ms. A read takes about 25 microseconds per interface. */
const READ_INTERVAL_MS = 5000;
/** The device of the kernel path, which receives no packets from the network. */
const UPCALL_DEVICE = 'lvs-upcall';

export interface NetworkWatchOptions {
  /** Undefined where system calls are not available: VIPs are neither announced nor probed then. */
  readonly system: System | undefined;
  readonly routes: Routes;
  readonly io: HostIo;
  readonly conditions: Conditions;
  readonly log: Log;
  readonly clock: () => number;
  /** True if the interfaces were selected with --interface: no others are added. */
  readonly areInterfacesFixed: boolean;
  /** Receives packets on another interface, too. Throws LvsError. */
  readonly listen: (name: string, bufferBytes: number) => Promise<void>;
  /** The VIPs of the file. */
  readonly vips: () => readonly VipAddress[];
  /** The VIPs among them that this director added. */
  readonly held: () => readonly VipAddress[];
  /** Addresses and names of the services. */
  readonly services: () => { readonly addresses: ReadonlySet<string>; readonly names: readonly string[] };
}

/** Announces VIPs, and reports conflicts and packets that do not reach the director or its clients. */
export class NetworkWatch implements Disposable {
  readonly #options: NetworkWatchOptions;
  readonly #vipWatch: VipWatch | undefined;
  readonly #others: OtherDirectors;
  /** Failures to receive on an interface, by its name. */
  readonly #failures = new Map<string, string>();
  #refused = 0;
  #refusedAt = Number.NEGATIVE_INFINITY;
  #filter: Promise<string> = Promise.resolve('');
  #isListening = false;
  #receiving: readonly ReceivingInterface[] = [];
  /** When the interfaces were read, ms, and the version of the routes then. */
  #readAt = Number.NEGATIVE_INFINITY;
  #version = -1;
  /** Addresses of services, those of them that this host has, and the version of the routes then. */
  #served: ReadonlySet<string> | undefined;
  #servedHere: VipAddress[] = [];
  /** Interfaces that have the addresses of services, as of that version. */
  #devices = new Map<string, string | undefined>();
  #servedVersion = -1;

  constructor(options: NetworkWatchOptions) {
    const { system, clock, log } = options;
    this.#options = options;
    this.#vipWatch = system && new VipWatch(system, clock);
    if (!system)
      log('warning', 'vips-not-announced', {
        reason: 'the package koffi is not installed, or its build failed',
      });
    this.#others = new OtherDirectors(() => options.services().names);
  }

  /** Number of announcements of VIPs since the start. */
  get announcements(): number {
    return this.#vipWatch?.announcements ?? 0;
  }

  /** Receives on the interfaces that neither file nor command line name. Failures are reported as a condition. */
  async openInterfaces(): Promise<void> {
    const { io, areInterfacesFixed, log } = this.#options;
    if (areInterfacesFixed) return;
    for (const { name, isEthernet } of this.#interfaces()) {
      if (!isEthernet || io.interfaces.includes(name) || io.interfaces.length >= MAX_UNNAMED_INTERFACES)
        continue;
      try {
        await io.listen(name, UNNAMED_BUFFER_BYTES);
        log('info', 'interface-added', { interface: name });
      } catch (error) {
        if (!(error instanceof LvsError)) throw error;
        this.#failures.set(name, error.message);
      }
    }
  }

  /** Probes the VIPs that this host does not have yet; resolves after 200 ms at most. Call it before adding them. */
  async probe(vips: readonly VipAddress[]): Promise<void> {
    const { routes } = this.#options;
    const missing = vips.filter(({ address }) => !isLocal(routes, address));
    const conflicts = (await this.#vipWatch?.probe(this.#watched(missing, false))) ?? [];
    if (conflicts.length > 0) this.#report(conflicts);
  }

  /** Returns the interfaces that can receive packets; reads them again when addresses changed, or after 5 s. */
  #interfaces(): readonly ReceivingInterface[] {
    const { routes, clock } = this.#options;
    if (this.#version !== routes.version || clock() - this.#readAt >= READ_INTERVAL_MS) {
      this.#receiving = receivingInterfaces([UPCALL_DEVICE]);
      this.#version = routes.version;
      this.#readAt = clock();
    }
    return this.#receiving;
  }

  /**
   * Announces new VIPs, receives on new interfaces and updates the conditions. Call it after VIPs were added, and
   * once a second.
   */
  update(): void {
    this.#vipWatch?.update(this.#allVips());
    this.#report([]);
    this.#checkSending();
    this.#checkOthers();
    this.#checkInterfaces();
  }

  [Symbol.dispose](): void {
    this.#vipWatch?.[Symbol.dispose]();
    this.#others[Symbol.dispose]();
  }

  /** Returns the VIPs of the file, and the service addresses that another program added to this host. */
  #allVips(): WatchedVip[] {
    const { vips, held, services } = this.#options;
    const own = new Set(held().map(({ address }) => address));
    const named = this.#watched(
      vips().filter(({ address }) => own.has(address)),
      false,
    );
    const known = new Set(vips().map(({ address }) => address));
    const permanent = vips().filter(({ address }) => !own.has(address));
    const others = this.#ownServiceAddresses(services().addresses).filter(
      ({ address }) => !known.has(address),
    );
    return [...named, ...this.#watched([...permanent, ...others], true)];
  }

  /** Returns those addresses that this host has. They are looked up again when they or the host's have changed. */
  #ownServiceAddresses(addresses: ReadonlySet<string>): readonly VipAddress[] {
    const { routes } = this.#options;
    if (addresses === this.#served && routes.version === this.#servedVersion) return this.#servedHere;
    if (routes.version !== this.#servedVersion) this.#devices = new Map();
    this.#served = addresses;
    this.#servedVersion = routes.version;
    const before = this.#devices;
    this.#devices = new Map();
    this.#servedHere = [];
    for (const address of addresses) {
      const device = before.has(address) ? before.get(address) : routes.deviceOf(address);
      this.#devices.set(address, device);
      if (device !== undefined) this.#servedHere.push({ address, device });
    }
    return this.#servedHere;
  }

  #watched(vips: readonly VipAddress[], isPermanent: boolean): WatchedVip[] {
    const ethernet = this.#interfaces().filter(({ isEthernet }) => isEthernet);
    return vips.flatMap(({ address, device, isShared = false }) => {
      // Hosts reach a VIP on the loopback or a dummy device through the interface of its network.
      const link =
        ethernet.find(({ name }) => name === device)?.name ?? this.#options.routes.networkOf(address);
      return link === undefined ? [] : [{ address, device: link, isShared, isPermanent }];
    });
  }

  #report(found: readonly VipConflict[]): void {
    const conflicts = [...(this.#vipWatch?.conflicts ?? []), ...found];
    this.#options.conditions.set(
      'vip-conflict',
      new Map(
        conflicts.map(({ address, device, mac }) => [
          `${address} ${mac}`,
          {
            text: `another host (${mac}) answers for the VIP ${address} on ${device}`,
            fields: { vip: address, interface: device, mac },
          },
        ]),
      ),
    );
  }

  /** Reports packets that the host's packet filter refused to send. */
  #checkSending(): void {
    const { io, clock, conditions, log } = this.#options;
    const refused = io.losses().sendFailures[REFUSED] ?? 0;
    if (refused > this.#refused) {
      if (clock() - this.#refusedAt > REFUSAL_LIFETIME_MS)
        this.#filter = outputDrops().then((chains) => {
          const reason = chains.length > 0 ? chains.join(', ') : 'a rule or policy of an output chain';
          log('error', 'packets-refused', { packets: refused - this.#refused, reason });
          return reason;
        });
      this.#refusedAt = clock();
      void this.#filter.then((reason) => this.#reportRefusal(reason));
    } else if (clock() - this.#refusedAt > REFUSAL_LIFETIME_MS) conditions.set('send-refused', new Map());
    this.#refused = refused;
  }

  #reportRefusal(reason: string): void {
    const text = `the host's packet filter drops packets that the director sends (${reason})`;
    this.#options.conditions.set('send-refused', new Map([['output', { text, fields: { reason } }]]));
  }

  #checkOthers(): void {
    const { conditions } = this.#options;
    conditions.set(
      'other-director',
      new Map(
        this.#others.look().map(({ pid, services }) => [
          String(pid),
          {
            text: `the director with process id ${pid} on this host serves ${services[0]}${services.length > 1 ? ` and ${services.length - 1} more` : ''}, too`,
            fields: { pid, services: services.slice(0, 10).join(',') },
          },
        ]),
      ),
    );
  }

  /** Receives on every interface that can receive packets for a VIP, and reports the others as conditions. */
  #checkInterfaces(): void {
    const { io, areInterfacesFixed, listen, log, conditions, routes } = this.#options;
    const missing = this.#interfaces().filter(({ name }) => !io.interfaces.includes(name));
    const reports = new Map<string, { readonly text: string; readonly fields: Fields }>();
    const report = (name: string, reason: string) =>
      reports.set(name, {
        text: `packets that arrive at ${name} do not reach the director: ${reason}`,
        fields: { interface: name, reason },
      });
    for (const { name, isEthernet } of missing)
      if (!isEthernet) {
        if (routes.isDefault(name)) report(name, 'not an Ethernet interface');
      } else if (areInterfacesFixed) report(name, 'not named by --interface');
      else if (io.interfaces.length >= MAX_UNNAMED_INTERFACES)
        report(name, `the limit of ${MAX_UNNAMED_INTERFACES} interfaces is reached`);
      else if (this.#failures.has(name)) report(name, this.#failures.get(name)!);
    conditions.set('interface-ignored', reports);
    if (areInterfacesFixed || this.#isListening) return;
    const next = missing.find(({ name, isEthernet }) => isEthernet && !this.#failures.has(name));
    if (!next || io.interfaces.length >= MAX_UNNAMED_INTERFACES) return;
    this.#isListening = true;
    listen(next.name, UNNAMED_BUFFER_BYTES)
      .then(
        () => log('info', 'interface-added', { interface: next.name }),
        (error: Error) => this.#failures.set(next.name, error.message),
      )
      .finally(() => {
        this.#isListening = false;
      });
  }
}

/** The services of a director that has not started. */
export const NOTHING_SERVED: ReturnType<NetworkWatchOptions['services']> = {
  addresses: new Set(),
  names: [],
};

/** Returns a function that returns the addresses and names of a director's services: the same objects until they change. */
export function servedBy({ context }: Director): NetworkWatchOptions['services'] {
  let revision = -1;
  let served = NOTHING_SERVED;
  /** Each service is formatted once, because there may be thousands when one is added. */
  const known = new WeakMap<
    VirtualService,
    { readonly name: string; readonly address: string | undefined }
  >();
  const textsOf = (service: VirtualService) => {
    const texts = known.get(service);
    if (texts) return texts;
    const named = serviceAddress(service, formatAddress);
    const made = { name: formatService(named), address: 'address' in named ? named.address : undefined };
    known.set(service, made);
    return made;
  };
  return () => {
    if (revision === context.services.revision) return served;
    revision = context.services.revision;
    const addresses = new Set<string>();
    const names: string[] = [];
    for (const service of context.services.all) {
      const { name, address } = textsOf(service);
      names.push(name);
      if (address !== undefined) addresses.add(address);
    }
    served = { addresses, names };
    return served;
  };
}

function isLocal(routes: Routes, text: string): boolean {
  const address = parseAddress(text);
  return address !== undefined && routes.isLocal(address);
}
