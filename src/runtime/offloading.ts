/** Runs the kernel path of a director: loads its program and tables, and keeps them consistent with the director. */

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

/** Name of the device that receives upcalls of the kernel's program. */
const TAP_NAME = 'lvs-upcall';
/** Frames that may wait for the director. A flood of new connections fills only this queue. */
const QUEUE_FRAMES = 4096;
/** The maximum MTU of a tap (ETH_MAX_MTU minus the Ethernet header, Linux 5.15), bytes. No packet is longer. */
const TAP_MTU_BYTES = 65_521;
/** Time between two reads of the kernel's counters, ms: the maximum age of listed counters. */
const SWEEP_MS = 500;
/** Sweeps between two probes of the neighbors: 15 s, half of REACHABLE_TIME (RFC 4861, section 10). */
const SWEEPS_PER_PROBE = 30;
/** Maximum number of cached headers. */
const MAX_HEADERS = 65_536;
/** Maximum number of cached next hops. */
const MAX_NEXT_HOPS = 65_536;
/** Minimum time between two reads of the neighbors because one was missing, ms. */
const REREAD_MS = 50;

const HOOKS = { xdp, tc } as const;

/** The part of a next hop that depends on the interface only. */
type Link = Pick<Way, 'interfaceIndex' | 'from'>;

export interface OffloadingOptions {
  readonly hook: HookName;
  /** Size of the kernel's flow table, per IP version. */
  readonly flows: number;
  readonly routes: Routes;
  readonly clock: () => number;
  /** 32 random bits. */
  readonly seed: number;
  readonly log: Log;
}

/** The kernel path of a running director. */
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
  /** Version of the routes that the flows use. */
  #version = 0;
  /** Interfaces by name, cached until the next sweep. */
  readonly #links = new Map<string, Link | undefined>();
  /** Link-layer headers by the last word of an IPv4 neighbor's address, cached until the next sweep. */
  readonly #headers = new Map<number, Uint8Array | undefined>();
  /** Next hops by the last word of an IPv4 address, cached until the next sweep or review. */
  readonly #nextHops = new Map<number, Way>();
  /** Time at which neighbors were last read because one was missing, ms. */
  #rereadAt = 0;

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

  /** Starts to install the director's connections in the kernel. */
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
      way: (to) => this.#nextHop(to),
      ignoresDf: () => core.settings.pmtu_disc === 0,
      clock,
      report: (row, packets, octets, lastSeen, isReply) =>
        takeIntoAccount(core, row, packets, octets, lastSeen, isReply),
      failed: (error) => log('error', 'offload-failed', { error: error.message }),
    });
    core.offload.attach(this.#offload);
    this.#timer = setInterval(() => this.sweep(), SWEEP_MS);
    this.#neighbors.refresh();
  }

  /** Updates the director's counters and timers from the kernel, and the kernel's flows from routes and neighbors. */
  sweep(): void {
    this.#offload!.sweep();
    if (++this.#sweeps % SWEEPS_PER_PROBE === 0) this.#neighbors.confirm();
    this.io.renew();
    this.#attachToTap();
    this.#links.clear();
    this.#headers.clear();
    this.#nextHops.clear();
    this.#neighbors.refresh();
    this.#offload!.checkWays();
    const { version } = this.#options.routes;
    if (version === this.#version) return;
    this.#version = version;
    this.#offload!.checkEachWay();
  }

  /** Attaches the program of the tap device again if another program deleted its qdisc. */
  #attachToTap(): void {
    try {
      this.#interfaces.attach();
    } catch (error) {
      if (!(error instanceof SystemCallError)) throw error;
      this.#options.log('error', 'offload-failed', { error: `program of ${TAP_NAME}: ${error.message}` });
    }
  }

  /** Applies a change of the services to the kernel. Call `review` after the last one. */
  changeServices(change: OwnedChange): void {
    const { log, routes } = this.#options;
    try {
      this.#services.change({ ...change, own: routes.own });
    } catch (error) {
      if (!(error instanceof SystemCallError)) throw error;
      log('error', 'offload-failed', { error: `services of the kernel path: incomplete: ${error.message}` });
    }
  }

  /** Removes connections from the kernel whose destination or settings no longer let it forward them. */
  review(): void {
    const core = this.#director!.context;
    this.#nextHops.clear();
    this.#offload!.review((row) => mayForward(core, row));
  }

  /** Removes programs and tables from the kernel. */
  close(): void {
    clearInterval(this.#timer);
    this.#attachments[Symbol.dispose]();
    this.#interfaces[Symbol.dispose]();
    this.#neighbors[Symbol.dispose]();
  }

  #nextHop(to: Address): Way | undefined {
    if (!isV4(to)) return this.#findNextHop(to);
    const word = to[3]! | 0;
    const known = this.#nextHops.get(word);
    if (known) return known;
    const found = this.#findNextHop(to);
    if (found && this.#nextHops.size < MAX_NEXT_HOPS) this.#nextHops.set(word, found);
    return found;
  }

  #findNextHop(to: Address): Way | undefined {
    const route = this.#director!.context.forwarding.host.route(to);
    const hostRoute = this.#options.routes.route(to);
    if (!route || !hostRoute) return undefined;
    const link = this.#link(hostRoute.device);
    const mac = link && this.#neighbors.mac(hostRoute.hop, link.interfaceIndex);
    if (!link || !mac) {
      this.#rereadNeighbors();
      return undefined;
    }
    return { ...link, to: mac, vlan: 0, mtu: route.mtu, source: route.source };
  }

  /** Returns the header of an IPv4 packet that is handed back to the kernel; undefined: the host routes the packet. */
  header(nextHop: Address): Uint8Array | undefined {
    if (!isV4(nextHop) || !this.#director) return undefined;
    const word = nextHop[3]! | 0;
    const known = this.#headers.get(word);
    if (known || this.#headers.has(word)) return known;
    const hop = this.#nextHop(nextHop);
    const header = hop && this.#interfaces.headerOf(hop);
    if (this.#headers.size < MAX_HEADERS) this.#headers.set(word, header);
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

  /** Reads the neighbors again: the host resolves one when it forwards a packet. At most once in REREAD_MS. */
  #rereadNeighbors(): void {
    const now = this.#options.clock();
    if (now - this.#rereadAt < REREAD_MS) return;
    this.#rereadAt = now;
    this.#neighbors.refresh();
  }
}

/** Loads the program and creates the tap device. Throws LvsError UNAVAILABLE if the kernel does not support them. */
export async function openOffloading(options: OffloadingOptions): Promise<Offloading> {
  const { hook, flows, seed } = options;
  const opened: Disposable[] = [];
  try {
    const system = await loadSystem();
    const bpf = new Bpf(system);
    const tables = openKernelTables(bpf, { flows, seed });
    const services = new ServiceMap(bpf);
    const tap = new Tap(system, { name: TAP_NAME, mtu: TAP_MTU_BYTES, queue: QUEUE_FRAMES });
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
      throw new LvsError('UNAVAILABLE', `kernel path (${hook}): ${cause.message}`, { cause });
    throw cause;
  }
}

function attach(attachments: Attachments, hook: HookName, name: string, log: Log): void {
  const link = linkFacts(name);
  if (!link) throw new LvsError('NO_SUCH_DEVICE', `network interface ${name}: not found`);
  try {
    const done = attachments.attach(link.index);
    if (done === 'restored')
      log('warning', 'program-restored', {
        interface: name,
        reason: 'the program was detached, or another program deleted the qdisc that held it',
      });
  } catch (cause) {
    if (!(cause instanceof SystemCallError)) throw cause;
    throw new LvsError(
      'UNAVAILABLE',
      `network interface ${name}: cannot attach the ${hook} program: ${cause.message}`,
      { cause },
    );
  }
}
