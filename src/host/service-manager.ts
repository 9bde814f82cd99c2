/**
 * Reports the state of this process to systemd, by the datagrams of sd_notify(3). Node.js has no datagram sockets of the
 * Unix domain, and the npm packages for them need one native build for each version of Node.js, so the datagrams are sent
 * by the system calls that the kernel path uses.
 */
import { Arena } from '../sys/memory.ts';
import { type System, SystemUnavailable } from '../sys/system.ts';

/* include/linux/socket.h, include/linux/net.h */
const AF_UNIX = 1;
const SOCK_DGRAM = 2;
const SOCK_NONBLOCK = 0o4000;
const SOCK_CLOEXEC = 0o2000000;
const MSG_NOSIGNAL = 0x4000;
/** Bytes of struct sockaddr_un before its path (include/uapi/linux/un.h), and of the path. */
const FAMILY_BYTES = 2;
const MAX_PATH_BYTES = 108;
/** errno of a receiver whose queue is full (include/uapi/asm-generic/errno-base.h). */
const EAGAIN = 11;
const RETRY_MS = 100;
const MAX_STATUS_BYTES = 1024;

/** What a service reports. Nothing is sent where no manager waits for it. */
export interface ServiceManager {
  /** The service works now; also ends a reload. `status`: a line that `systemctl status` prints. */
  ready(status: string): void;
  /** The configuration is being read again, until `ready`. */
  reloading(): void;
  stopping(status: string): void;
  /** Must be called at least once within this time, ms; undefined: the manager does not expect it. */
  readonly watchdogMs: number | undefined;
  /** Reports that the process still handles its work. */
  alive(): void;
}

type Environment = Record<string, string | undefined>;

/**
 * Returns the manager that the environment names, and removes it from the environment, which is inherited by programs
 * that the service starts. `load` is called only if there is a manager; `failed` is called once, with the reason, if the
 * manager cannot be reached.
 */
export async function openServiceManager(
  environment: Environment,
  load: () => Promise<System>,
  failed: (reason: string) => void,
): Promise<ServiceManager> {
  const { NOTIFY_SOCKET: path, WATCHDOG_USEC: limit, WATCHDOG_PID: watched } = environment;
  for (const name of ['NOTIFY_SOCKET', 'WATCHDOG_USEC', 'WATCHDOG_PID']) delete environment[name];
  let send = path ? await sender(path, load, failed) : undefined;
  const waiting: string[] = [];
  /** Sends what waits, in its order. The manager may be too busy to receive: it is tried again later. */
  const flush = (): void => {
    while (send && waiting.length > 0) {
      const error = send(waiting[0]!);
      if (error === EAGAIN) {
        setTimeout(flush, RETRY_MS).unref();
        return;
      }
      waiting.shift();
      if (error === 0) continue;
      send = undefined;
      failed(`sendto ${path}: error ${error}`);
    }
  };
  const notify = (...lines: string[]): void => {
    if (!send) return;
    waiting.push(lines.join('\n'));
    if (waiting.length === 1) flush();
  };
  const isWatched = Number(limit) > 0 && (watched === undefined || Number(watched) === process.pid);
  return {
    ready: (status) => notify('READY=1', statusLine(status)),
    // CLOCK_MONOTONIC, which process.hrtime reads, tells systemd 253 and newer which reload this is.
    reloading: () => notify('RELOADING=1', `MONOTONIC_USEC=${process.hrtime.bigint() / 1000n}`),
    stopping: (status) => notify('STOPPING=1', statusLine(status)),
    watchdogMs: send && isWatched ? Number(limit) / 1000 : undefined,
    alive: () => {
      if (waiting.length === 0) notify('WATCHDOG=1');
    },
  };
}

/** Reports that the event loop runs, twice in the time that the manager waits. Dispose it to stop. */
export function startWatchdog(manager: Pick<ServiceManager, 'watchdogMs' | 'alive'>): Disposable {
  const timer =
    manager.watchdogMs === undefined ? undefined : setInterval(manager.alive, manager.watchdogMs / 2);
  timer?.unref();
  return { [Symbol.dispose]: () => clearInterval(timer) };
}

const statusLine = (text: string): string =>
  `STATUS=${text.replaceAll('\n', ' ').slice(0, MAX_STATUS_BYTES / 4)}`;

/** Returns a function that sends a datagram, and returns 0 or an errno. */
async function sender(
  path: string,
  load: () => Promise<System>,
  failed: (reason: string) => void,
): Promise<((text: string) => number) | undefined> {
  // A path that begins with @ is in the abstract namespace (unix(7)).
  const name = Buffer.from(path.startsWith('@') ? `\0${path.slice(1)}` : `${path}\0`);
  if (name.length > MAX_PATH_BYTES) {
    failed(`NOTIFY_SOCKET: longer than ${MAX_PATH_BYTES} bytes`);
    return undefined;
  }
  let system: System;
  try {
    system = await load();
  } catch (error) {
    if (!(error instanceof SystemUnavailable)) throw error;
    failed(error.message);
    return undefined;
  }
  const socket = system.socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (socket < 0) {
    failed(`socket: error ${-socket}`);
    return undefined;
  }
  const arena = new Arena(system, MAX_STATUS_BYTES + FAMILY_BYTES + MAX_PATH_BYTES + 16);
  return (text) =>
    arena.lend(FAMILY_BYTES + name.length, (address) => {
      // In host order: every supported architecture is little-endian.
      address.view.setUint16(0, AF_UNIX, true);
      address.bytes.set(name, FAMILY_BYTES);
      const message = Buffer.from(text).subarray(0, MAX_STATUS_BYTES);
      return arena.lend(message.length, (block) => {
        block.bytes.set(message);
        const { address: to, bytes } = address;
        const sent = system.sendTo(socket, block.address, message.length, MSG_NOSIGNAL, to, bytes.length);
        return Math.max(0, -sent);
      });
    });
}
