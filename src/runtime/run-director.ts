/** `lvs-director run`: puts a director, its driver, its host and its control plane together, and takes them apart. */

import { dirname } from 'node:path';
import type { PacketDoor } from '../control/director-api.ts';
import { type ControlServer, serveControl } from '../control/server.ts';
import { interfaceAddresses } from '../host/interface-addresses.ts';
import { bringsPackets, receivingInterfaces } from '../host/link-facts.ts';
import { Routes } from '../host/routes.ts';
import { SourceValidator } from '../host/source-validation.ts';
import type { HostIo } from '../io/host-io.ts';
import { openLive } from '../io/live.ts';
import { monotonicClock, pump } from '../io/pump.ts';
import { LvsError } from '../model/errors.ts';
import { loadSystem } from '../sys/system.ts';
import { Events } from '../web/events.ts';
import { toldDoor } from './changes.ts';
import { Conditions } from './conditions.ts';
import { configured } from './configuration.ts';
import { configurationDoor } from './configuration-requests.ts';
import type { DatapathName } from './datapath.ts';
import { openKernelPath } from './kernel-path.ts';
import { type Log, limitedLog } from './log.ts';
import { NetworkWatch, servedBy } from './network-watch.ts';
import { PacketTap } from './packet-capture.ts';
import { lackingPrivileges } from './privileges.ts';
import { keepProcfs, type ProcfsFiles } from './procfs-files.ts';
import { unforeseeable } from './random.ts';
import { RunningDirector } from './running-director.ts';
import { keptLog, openWebInterface } from './web-interface.ts';

/** ms between two looks at addresses, routes, losses and drains. */
const WATCH = 1000;

export interface RunOptions {
  readonly config: string;
  readonly interfaces?: readonly string[];
  readonly socket: string;
  /** Number of a group that may use the socket, too. */
  readonly socketGroup?: number;
  readonly metrics?: { readonly host: string; readonly port: number };
  readonly procfs?: string;
  readonly datapath: DatapathName;
  /** Flows of each IP version that the kernel path has room for; NAT needs two a connection. */
  readonly flows: number;
  /** Most connections at a time. */
  readonly connections: number;
  readonly log: Log;
}

const DATAPATH_WORDS = {
  live: 'pcap and raw socket',
  tc: 'kernel path at tc, upcalls by a tap',
  xdp: 'kernel path at XDP, upcalls by a tap',
} as const;

/** Resolves after a clean end, by SIGTERM or SIGINT. The process has to end then: a live capture cannot be closed. */
export async function runDirector(options: RunOptions): Promise<void> {
  const { config, socket, connections } = options;
  const events = new Events();
  const log = limitedLog(keptLog(options.log, events));
  const lacking = lackingPrivileges();
  if (lacking) throw new LvsError('UNAVAILABLE', lacking);
  const start = await configured(config);
  for (const what of start.warnings) log('warning', 'config', { what });
  // A VIP on the loopback or on a dummy device: its packets come by other interfaces.
  const interfaces = options.interfaces ?? start.interfaces.filter(bringsPackets);
  if (interfaces.length === 0 && receivingInterfaces().length === 0)
    throw new LvsError(
      'CONFIG',
      `${config}: no interface can bring packets (bring one up, or use --interface)`,
    );

  const ending = new AbortController();
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => ending.abort(signal));
  // Until there is something to reload; without a listener it would end the process.
  process.on('SIGHUP', () => {});
  const routes = new Routes();
  const clock = monotonicClock;
  const { datapath, offloading } = await openKernelPath({
    wanted: options.datapath,
    flows: options.flows,
    start,
    interfaces,
    routes,
    clock,
    seed: Math.floor(unforeseeable() * 2 ** 32),
    log,
  });
  const system = await loadSystem().catch(() => undefined);
  const io: HostIo =
    offloading?.io ??
    (await openLive({
      interfaces,
      clock,
      system,
      notice: (name, what) => running.interfaceChanged(name, what),
    }));
  const conditions = new Conditions(log);
  const network = new NetworkWatch({
    ...{ system, routes, io, conditions, log, clock },
    areInterfacesFixed: options.interfaces !== undefined,
    listen: (name, bufferBytes) => running.listenUnnamed(name, bufferBytes),
    vips: () => running.vips,
    held: () => running.heldVips,
    services: () => servedBy(running.director),
  });
  await network.openInterfaces();
  const sources = new SourceValidator(system, routes);
  const running = new RunningDirector({
    io,
    routes,
    sources,
    clock,
    connections,
    log,
    named: interfaces,
    beforeHold: (vips) => network.probe(vips),
    ...(offloading ? { offloading } : {}),
  });
  const tap = new PacketTap(running.director, io);
  const packets: PacketDoor = {
    explain: async (octets) => running.explain(octets),
    capture: (service) => tap.take(service),
  };
  const configuration = configurationDoor(config, running, datapath, log);
  let control: ControlServer | undefined;
  let procfs: ProcfsFiles | undefined;
  let watch: NodeJS.Timeout | undefined;
  try {
    // Before anything on the host is touched: the socket tells whether there is a director already.
    control = await serveControl({
      path: socket,
      ...(options.socketGroup === undefined ? {} : { group: options.socketGroup }),
      door: { ...toldDoor(running.door, 'control socket', log), configuration, packets },
      onProblem: (problem) => {
        // A file with mistakes is logged where it is read.
        if (!(problem instanceof LvsError && problem.code === 'CONFIG'))
          log('warning', 'control', { why: String(problem) });
      },
    });
    await running.start(start, dirname(socket));
    network.update();
    // Links that are down, or gone, are not among these.
    const hasLink = () => {
      const up = new Set(interfaceAddresses().map(({ device }) => device));
      return io.interfaces.some((name) => up.has(name));
    };
    const isRunning = () => !ending.signal.aborted && hasLink();
    if (options.metrics)
      await openWebInterface({
        ...options.metrics,
        running,
        network,
        conditions,
        control: control.counters,
        datapath: DATAPATH_WORDS[datapath],
        offloading,
        events,
        log,
        isRunning,
      });
    // Mistakes are logged; anything else is a fault and ends the process.
    if (options.procfs !== undefined)
      procfs = keepProcfs(options.procfs, running.door, (error) =>
        log('error', 'procfs', { why: String(error) }),
      );
    process.on('SIGHUP', () => void configuration.reload().catch(unlessTold));
    watch = setInterval(() => {
      running.watch();
      sources.refresh();
      network.update();
    }, WATCH);
    log('info', 'ready', {
      interfaces: io.interfaces.join(','),
      services: start.document.services.length,
      socket,
    });
    await pump({ io, director: tap, clock, passed: running.passed, signal: ending.signal });
  } finally {
    clearInterval(watch);
    procfs?.close();
    await control?.close();
    running.close();
    network[Symbol.dispose]();
    sources[Symbol.dispose]();
    io[Symbol.dispose]();
  }
  log('info', 'ended', { signal: String(ending.signal.reason) });
}

function unlessTold(error: unknown): void {
  if (!(error instanceof LvsError)) throw error;
}
