/** The web interface of a running director: what it shows, put together. */
import type { Server } from 'node:http';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { monotonicClock } from '../io/pump.ts';
import type { ControlCounters, Surroundings } from '../model/surroundings.ts';
import type { Events } from '../web/events.ts';
import { History } from '../web/history.ts';
import { availabilityOf } from '../web/observed.ts';
import { serveWeb } from '../web/server.ts';
import type { Conditions } from './conditions.ts';
import type { Log } from './log.ts';
import type { NetworkWatch } from './network-watch.ts';
import type { Offloading } from './offloading.ts';
import type { RunningDirector } from './running-director.ts';
import { version } from './version.ts';

/** ns in a second; and what the monitor takes for no delay at all, its own resolution in ms. */
const SECOND = 1e9;
const RESOLUTION = 10;

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
  /** How packets come and go, in words. */
  readonly datapath: string;
  readonly offloading?: Offloading | undefined;
  /** True while packets are forwarded. */
  readonly isRunning: () => boolean;
}

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
  } = options;
  const own = { version: version(), node: process.versions.node };
  const delay = monitorEventLoopDelay({ resolution: RESOLUTION });
  delay.enable();
  const surroundings = (): Surroundings => {
    const { sendFailures, ...losses } = running.losses();
    const late = (ns: number) => (Number.isFinite(ns) ? Math.max(0, ns / SECOND - RESOLUTION / 1000) : 0);
    return {
      ...own,
      uptime: process.uptime(),
      datapath,
      running: isRunning(),
      losses,
      sendFailures,
      eventLoopDelay: { mean: late(delay.mean), p99: late(delay.percentile(99)), max: late(delay.max) },
      control: { ...control },
      conditions: conditions.all,
      announcements: network.announcements,
      ...(offloading && {
        offload: { upcalls: offloading.io.upcalls, installed: offloading.counts?.installed ?? 0 },
      }),
    };
  };
  // What was long ago says nothing of now.
  const forgetting = setInterval(() => delay.reset(), 60_000).unref();
  const server = await serveWeb({
    host,
    port,
    names,
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
    failed: (error) => log('error', 'web-request-failed', { error: String(error) }),
  });
  server.once('close', () => {
    clearInterval(forgetting);
    delay.disable();
  });
  return server;
}

/** `log`, with everything kept for the page, too. */
export function keptLog(log: Log, events: Events): Log {
  return (level, event, fields = {}) => {
    log(level, event, fields);
    events.add(new Date(), level, event, fields);
  };
}
