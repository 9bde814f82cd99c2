/** `lvs-director run`: puts a director, its driver, its host and its control plane together, and takes them apart. */
import { Director } from '../director/director.ts';
import { type LivePacketIo, openLive } from '../io/live.ts';
import { monotonicClock, pump } from '../io/pump.ts';
import { Routes } from '../io/routes.ts';
import { LvsError } from '../model/errors.ts';
import { configured } from './configured.ts';
import { type HostSetUp, setUpHost } from './host-set-up.ts';
import { keptServices } from './kept.ts';
import { liveHost } from './live-host.ts';
import type { Log } from './log.ts';
import { PassedPackets } from './passed.ts';
import { lackingPrivileges } from './privileges.ts';

export const DEFAULT_SOCKET = '/run/lvs/director.sock';

/** ms between two looks at addresses, routes and losses. */
const WATCH = 1000;

export interface RunOptions {
  readonly config: string;
  readonly interfaces?: readonly string[];
  readonly socket: string;
  readonly metrics?: { readonly host: string; readonly port: number };
  readonly procfs?: string;
  readonly log: Log;
}

/** Resolves after a clean end, by SIGTERM or SIGINT. */
export async function runDirector(options: RunOptions): Promise<void> {
  const { log } = options;
  const lacking = lackingPrivileges();
  if (lacking) throw new LvsError('UNAVAILABLE', lacking);
  const start = await configured(options.config);
  for (const warning of start.warnings) log('warning', 'config', { what: warning });
  const interfaces = options.interfaces ?? start.interfaces;
  if (interfaces.length === 0)
    throw new LvsError('CONFIG', `${options.config} names no interface: give one with --interface`);

  const clock = monotonicClock;
  const routes = new Routes();
  let host: HostSetUp | undefined;
  const io = await openLive({
    interfaces,
    clock,
    notice: (name, what) => {
      log('warning', `interface-${what}`, { interface: name });
      if (what === 'back')
        host?.renew(name).catch((error: Error) => log('error', 'guard', { why: error.message }));
    },
  });
  const director = new Director({ host: liveHost(io, routes), random: Math.random });
  for (const command of start.commands) director.apply(command, clock());
  host = await setUpHost({ interfaces, folder: '/run/lvs', log });
  const kept = keptServices();
  const { marks, forwarding } = director.context;
  const passed = new PassedPackets(forwarding, (packet) => marks.of(packet));
  const guarded = kept.update(director.snapshot(clock()).services, marks.rules, clock());
  passed.keep(guarded);
  await host.keep(guarded);
  host.hold(start.vips);
  routes.refresh();

  const ending = new AbortController();
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => ending.abort(signal));
  const watch = setInterval(() => watchHost(routes, io, log), WATCH);
  log('info', 'ready', { interfaces: interfaces.join(','), services: start.document.services.length });
  try {
    await pump({ io, director, clock, passed: passed.handle, signal: ending.signal });
  } finally {
    clearInterval(watch);
    host.close();
    io[Symbol.dispose]();
  }
  log('info', 'ended', { signal: String(ending.signal.reason) });
  // A live capture cannot be closed: it ends with the process.
  process.exit(0);
}

let reported = 0;
function watchHost(routes: Routes, io: LivePacketIo, log: Log): void {
  routes.refresh();
  const { captureDrops, ringDrops, truncated } = io.losses();
  const lost = captureDrops + ringDrops + truncated;
  if (lost > reported) log('warning', 'packets-lost', { captureDrops, ringDrops, truncated });
  reported = lost;
}
