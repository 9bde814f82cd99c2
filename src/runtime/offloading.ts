/** Runs the kernel path of a director: its programs, the memory that they share with it, and the next hops. */

import { cpus } from 'node:os';
import { ConnectionTable } from '../director/connections.ts';
import type { Director } from '../director/director.ts';
import { Bpf } from '../ebpf/bpf.ts';
import { VerifierError } from '../ebpf/program.ts';
import { linkFacts } from '../host/link-facts.ts';
import type { Routes } from '../host/routes.ts';
import { Tap } from '../io/tap.ts';
import { openUpcalls, type UpcallIo } from '../io/upcalls.ts';
import { LvsError } from '../model/errors.ts';
import type { OwnedChange } from '../model/owned-packets.ts';
import { Slice } from '../model/slice.ts';
import { admissionCode } from '../offload/admit.ts';
import { type KernelArrays, kernelArrays } from '../offload/arrays.ts';
import { Attachments } from '../offload/attach.ts';
import { ClientRoutes } from '../offload/client-routes.ts';
import { HandBack } from '../offload/hand-back-map.ts';
import { type HookName, tc, xdp } from '../offload/hooks.ts';
import { measureJiffies } from '../offload/jiffies.ts';
import { KernelMemory } from '../offload/kernel-memory.ts';
import { NextHops } from '../offload/next-hops.ts';
import { forwarderCode } from '../offload/program.ts';
import { ProgramTable } from '../offload/program-table.ts';
import { SchedulerPrograms } from '../offload/schedule/loading.ts';
import { ADMIT } from '../offload/scratch.ts';
import { ServiceMap } from '../offload/service-map.ts';
import { serviceNumbers } from '../offload/services.ts';
import { loadSystem } from '../sys/system.ts';
import { SystemCallError } from '../sys/system-call-error.ts';
import { ProcessorCounters } from '../table/counters.ts';
import { MAX_RECORDS, SETTINGS_BYTES } from '../table/record-layout.ts';
import { Ticks } from '../table/ticks.ts';
import { type Address, isV4 } from '../wire/address.ts';
import { clientPrefixes } from './client-prefixes.ts';
import { KernelForwarding, type SharedTable } from './kernel-forwarding.ts';
import type { Log } from './log.ts';
import { NextHopFinder } from './next-hop-finder.ts';
import { unpredictable } from './random.ts';
import { withTable } from './table-size.ts';

/** Name of the device that receives upcalls of the kernel's program. */
const TAP_NAME = 'lvs-upcall';
/** Frames that may wait for the director. A flood of new connections fills only this queue. */
const QUEUE_FRAMES = 4096;
/** The maximum MTU of a tap (ETH_MAX_MTU minus the Ethernet header, Linux 5.15), bytes. No packet is longer. */
const TAP_MTU_BYTES = 65_521;
/** Time between two checks of the next hops, ms. */
const CHECK_MS = 500;
/** Checks between two probes of the neighbors: 15 s, half of REACHABLE_TIME (RFC 4861, section 10). */
const CHECKS_PER_PROBE = 30;
/** Maximum number of counters' records of all processors together: 64 MiB. */
const MAX_COUNTERS = 1 << 20;
/** Maximum number of cached headers. */
const MAX_HEADERS = 65_536;
const HOOKS = { xdp, tc } as const;

export interface OffloadingOptions {
  readonly hook: HookName;
  /** The most connections. */
  readonly connections: number;
  readonly routes: Routes;
  readonly clock: () => number;
  readonly log: Log;
}

/** The shared table in memory of the kernel. */
interface Shared extends SharedTable {
  readonly memory: KernelMemory;
}

/** What a kernel path consists of. */
interface Parts {
  readonly bpf: Bpf;
  readonly io: UpcallIo;
  readonly shared: Shared;
  readonly services: ServiceMap;
  readonly attachments: Attachments;
  readonly programs: ProgramTable;
  readonly schedulers: SchedulerPrograms;
  readonly interfaces: HandBack;
}

/** The kernel path of a running director. */
export class Offloading {
  readonly io: UpcallIo;
  readonly shared: Shared;
  readonly #options: OffloadingOptions;
  readonly #attachments: Attachments;
  readonly #programs: ProgramTable;
  readonly #schedulers: SchedulerPrograms;
  readonly #services: ServiceMap;
  /** Revision of the services whose numbers the kernel has. */
  #revision = -1;
  readonly #interfaces: HandBack;
  readonly #finder: NextHopFinder;
  #director: Director | undefined;
  #forwarding: KernelForwarding | undefined;
  #timer: NodeJS.Timeout | undefined;
  #checks = 0;
  /** Version of the routes by which the next hops were found. */
  #version = 0;
  /** Link-layer headers by the last word of an IPv4 neighbor's address, cached until the next check. */
  readonly #headers = new Map<number, Uint8Array | undefined>();
  /** Use `openOffloading`. */
  constructor(
    options: OffloadingOptions,
    { bpf, io, shared, services, attachments, programs, schedulers, interfaces }: Parts,
  ) {
    this.#options = options;
    this.io = io;
    this.shared = shared;
    this.#services = services;
    this.#programs = programs;
    this.#schedulers = schedulers;
    this.#interfaces = interfaces;
    this.#attachments = attachments;
    this.#finder = new NextHopFinder(bpf.system, options.routes, options.clock);
  }

  /** Packets that programs forwarded. */
  get forwarded(): number {
    return this.#forwarding?.forwarded ?? 0;
  }

  /** Connections that programs admitted. */
  get admitted(): number {
    return this.#forwarding?.admitted ?? 0;
  }

  /** `director` must have been made with the shared table: programs forward packets of its connections from now on. */
  start(director: Director): void {
    this.#director = director;
    this.#forwarding = new KernelForwarding(director, this.shared, (to) => this.#finder.find(to));
    this.#timer = setInterval(() => this.check(), CHECK_MS);
    this.#finder.start(director.context.forwarding.host);
  }

  /** Follows changes of neighbors and routes. */
  check(): void {
    if (++this.#checks % CHECKS_PER_PROBE === 0) this.#finder.confirm();
    this.io.renew();
    this.#attachToTap();
    this.#headers.clear();
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

  /** Removes programs and tables from the kernel. */
  close(): void {
    clearInterval(this.#timer);
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

/** Loads the program and creates the tap device. Throws LvsError UNAVAILABLE if the kernel does not support them. */
export async function openOffloading(options: OffloadingOptions): Promise<Offloading> {
  const { hook } = options;
  const opened: Disposable[] = [];
  try {
    const system = await loadSystem();
    const bpf = new Bpf(system);
    const { shared, arrays } = await openShared(bpf, options);
    const services = new ServiceMap(bpf);
    const tap = new Tap(system, { name: TAP_NAME, mtu: TAP_MTU_BYTES, queue: QUEUE_FRAMES });
    opened.push(tap);
    const upcall = { interfaceIndex: tap.device.index, services: services.descriptor };
    const parts = { hook: HOOKS[hook], arrays, upcall };
    const programs = new ProgramTable(bpf, hook, arrays.programArray);
    opened.push(programs);
    programs.load(ADMIT, 'lvs_admit', admissionCode(parts));
    const schedulers = new SchedulerPrograms(programs, parts);
    const code = forwarderCode(parts);
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
    const offloading = new Offloading(options, {
      bpf,
      io,
      shared,
      services,
      attachments,
      programs,
      schedulers,
      interfaces,
    });
    return offloading;
  } catch (cause) {
    for (const each of opened.toReversed()) each[Symbol.dispose]();
    if (cause instanceof VerifierError || cause instanceof SystemCallError)
      throw new LvsError('UNAVAILABLE', `kernel path (${hook}): ${cause.message}`, { cause });
    throw cause;
  }
}

/** Makes the table, counters and next hops in memory of the kernel. Throws SystemCallError and VerifierError. */
async function openShared(
  bpf: Bpf,
  { connections, clock, log }: OffloadingOptions,
): Promise<{ readonly shared: Shared; readonly arrays: KernelArrays }> {
  const measured = await measureJiffies(bpf, clock);
  const memory = new KernelMemory(bpf);
  const ticks = new Ticks(measured.tickMs);
  const seed = Math.floor(unpredictable() * 2 ** 32);
  const table = withTable(connections, log, (limit) => new ConnectionTable({ limit, seed, memory, ticks }));
  memory.reserve('settings', SETTINGS_BYTES);
  const processors = cpus().length;
  const records = Math.min(MAX_RECORDS, Math.floor(MAX_COUNTERS / processors));
  const counters = new ProcessorCounters(memory, processors, records);
  const nextHops = new NextHops(memory);
  const { homes: places, secrets } = table;
  const arrays = kernelArrays(bpf, memory, { places, secrets, records, processors, clock: measured });
  const clients = new ClientRoutes(arrays.clientMap);
  return { shared: { memory, ticks, table, counters, nextHops, clients, records }, arrays };
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
