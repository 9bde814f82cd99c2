import type { Director } from '../../director/director.ts';
import type { Bpf } from '../../ebpf/bpf.ts';
import type { BpfMap } from '../../ebpf/map.ts';
import { VerifierError } from '../../ebpf/program.ts';
import type { Routes } from '../../host/routes.ts';
import type { Tap } from '../../io/tap.ts';
import type { UpcallIo } from '../../io/upcalls.ts';
import type { UpcallCounts } from '../../model/kernel-admission.ts';
import type { OwnedChange } from '../../model/owned-packets.ts';
import { Slice } from '../../model/slice.ts';
import type { Attachments } from '../../offload/attach.ts';
import type { HandBack } from '../../offload/hand-back-map.ts';
import type { HookName } from '../../offload/hooks.ts';
import type { KernelMemory } from '../../offload/kernel-memory.ts';
import type { ProgramTable } from '../../offload/program-table.ts';
import type { SchedulerPrograms } from '../../offload/schedule/loading.ts';
import type { ServiceMap } from '../../offload/service-map.ts';
import { serviceNumbers } from '../../offload/services.ts';
import { SystemCallError } from '../../sys/system-call-error.ts';
import { type Address, isV4 } from '../../wire/address.ts';
import { clientPrefixes } from '../configuration/client-prefixes.ts';
import type { Log } from '../log.ts';
import type { KeptTable } from '../restart/kept-table.ts';
import { KernelForwarding, type SharedTable } from './kernel-forwarding.ts';
import { KernelLists } from './kernel-lists.ts';
import type { KernelMarks } from './kernel-marks.ts';
import { NextHopFinder } from './next-hop-finder.ts';

/** Name of the device that receives upcalls of the kernel's program. */
export const TAP_NAME = 'lvs-upcall';
/** Time between two checks of the next hops, ms. */
const CHECK_MS = 500;
/** Time until the first of them, ms. */
const FIRST_CHECK_MS = 120;
/** Checks between two probes of the neighbors: 15 s, half of REACHABLE_TIME (RFC 4861, section 10). */
const CHECKS_PER_PROBE = 30;
/** Maximum number of cached headers. */
const MAX_HEADERS = 65_536;

export interface OffloadingOptions {
  readonly hook: HookName;
  /** The most connections. */
  readonly connections: number;
  readonly routes: Routes;
  readonly clock: () => number;
  readonly log: Log;
  /** Folder of a bpf file system that keeps the path while no director runs. */
  readonly pins: string;
}

/** The shared table in memory of the kernel. */
export interface KernelTable extends SharedTable {
  readonly memory: KernelMemory;
}

/** What a kernel path consists of. */
export interface OffloadingParts {
  readonly bpf: Bpf;
  readonly io: UpcallIo;
  readonly shared: KernelTable;
  readonly services: ServiceMap;
  /** The deny and allow lists. */
  readonly access: BpfMap;
  readonly attachments: Attachments;
  readonly programs: ProgramTable;
  readonly schedulers: SchedulerPrograms;
  readonly marks: KernelMarks;
  readonly interfaces: HandBack;
  readonly tap: Tap;
  /** The table, with the pins that keep the path; programs of a former director go on until `begin`. */
  readonly kept: KeptTable;
}

/** The kernel path of a running director. */
export class Offloading {
  readonly io: UpcallIo;
  readonly shared: KernelTable;
  readonly kept: KeptTable;
  readonly #access: BpfMap;
  #lists: KernelLists | undefined;
  readonly #options: OffloadingOptions;
  readonly #tap: Tap;
  readonly #attachments: Attachments;
  readonly #programs: ProgramTable;
  readonly #schedulers: SchedulerPrograms;
  readonly #marks: KernelMarks;
  readonly #services: ServiceMap;
  /** Revision of the services whose numbers the kernel has. */
  #revision = -1;
  readonly #interfaces: HandBack;
  readonly #finder: NextHopFinder;
  #director: Director | undefined;
  #forwarding: KernelForwarding | undefined;
  #timer: NodeJS.Timeout | undefined;
  #first: NodeJS.Timeout | undefined;
  #checks = 0;
  /** Version of the routes by which the next hops were found. */
  #version = 0;
  /** Link-layer headers by the last word of an IPv4 neighbor's address, cached until the next check. */
  readonly #headers = new Map<number, Uint8Array | undefined>();
  /** Use `openOffloading`. */
  constructor(options: OffloadingOptions, parts: OffloadingParts) {
    const { bpf, io, tap, kept, shared, services, attachments, programs, schedulers, marks, interfaces } =
      parts;
    this.#access = parts.access;
    this.#options = options;
    this.io = io;
    this.#tap = tap;
    this.kept = kept;
    this.shared = shared;
    this.#services = services;
    this.#programs = programs;
    this.#schedulers = schedulers;
    this.#marks = marks;
    this.#interfaces = interfaces;
    this.#attachments = attachments;
    this.#finder = new NextHopFinder(bpf.system, options.routes, options.clock);
  }

  /** The lists that programs look clients up in. */
  get lists(): KernelLists | undefined {
    return this.#lists;
  }

  /** Packets that programs forwarded. */
  get forwarded(): number {
    return this.#forwarding?.forwarded ?? 0;
  }

  /** Connections that programs admitted. */
  get admitted(): number {
    return this.#forwarding?.admittedByPrograms ?? 0;
  }

  /** Connections that the director admitted, by reason. */
  get leftToDirector(): UpcallCounts {
    return this.#forwarding?.leftToDirector ?? {};
  }

  /** `director` must have been made with the shared table: programs forward packets of its connections from now on. */
  start(director: Director): void {
    this.#director = director;
    this.#forwarding = new KernelForwarding(director, this.shared, (to) => this.#finder.find(to), {
      has: (scheduler) => this.#schedulers.has(scheduler),
      hasMarks: () => this.#marks.isLoaded,
    });
    this.#lists = new KernelLists({
      ...{ map: this.#access, director, memory: this.shared.memory },
      failed: (error) => {
        this.#options.log('error', 'offload-failed', { error: `deny and allow lists: ${error.message}` });
        director.context.access.isIncomplete = true;
      },
    });
    this.#finder.start(director.context.forwarding.host);
    // The kernel may have forgotten the neighbors that only the programs of a former director have sent to.
    this.shared.nextHops.each((_number, to, hop) => this.#finder.assume(to, hop));
    const { adopted } = this.kept;
    if (adopted) this.#forwarding.resumeCounters(adopted.silent);
    this.#beat();
  }

  /** The director has started: replaces the programs of a killed one. Throws SystemCallError. */
  begin(): void {
    if (this.kept.adopted) {
      // The next hops of the killed director are compared one by one.
      this.#version = this.#options.routes.version;
      this.#finder.refresh();
      this.#forwarding!.resumeClients();
    }
    this.#lists!.begin();
    this.check();
    this.#timer = setInterval(() => this.check(), CHECK_MS);
    // The neighbors that the kernel was made to request now are known soon.
    this.#first = setTimeout(() => this.check(), FIRST_CHECK_MS);
    this.#attachments.begin();
    this.#programs.removeOthers();
  }

  /** Shows programs, and the next director, that this one is alive. */
  #beat(): void {
    this.kept.beat(this.#options.clock());
  }

  /** Follows changes of neighbors and routes. */
  check(): void {
    this.#beat();
    if (++this.#checks % CHECKS_PER_PROBE === 0) this.#finder.confirm();
    this.io.renew();
    this.#attachToTap();
    this.#headers.clear();
    this.#finder.recall();
    this.#finder.refresh();
    const { routes } = this.#options;
    const { version } = routes;
    this.#forwarding!.check(version !== this.#version);
    this.#version = version;
    this.shared.clients.setRoutes(clientPrefixes(routes, this.#finder, this.shared.nextHops));
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
    const { routes } = this.#options;
    this.#marks.change(change);
    this.#guard('services', () => this.#services.change({ ...change, own: routes.own }));
  }

  /** Logs an error of the kernel's. */
  #guard(what: string, work: () => void): void {
    try {
      work();
    } catch (error) {
      if (!(error instanceof SystemCallError || error instanceof VerifierError)) throw error;
      this.#options.log('error', 'offload-failed', {
        error: `${what} of the kernel path: incomplete: ${error.message}`,
      });
    }
  }

  /** Takes packets back that rules and settings no longer let programs forward. Works in slices. */
  async review(): Promise<void> {
    this.#finder.forget();
    await this.#forwarding!.review();
    this.#number();
    this.#guard('firewall marks', () => this.#marks.update(this.#director!.context));
    await this.#lists!.review();
    await this.#loadSchedulers();
  }

  /** Makes the kernel's program know the numbers of the services. */
  #number(): void {
    const { services } = this.#director!.context;
    if (services.revision === this.#revision) return;
    this.#revision = services.revision;
    this.#guard('services', () => this.#services.number(serviceNumbers(services.all)));
  }

  /** Loads programs of the schedulers of services. The director selects where the kernel refuses one (Linux 5.16). */
  async #loadSchedulers(): Promise<void> {
    const slice = new Slice();
    for (const { options } of this.#director!.context.services.all) {
      this.#guard(`scheduler ${options.scheduler}`, () => this.#schedulers.load(options.scheduler));
      if (slice.spent) await slice.next();
    }
  }

  /** Leaves the path to the next director: its programs go on. */
  leave(): void {
    clearInterval(this.#timer);
    clearTimeout(this.#first);
    this.#finder[Symbol.dispose]();
  }

  /** Removes programs from the kernel. */
  close(): void {
    clearInterval(this.#timer);
    clearTimeout(this.#first);
    this.#tap.persist(false);
    this.#attachments[Symbol.dispose]();
    this.#programs[Symbol.dispose]();
    this.#interfaces[Symbol.dispose]();
    this.#finder[Symbol.dispose]();
  }

  /** Returns the header of an IPv4 packet that is handed back to the kernel; undefined: the host routes the packet. */
  header(nextHop: Address): Uint8Array | undefined {
    if (!isV4(nextHop) || !this.#director) return undefined;
    const word = nextHop[3]! | 0;
    const known = this.#headers.get(word);
    if (known || this.#headers.has(word)) return known;
    const hop = this.#finder.find(nextHop);
    const header = hop && this.#interfaces.headerOf(hop);
    if (this.#headers.size < MAX_HEADERS) this.#headers.set(word, header);
    return header;
  }
}
