/** `lvs-director run`: starts a director with its driver, its host and its control plane, and ends it on a signal. */
import { dirname } from 'node:path';
import { ControlClient } from '../control/client.ts';
import { interfaceAddresses } from '../host/interface-addresses.ts';
import { bringsPackets, receivingInterfaces } from '../host/link-facts.ts';
import { Routes } from '../host/routes.ts';
import { openServiceManager, startWatchdog } from '../host/service-manager.ts';
import { SourceValidator } from '../host/source-validation.ts';
import type { HostIo } from '../io/host-io.ts';
import { openLive } from '../io/live.ts';
import { BATCH, monotonicClock, pump } from '../io/pump.ts';
import { LvsError } from '../model/errors.ts';
import { openReserve } from '../sys/descriptor-reserve.ts';
import { loadSystem } from '../sys/system.ts';
import { Events } from '../web/events.ts';
import { Announcements } from './announcements.ts';
import { ClusterNode } from './cluster/cluster-node.ts';
import { startCluster } from './cluster/cluster-start.ts';
import { Conditions } from './conditions.ts';
import { type OpenConfiguration, openConfiguration } from './configuration/configuration-thread.ts';
import { ConfiguredNames } from './configuration/configured-names.ts';
import { ControlPlane, type ControlPlaneOptions } from './control-plane.ts';
import { DescriptorWatch } from './host/descriptor-watch.ts';
import { NetworkWatch, NOTHING_SERVED, servedBy } from './host/network-watch.ts';
import { privilegeError } from './host/privileges.ts';
import type { ServedHost } from './host/served-host.ts';
import { JoinedRecord } from './join/joined-record.ts';
import type { DatapathName } from './kernel/datapath.ts';
import { openKernelPath } from './kernel/kernel-path.ts';
import { type Log, limitedLog, recordedLog } from './log.ts';
import { openOperatorState } from './operator-state.ts';
import { PacketCaptures, RecordingSender } from './packet-capture.ts';
import { hasOthersVip, Readiness } from './readiness.ts';
import { directorEnd } from './restart/director-end.ts';
import { endAfter } from './restart/end-deadline.ts';
import { openLiveTable, removeUnusedTable } from './restart/live-table.ts';
import { RunningDirector } from './running-director.ts';
import { availableMemory, defaultConnections } from './table-size.ts';

/** Packets between two steps of the start. */
const STARTING_BATCH = 16;
/** Seconds after a signal at which the process is killed, whatever hangs. */
const END_S = 4;

export interface RunOptions extends Omit<ControlPlaneOptions, 'config'> {
  /** What is carried out: a configuration file, or that of a cluster, by its settings file. */
  readonly source: { readonly config: string } | { readonly cluster: string };
  readonly interfaces?: readonly string[];
  readonly datapath: DatapathName;
  /** Maximum number of connections; default: as the memory allows. */
  readonly connections?: number;
  /** Folder of a bpf file system that keeps the kernel path while no director runs. */
  readonly pins: string;
  /** File that tells keepalived whether the director can serve (see ReadyFile). */
  readonly readyFile?: string;
  /** True: another program, such as keepalived, adds the VIPs of the file. */
  readonly standby?: boolean;
  /** A signal leaves the kernel path, the guard and the VIPs to the next director. */
  readonly keep: boolean;
  /** Ends the director that has the socket, if one has, when this one is about to start. */
  readonly replace: boolean;
  readonly log: Log;
}

/** Resolves after SIGTERM or SIGINT. The process has to exit then. */
export async function runDirector(options: RunOptions): Promise<void> {
  const events = new Events();
  const names = new ConfiguredNames();
  const log = limitedLog(names.log(recordedLog(options.log, events)));
  const missing = privilegeError();
  if (missing) throw new LvsError('UNAVAILABLE', missing);
  using _reserve = openReserve();
  const ending = endOnSignal();
  const manager = await openServiceManager(process.env, loadSystem, (error) =>
    log('warning', 'service-manager-unreachable', { error }),
  );
  ending.signal.addEventListener('abort', () => manager.stopping(`ending: ${ending.signal.reason}`));
  const { source } = options;
  const cluster = 'cluster' in source ? await startCluster(source.cluster, log) : undefined;
  const config = cluster?.path ?? ('config' in source ? source.config : '');
  const start = opened(cluster?.opened ?? (await openConfiguration(config)), log);
  // The loopback and dummy devices hold VIPs, but receive no packets for them.
  const interfaces = options.interfaces ?? start.interfaces.filter(bringsPackets);
  if (interfaces.length === 0 && receivingInterfaces().length === 0)
    throw new LvsError(
      'CONFIG',
      `${config}: no interface receives packets (bring one up, or use --interface)`,
    );
  const { connections = defaultConnections(availableMemory()) } = options;
  const routes = new Routes();
  const clock = monotonicClock;
  let isReplacing = options.replace;
  const replace = async () => {
    if (isReplacing) await replaceRunning(options.socket, log);
    isReplacing = false;
  };
  const path = await openKernelPath({
    wanted: options.datapath,
    connections,
    interfaces,
    routes,
    clock,
    log,
    pins: options.pins,
    replace,
  });
  const { offloading } = path;
  const notice = (...event: Parameters<ServedHost['interfaceChanged']>) =>
    running.host.interfaceChanged(...event);
  const system = await loadSystem().catch(() => undefined);
  const live = offloading ? undefined : await openLive({ interfaces, clock, system, notice });
  const io: HostIo = offloading?.io ?? live!;
  const conditions = new Conditions(log);
  const descriptors = new DescriptorWatch(conditions, clock);
  // Other directors may ask before this one has services.
  let services: ReturnType<typeof servedBy> = () => NOTHING_SERVED;
  const network = new NetworkWatch({
    ...{ system, routes, io, conditions, log, clock },
    areInterfacesFixed: options.interfaces !== undefined,
    listen: (name, bufferBytes) => running.host.listenUnnamed(name, bufferBytes),
    vips: () => running.configuration.vips,
    held: () => running.host.heldVips,
    services: () => services(),
  });
  await network.openInterfaces();
  if (options.replace) live?.discard();
  // Captures are open: packets that arrive from now on wait until this director has the table.
  await replace();
  const kept = offloading?.kept ?? (await openLiveTable({ connections, clock, log, pins: options.pins }));
  if (offloading) await removeUnusedTable(log);
  const sources = new SourceValidator(system, routes);
  const operatorState = openOperatorState(options.socket, log);
  const sender = new RecordingSender(io);
  const running = new RunningDirector({
    io,
    sender,
    routes,
    sources,
    clock,
    connections,
    log,
    system,
    named: interfaces,
    beforeHold: (vips) => network.probe(vips),
    conditions,
    names,
    holdsVips: options.standby !== true,
    operatorState,
    joinedRecord: new JoinedRecord(options.socket, log),
    kept,
    ...(offloading && { offloading }),
  });
  const hasLink = () => {
    const up = new Set(interfaceAddresses().map(({ device }) => device));
    return io.interfaces.some((name) => up.has(name));
  };
  const isRunning = () => !ending.signal.aborted && hasLink();
  const isReady = () => isRunning() && !running.isCatchingUp;
  const announcements = new Announcements(
    {
      ...{ director: running.director, isReady, state: operatorState, conditions, clock, log },
      wanted: () => running.config?.announce,
      handOver: () => running.handOver(),
      isDraining: (address) => running.drains.uses(address),
      cluster: () => node?.roles,
    },
    cluster?.copy.state?.held,
  );
  const keeps = () => plane.isKept ?? (options.keep || running.config?.restart.keep === true);
  /** Only a kernel path forwards without this process. */
  const staysAnnounced = () => keeps() && offloading !== undefined && kept?.identity !== undefined;
  const readiness = new Readiness({
    file: options.readyFile,
    isReady: () => isReady() && node?.isHeld !== true,
    withdraw: async () => {
      if (!staysAnnounced()) return await announcements.leave();
      // This director is not ready any more.
      announcements.stay();
      return false;
    },
    hasOthersVip: () => hasOthersVip(services().addresses, running.host.heldVips),
    handOver: () => running.handOver(),
    log,
  });
  const captures = new PacketCaptures(running.director, sender);
  services = servedBy(running.director);
  const parts = { captures, announcements };
  const plane = new ControlPlane({ ...options, config }, path.datapath, running, parts, manager, log);
  const node =
    cluster &&
    new ClusterNode({
      ...{ start: cluster, configuration: plane.configuration, isReady, running, conditions, log },
      announcements: () => announcements.configured,
      groupAnnouncements: announcements,
      canAnnounce: () => announcements.canAnnounce,
      roleChanged: () => void announcements.refresh(),
      load: () => {
        const { table, rates } = running.director.summary(clock());
        const { connections: newConnections, inOctets } = rates;
        return { connections: table.connections, newConnections, inOctets };
      },
      hold: async (reason) => {
        readiness.update();
        await announcements.hold(reason);
      },
    });
  if (node) running.configuration.joinSteps = (steps, wanted) => node.rules.steps(steps, wanted);
  /** Seconds for which the VIPs stay announced without this process; undefined: they do not. */
  const announcedFor = () => (staysAnnounced() ? running.config?.restart.orphan : undefined);
  // While the VIPs leave.
  ending.signal.addEventListener('abort', () => void node?.close(announcedFor()));
  const forward = (): Promise<void> =>
    pump({
      io,
      director: captures,
      clock,
      unmatched: running.host.handleUnmatched,
      signal: readiness.leaving(ending.signal),
      // The start waits for a batch at each of its steps.
      batch: () => (hasStarted ? BATCH : STARTING_BATCH),
    });
  let hasStarted = false;
  try {
    sources.refresh(io.interfaces);
    // Rules and connections are those of a former director, whose guard and VIPs are in place: no packet has to wait.
    const forwarding = kept?.adopted && !offloading ? forward() : undefined;
    await plane.open(node);
    await announcements.begin(start.announce, offloading !== undefined && kept?.adopted !== undefined);
    if (node) running.joined.useRegistry();
    await node?.load();
    await running.start(start, dirname(options.socket));
    await node?.restore();
    start[Symbol.dispose]();
    network.update();
    const started = { path, io, network, conditions, descriptors, sources, events, readiness, node };
    await plane.openAfterStart({ ...started, isRunning });
    hasStarted = true;
    readiness.update();
    void announcements.update();
    log('info', 'ready', {
      interfaces: io.interfaces.join(','),
      services: start.services,
      socket: options.socket,
    });
    manager.ready(`forwarding: ${start.services} services, datapath ${path.datapath}`);
    node?.start();
    using _watchdog = startWatchdog(manager);
    await (forwarding ?? forward());
  } finally {
    readiness.close();
    await node?.close(announcedFor());
    await plane.close();
    await announcements.close(announcedFor());
    // A director that cannot start leaves what it has taken over to the next one.
    running.close(hasStarted ? keeps() : kept?.adopted !== undefined);
    sources[Symbol.dispose]();
    io[Symbol.dispose]();
    // Others see by this that the director has ended.
    network[Symbol.dispose]();
  }
  log('info', 'ended', { signal: String(ending.signal.reason) });
}

/** Ends the director that has the socket, if one has; its kernel path goes on. Throws LvsError if it does not end. */
async function replaceRunning(socket: string, log: Log): Promise<void> {
  using api = new ControlClient(socket);
  let instance: string;
  try {
    ({ instance } = await api.stop(true));
  } catch (error) {
    const { cause } = error as { cause?: NodeJS.ErrnoException };
    if (cause?.code !== 'ENOENT' && cause?.code !== 'ECONNREFUSED') throw error;
    log('info', 'nothing-replaced', { socket, reason: 'no director is running' });
    return;
  }
  await directorEnd(instance);
  log('info', 'director-replaced', { instance });
}

/** Aborts on the first SIGTERM or SIGINT. SIGHUP has no effect until there is a configuration to reload. */
function endOnSignal(): AbortController {
  const ending = new AbortController();
  for (const signal of ['SIGTERM', 'SIGINT'] as const)
    process.once(signal, () => {
      endAfter(END_S);
      ending.abort(signal);
    });
  process.on('SIGHUP', () => {});
  return ending;
}

function opened(start: OpenConfiguration, log: Log): OpenConfiguration {
  for (const warning of start.warnings) log('warning', 'config-warning', { warning });
  return start;
}
