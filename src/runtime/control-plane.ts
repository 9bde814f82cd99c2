/** The operator's access to a running director: the control socket, the web interface, files and signals. */
import type { DirectorApi, PacketApi } from '../control/director-api.ts';
import { type ControlServer, MAX_CONTROL_CLIENTS, serveControl } from '../control/server.ts';
import { INSTANCE } from '../host/director-instances.ts';
import type { ServiceManager } from '../host/service-manager.ts';
import type { SourceValidator } from '../host/source-validation.ts';
import type { HostIo } from '../io/host-io.ts';
import { LvsError } from '../model/errors.ts';
import type { Events } from '../web/events.ts';
import type { Announcements } from './announcements.ts';
import { loggedApi } from './changes.ts';
import type { ClusterNode } from './cluster/cluster-node.ts';
import type { Conditions } from './conditions.ts';
import type { ListDigests } from './configuration/access-files.ts';
import { ConfigurationRequests } from './configuration/configuration-requests.ts';
import type { DescriptorWatch } from './host/descriptor-watch.ts';
import type { NetworkWatch } from './host/network-watch.ts';
import { type ProcfsFiles, startProcfsFiles } from './host/procfs-files.ts';
import type { KernelPath } from './kernel/kernel-path.ts';
import type { Log } from './log.ts';
import type { PacketCaptures } from './packet-capture.ts';
import type { Readiness } from './readiness.ts';
import type { RunningDirector } from './running-director.ts';

/** ms between two checks of addresses, routes, losses and drains. */
const WATCH_MS = 1000;

const DATAPATH_WORDS = {
  live: 'pcap and raw socket',
  tc: 'kernel path at tc, upcalls by a tap',
  xdp: 'kernel path at XDP, upcalls by a tap',
} as const;

export interface ControlPlaneOptions {
  readonly config: string;
  readonly socket: string;
  /** ID of the group that may use the socket, besides its owner. */
  readonly socketGroup?: number;
  readonly metrics?: { readonly host: string; readonly port: number };
  /** Names in the Host header of requests to `metrics`, besides IP addresses, localhost and the host's name. */
  readonly metricsNames?: readonly string[];
  readonly procfs?: string;
}

/** The parts of a director that has started. */
export interface PlaneContext {
  readonly path: KernelPath;
  readonly io: HostIo;
  readonly network: NetworkWatch;
  readonly conditions: Conditions;
  readonly descriptors: DescriptorWatch;
  readonly sources: SourceValidator;
  readonly events: Events;
  readonly readiness: Readiness;
  /** Undefined: this director belongs to no cluster. */
  readonly node: ClusterNode | undefined;
  /** True while packets are forwarded. */
  readonly isRunning: () => boolean;
}

export class ControlPlane {
  readonly #options: ControlPlaneOptions;
  readonly #running: RunningDirector;
  readonly #captures: PacketCaptures;
  readonly #announcements: Announcements;
  readonly #log: Log;
  readonly configuration: ConfigurationRequests;
  /** Whether the request to stop leaves the kernel path to the next director; undefined: there was none. */
  isKept: boolean | undefined;
  #control: ControlServer | undefined;
  #procfs: ProcfsFiles | undefined;
  #watch: NodeJS.Timeout | undefined;

  constructor(
    options: ControlPlaneOptions,
    datapath: string,
    running: RunningDirector,
    { captures, announcements }: { captures: PacketCaptures; announcements: Announcements },
    manager: ServiceManager,
    log: Log,
  ) {
    this.#options = options;
    this.#running = running;
    this.#captures = captures;
    this.#announcements = announcements;
    this.#log = log;
    this.configuration = new ConfigurationRequests(
      options.config,
      running.configuration,
      datapath,
      manager,
      log,
    );
  }

  /** Opens the control socket. Throws LvsError if another director has it; the host is unchanged then. */
  async open(node: ClusterNode | undefined): Promise<void> {
    const { socket, socketGroup } = this.#options;
    const running = this.#running;
    const packets: PacketApi = {
      explain: async (packet) => ({
        ...running.explain(packet),
        ...(node && { cluster: node.inEffect }),
      }),
      capture: (service) => this.#captures.take(service),
    };
    this.#control = await serveControl({
      path: socket,
      ...(socketGroup === undefined ? {} : { group: socketGroup }),
      api: {
        ...clusterApi(loggedApi(running.api, 'control socket', this.#log), node),
        configuration: this.configuration,
        packets,
        cluster: async () => node?.status,
        operations: {
          drain: async (server) => running.serverDrains.drain(server),
          undrain: async (server) => running.serverDrains.undrain(server),
          drained: () => running.serverDrains.list(),
          deny: (request) => running.blocked.deny(request),
          undeny: (address, service) => running.blocked.undeny(address, service),
          announce: () => this.#announcements.setWithdrawn(false),
          withdraw: () => this.#announcements.setWithdrawn(true),
          announcements: async () => this.#announcements.listing(),
          joined: async () => running.joined.places,
          denied: async () => ({
            commanded: running.blocked.commanded,
            lists: entriesOf(running.config?.lists),
          }),
        },
        stop: async (keep) => {
          this.isKept = keep;
          this.#log('info', 'stop-requested', { keep });
          // After the answer.
          setImmediate(() => process.kill(process.pid, 'SIGTERM'));
          return { instance: INSTANCE, keeps: keep && running.restart.keeps };
        },
      },
      onProblem: (problem) => {
        // The errors of a file are logged where it is read.
        if (!(problem instanceof LvsError && problem.code === 'CONFIG'))
          this.#log('warning', 'control-request-failed', { error: String(problem) });
      },
    });
  }

  /** Opens the web interface, the /proc files and reloads by signal. Call it when the director has started. */
  async openAfterStart(context: PlaneContext): Promise<void> {
    const { metrics, metricsNames = [], procfs } = this.#options;
    const { path, io, network, conditions, descriptors, sources, events, readiness, node, isRunning } =
      context;
    const running = this.#running;
    const log = this.#log;
    const { datapath, offloading } = path;
    const words = DATAPATH_WORDS[datapath];
    const server = this.#control!;
    const { counters: control } = server;
    if (metrics) {
      // Loading the library of metrics takes as long as the rest of a start.
      const { openWebInterface } = await import('./web-interface.ts');
      await openWebInterface({
        ...metrics,
        names: metricsNames,
        running,
        network,
        conditions,
        control,
        datapath: words,
        offloading,
        events,
        log,
        isRunning,
        descriptors,
        announcements: () => this.#announcements.configured,
        cluster: () => node?.status,
      });
    }
    if (procfs !== undefined)
      this.#procfs = startProcfsFiles(procfs, running.api, (error) =>
        log('error', 'procfs-failed', { error: String(error) }),
      );
    // A rejected file is logged where it is read; another error is a fault and ends the process.
    process.on('SIGHUP', () => void this.configuration.reload().catch(throwFault));
    this.#watch = setInterval(() => {
      descriptors.update();
      server.limit(descriptors.clients(MAX_CONTROL_CLIENTS));
      running.watch();
      sources.refresh(io.interfaces);
      network.update();
      readiness.update();
      void this.#announcements.update();
    }, WATCH_MS);
  }

  async close(): Promise<void> {
    clearInterval(this.#watch);
    this.#procfs?.close();
    await this.#control?.close();
  }
}

/** Returns an API whose changes of rules are those of all directors, but for those that are to be local. */
const clusterApi = (api: DirectorApi, node: ClusterNode | undefined): DirectorApi =>
  node ? { ...api, apply: (commands, isLocal) => (isLocal ? api : node.rules).apply(commands) } : api;

function throwFault(error: unknown): void {
  if (!(error instanceof LvsError)) throw error;
}

const entriesOf = (lists: ListDigests = {}): Record<string, number> =>
  Object.fromEntries(Object.entries(lists).map(([name, { entries }]) => [name, entries]));
