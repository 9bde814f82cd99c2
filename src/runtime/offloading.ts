/** The kernel path of a running director: its program, its tables, and the upkeep that makes it a true copy. */

import { BoundConnection } from '../director/bound-connection.ts';
import { destinationOf } from '../director/core.ts';
import type { Director } from '../director/director.ts';
import { mayForward, takeIntoAccount } from '../director/offloaded.ts';
import { Bpf } from '../ebpf/bpf.ts';
import { VerifierError } from '../ebpf/program.ts';
import { KernelNeighbors } from '../host/kernel-neighbors.ts';
import { linkFacts } from '../host/link-facts.ts';
import type { Routes } from '../host/routes.ts';
import { Tap } from '../io/tap.ts';
import { openUpcalls, type UpcallIo } from '../io/upcalls.ts';
import { LvsError } from '../model/errors.ts';
import type { OwnedChange } from '../model/owned-packets.ts';
import { Attachments } from '../offload/attach.ts';
import { HandBack } from '../offload/hand-back-map.ts';
import { type HookName, tc, xdp } from '../offload/hooks.ts';
import { KernelOffload, type Way } from '../offload/kernel-offload.ts';
import { type KernelTables, openKernelTables } from '../offload/kernel-tables.ts';
import { forwarderCode } from '../offload/program.ts';
import { ServiceMap } from '../offload/service-map.ts';
import { gracePeriod } from '../sys/membarrier.ts';
import { loadSystem } from '../sys/system.ts';
import { SystemCallError } from '../sys/system-call-error.ts';
import { type Address, isV4 } from '../wire/address.ts';
import { parseMac } from '../wire/ethernet.ts';
import type { Log } from './log.ts';

/** Name of the device that the kernel's upcalls come by. */
const TAP = 'lvs-upcall';
/** Frames that may wait for the director. A flood of new connections fills this and nothing else. */
const QUEUE = 4096;
/** Octets, the most that a tap takes (ETH_MAX_MTU less a frame's header, Linux 5.15): nothing is too long for it. */
const TAP_MTU = 65_521;
/** ms between two looks at what the kernel forwarded: listings are true to half a second. */
const SWEEP = 500;
/** Sweeps between two questions whether neighbours are still there (about REACHABLE_TIME of RFC 4861, half). */
const CONFIRM = 30;

/** Neighbours whose headers are remembered. */
const HEADERS = 65_536;
/** Addresses whose ways are. */
const WAYS = 65_536;
/** ms between two looks for neighbours that are missing. */
const LOOK_AGAIN = 50;

const HOOKS = { xdp, tc } as const;

/** What of a way is the interface's. */
type Link = Pick<Way, 'interfaceIndex' | 'from'>;

export interface OffloadingOptions {
  readonly hook: HookName;
  /** Connections that the kernel has room for. */
  readonly flows: number;
  readonly routes: Routes;
  readonly clock: () => number;
  /** 32 random bits. */
  readonly seed: number;
  readonly log: Log;
}

export class Offloading {
  readonly io: UpcallIo;
  readonly tables: KernelTables;
  readonly #options: OffloadingOptions;
  readonly #bpf: Bpf;
  readonly #attachments: Attachments;
  readonly #services: ServiceMap;
  readonly #interfaces: HandBack;
  readonly #neighbors: KernelNeighbors;
  #offload: KernelOffload | undefined;
  #director: Director | undefined;
  #timer: NodeJS.Timeout | undefined;
  #sweeps = 0;
  /** Of the routes by which the flows go. */
  #version = 0;
  /** Interfaces by name, as they were found since the last sweep. */
  readonly #links = new Map<string, Link | undefined>();
  /** Frames' headers by the last word of an IPv4 neighbour's address, since the last sweep. */
  readonly #headers = new Map<number, Uint8Array | undefined>();
  /** Ways by the last word of an IPv4 address, since neighbours were read. */
  readonly #ways = new Map<number, Way>();
  /** When neighbours were read because one was missing, ms. */
  #asked = 0;

  /** Use `openOffloading`. */
  constructor(
    options: OffloadingOptions,
    bpf: Bpf,
    io: UpcallIo,
    tables: KernelTables,
    services: ServiceMap,
    attachments: Attachments,
    interfaces: HandBack,
  ) {
    this.#options = options;
    this.#bpf = bpf;
    this.io = io;
    this.tables = tables;
    this.#services = services;
    this.#interfaces = interfaces;
    this.#attachments = attachments;
    this.#neighbors = new KernelNeighbors(bpf.system);
  }

  get counts() {
    return this.#offload?.counts;
  }

  /** From now on the director's connections are the kernel's, too. */
  start(director: Director): void {
    const { clock, log } = this.#options;
    const core = director.context;
    const window = new BoundConnection(core.table);
    this.#director = director;
    this.#offload = new KernelOffload({
      flows: this.tables.flows,
      actions: this.tables.actions,
      grace: () => gracePeriod(this.#bpf.system),
      connection: (row) => window.select(row, destinationOf(core, row)),
      way: (to) => this.#way(to),
      ignoresDf: () => core.settings.pmtu_disc === 0,
      clock,
      report: (row, packets, octets, lastSeen, isReply) =>
        takeIntoAccount(core, row, packets, octets, lastSeen, isReply),
      failed: (error) => log('error', 'offload-failed', { error: error.message }),
    });
    core.offload.attach(this.#offload);
    this.#timer = setInterval(() => this.sweep(), SWEEP);
    this.#neighbors.refresh();
  }

  /** Counters and timers of the director are true when this returns. */
  sweep(): void {
    this.#offload!.sweep();
    if (++this.#sweeps % CONFIRM === 0) this.#neighbors.confirm();
    this.io.renew();
    this.#attachToTap();
    this.#links.clear();
    this.#headers.clear();
    this.#ways.clear();
    this.#neighbors.refresh();
    this.#offload!.checkWays();
    const { version } = this.#options.routes;
    if (version === this.#version) return;
    this.#version = version;
    this.#offload!.checkEachWay();
  }

  /** Another program may have deleted the qdisc that held the tap's program. */
  #attachToTap(): void {
    try {
      this.#interfaces.attach();
    } catch (error) {
      if (!(error instanceof SystemCallError)) throw error;
      this.#options.log('error', 'offload-failed', { error: `the tap's program: ${error.message}` });
    }
  }

  /** Follows a change of the services, and reviews the connections that the kernel forwards. */
  settle(change: OwnedChange): void {
    const { log, routes } = this.#options;
    try {
      this.#services.change({ ...change, own: routes.own });
    } catch (error) {
      if (!(error instanceof SystemCallError)) throw error;
      log('error', 'offload-failed', { error: `not all services are known to the kernel: ${error.message}` });
    }
    this.review();
  }

  /** Takes connections back whose destination or settings no longer let the kernel forward them. */
  review(): void {
    const core = this.#director!.context;
    this.#ways.clear();
    this.#offload!.review((row) => mayForward(core, row));
  }

  /** Nothing of ours stays in the kernel. */
  close(): void {
    clearInterval(this.#timer);
    this.#attachments[Symbol.dispose]();
    this.#interfaces[Symbol.dispose]();
    this.#neighbors[Symbol.dispose]();
  }

  #way(to: Address): Way | undefined {
    if (!isV4(to)) return this.#findWay(to);
    const word = to[3]! | 0;
    const known = this.#ways.get(word);
    if (known) return known;
    const way = this.#findWay(to);
    if (way && this.#ways.size < WAYS) this.#ways.set(word, way);
    return way;
  }

  #findWay(to: Address): Way | undefined {
    const route = this.#director!.context.forwarding.host.route(to);
    const towards = this.#options.routes.route(to);
    if (!route || !towards) return undefined;
    const link = this.#link(towards.device);
    const mac = link && this.#neighbors.mac(towards.hop, link.interfaceIndex);
    if (!link || !mac) {
      this.#lookAgain();
      return undefined;
    }
    return { ...link, to: mac, vlan: 0, mtu: route.mtu, source: route.source };
  }

  /** What goes before an IPv4 packet that is handed back to the kernel; other packets take the host's own way. */
  header(nextHop: Address): Uint8Array | undefined {
    if (!isV4(nextHop) || !this.#director) return undefined;
    const word = nextHop[3]! | 0;
    const known = this.#headers.get(word);
    if (known || this.#headers.has(word)) return known;
    const way = this.#way(nextHop);
    const header = way && this.#interfaces.headerOf(way);
    if (this.#headers.size < HEADERS) this.#headers.set(word, header);
    return header;
  }

  #link(name: string): Link | undefined {
    if (!this.#links.has(name)) {
      const facts = linkFacts(name);
      const from = facts && parseMac(facts.mac);
      this.#links.set(name, from && { interfaceIndex: facts.index, from });
    }
    return this.#links.get(name);
  }

  /** The packet that was forwarded without the kernel path made the host find out; not for each of a flood. */
  #lookAgain(): void {
    const now = this.#options.clock();
    if (now - this.#asked < LOOK_AGAIN) return;
    this.#asked = now;
    this.#neighbors.refresh();
  }
}

/** Loads the program, makes the tap. Throws LvsError where that is not possible. */
export async function openOffloading(options: OffloadingOptions): Promise<Offloading> {
  const { hook, flows, seed } = options;
  const opened: Disposable[] = [];
  try {
    const system = await loadSystem();
    const bpf = new Bpf(system);
    const tables = openKernelTables(bpf, { flows, seed });
    const services = new ServiceMap(bpf);
    const tap = new Tap(system, { name: TAP, mtu: TAP_MTU, queue: QUEUE });
    opened.push(tap);
    const upcall = { interfaceIndex: tap.device.index, services: services.descriptor };
    const code = forwarderCode({ hook: HOOKS[hook], tables: tables.tables, upcall });
    const attachments = new Attachments(bpf, { hook, role: 'director', code });
    opened.push(attachments);
    const interfaces = new HandBack(bpf, HOOKS[hook], tap.device.index);
    opened.push(interfaces);
    interfaces.attach();
    const io: UpcallIo = await openUpcalls({
      tap,
      attach: (name) => attach(attachments, hook, name, options.log),
      header: (nextHop) => offloading.header(nextHop),
    });
    const offloading = new Offloading(options, bpf, io, tables, services, attachments, interfaces);
    return offloading;
  } catch (cause) {
    for (const each of opened.toReversed()) each[Symbol.dispose]();
    if (cause instanceof VerifierError || cause instanceof SystemCallError)
      throw new LvsError('UNAVAILABLE', `the kernel path (${hook}): ${cause.message}`, { cause });
    throw cause;
  }
}

function attach(attachments: Attachments, hook: HookName, name: string, log: Log): void {
  const link = linkFacts(name);
  if (!link) throw new LvsError('NO_SUCH_DEVICE', `there is no interface ${name}`);
  try {
    const done = attachments.attach(link.index);
    if (done === 'restored')
      log('warning', 'program-restored', {
        interface: name,
        reason: 'the program was detached, or another program deleted the qdisc that held it',
      });
  } catch (cause) {
    if (!(cause instanceof SystemCallError)) throw cause;
    throw new LvsError('UNAVAILABLE', `${hook} at ${name}: ${cause.message}`, { cause });
  }
}
