/** Opens the web interface of a running director, and collects the data that it shows. */
import type { Server } from 'node:http';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { monotonicClock } from '../io/pump.ts';
import type { AnnouncementListing } from '../model/announcement.ts';
import type { ClusterStatus } from '../model/cluster.ts';
import type { ControlCounters, Surroundings } from '../model/surroundings.ts';
import type { Events } from '../web/events.ts';
import { History } from '../web/history.ts';
import { availabilityOf } from '../web/observed.ts';
import { MAX_CLIENTS, serveWeb } from '../web/server.ts';
import type { Conditions } from './conditions.ts';
import type { DescriptorWatch } from './host/descriptor-watch.ts';
import type { NetworkWatch } from './host/network-watch.ts';
import type { Offloading } from './kernel/offloading.ts';
import type { Log } from './log.ts';
import { LoopTurns } from './loop-turns.ts';
import type { RunningDirector } from './running-director.ts';
import { version } from './version.ts';

const NS_PER_SECOND = 1e9;
/** Resolution of the monitor, ms. Each measured delay includes it. */
const RESOLUTION_MS = 10;

export interface WebInterfaceOptions {
  readonly host: string;
  readonly port: number;
  /** Names of this server in requests, besides its addresses and the host's name. */
  readonly names?: readonly string[];
  readonly running: RunningDirector;
  readonly network: Pick<NetworkWatch, 'announcements'>;
  readonly conditions: Pick<Conditions, 'all'>;
  readonly control: Readonly<ControlCounters>;
  readonly events: Events;
  readonly log: Log;
  /** Description of the datapath. */
  readonly datapath: string;
  readonly offloading?: Offloading | undefined;
  /** True while packets are forwarded. */
  readonly isRunning: () => boolean;
  readonly descriptors: DescriptorWatch;
  /** Undefined: none are configured. */
  readonly announcements: () => AnnouncementListing | undefined;
  /** Undefined: the director belongs to none. */
  readonly cluster: () => ClusterStatus | undefined;
}

/** Resolves when the server listens. Throws LvsError. */
export async function openWebInterface(options: WebInterfaceOptions): Promise<Server> {
  const {
    host,
    port,
    names = [],
    running,
    network,
    conditions,
    control,
    datapath,
    offloading,
    events,
    log,
    isRunning,
    descriptors,
    announcements,
    cluster,
  } = options;
  const own = { version: version(), node: process.versions.node };
  const delay = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
  delay.enable();
  const turns = new LoopTurns();
  const surroundings = (): Surroundings => {
    const { sendFailures, ...losses } = running.losses();
    const late = (ns: number) =>
      Number.isFinite(ns) ? Math.max(0, ns / NS_PER_SECOND - RESOLUTION_MS / 1000) : 0;
    const routes = announcements();
    const its = cluster();
    return {
      ...own,
      uptime: process.uptime(),
      datapath,
      running: isRunning(),
      losses,
      sendFailures,
      eventLoopDelay: { mean: late(delay.mean), p99: late(delay.percentile(99)), max: late(delay.max) },
      longestTurn: turns.longest,
      control: { ...control },
      notify: { ...running.notifier.counts },
      access: running.blocked.counts,
      conditions: conditions.all,
      announcements: network.announcements,
      ...(routes && { routes }),
      ...(its && { cluster: its }),
      ...(running.joined.counts && { join: running.joined.counts }),
      restart: running.restart,
      ...(offloading && {
        offload: {
          upcalls: offloading.io.upcalls,
          forwarded: offloading.forwarded,
          admitted: offloading.admitted,
          leftToDirector: { ...offloading.leftToDirector },
        },
      }),
    };
  };
  // The delays cover at most the last minute.
  const resetting = setInterval(() => delay.reset(), 60_000).unref();
  const server = await serveWeb({
    host,
    port,
    names,
    maxClients: () => descriptors.clients(MAX_CLIENTS),
    observed: {
      snapshot: () => running.snapshot(),
      summary: () => running.director.summary(monotonicClock()),
      services: () => running.services(),
      availability: () => availabilityOf(running.director.context.services.all),
      surroundings,
      events,
      history: new History(),
      now: () => new Date(),
    },
    onError: (error) => log('error', 'web-request-failed', { error: String(error) }),
  });
  server.once('close', () => {
    clearInterval(resetting);
    delay.disable();
    turns[Symbol.dispose]();
  });
  return server;
}
