/** Tells keepalived by a file whether this director can serve, and lets the VIPs move before the director ends. */
import { setTimeout as sleep } from 'node:timers/promises';
import { interfaceAddresses } from '../host/interface-addresses.ts';
import { ReadyFile } from '../host/ready-file.ts';
import type { VipAddress } from '../host/vip-addresses.ts';
import { monotonicClock } from '../io/pump.ts';
import { ROUTES_MS } from './announcements.ts';
import type { Log } from './log.ts';

/** How long VIPs may take to leave this host, ms. keepalived removes them within 100 ms. */
const LEAVE_MS = 1500;
const LOOK_INTERVAL_MS = 10;
/** How long packets that arrived before may wait in queues, ms. */
const QUEUE_MS = 200;

export interface ReadinessOptions {
  /** Path of the file; undefined: there is none. */
  readonly file: string | undefined;
  /** Reports whether packets are forwarded, and the connections of the other director are known. */
  readonly isReady: () => boolean;
  /** Reports whether this host has a VIP of a service that another program added. */
  readonly hasOthersVip: () => boolean;
  /** Withdraws the VIPs from routers; resolves with whether some were announced. */
  readonly withdraw: () => Promise<boolean>;
  /** Sends to the backups what they lack. Called when the VIPs have left. */
  readonly handOver: () => Promise<void>;
  readonly log: Log;
}

export class Readiness {
  readonly #options: ReadinessOptions;
  readonly #file: ReadyFile | undefined;

  /** Throws LvsError if the file cannot be written. */
  constructor(options: ReadinessOptions) {
    const { file, log } = options;
    this.#options = options;
    this.#file =
      file === undefined
        ? undefined
        : new ReadyFile(file, (reason) => log('error', 'ready-file-failed', { reason }));
  }

  /** Writes the file. Call it once a second, from the time on at which packets are forwarded. */
  update(): void {
    this.#file?.set(this.#options.isReady());
  }

  /**
   * Returns a signal that aborts after `ending`, with its reason: when the VIPs have left this host, and the backups have all
   * connections. Packets are forwarded until then.
   */
  leaving(ending: AbortSignal): AbortSignal {
    const left = new AbortController();
    const leave = () => this.#leave().finally(() => left.abort(ending.reason));
    if (ending.aborted) void leave();
    else ending.addEventListener('abort', () => void leave(), { once: true });
    return left.signal;
  }

  close(): void {
    this.#file?.close();
  }

  async #leave(): Promise<void> {
    const { handOver, withdraw } = this.#options;
    const wasReady = this.#file?.isReady === true;
    this.#file?.set(false);
    const wereAnnounced = await withdraw();
    if (wasReady) await this.#untilMoved();
    await handOver();
    if (wereAnnounced) await sleep(ROUTES_MS);
    if (!wasReady && !wereAnnounced) return;
    await sleep(QUEUE_MS);
    await handOver();
  }

  /** Resolves when the VIPs have left this host, or after a while. */
  async #untilMoved(): Promise<void> {
    const { hasOthersVip, log } = this.#options;
    const deadline = monotonicClock() + LEAVE_MS;
    while (hasOthersVip() && monotonicClock() < deadline) await sleep(LOOK_INTERVAL_MS);
    if (hasOthersVip())
      log('warning', 'vips-remain', {
        reason: `no program removed the VIPs within ${LEAVE_MS / 1000} s after the ready file said so`,
      });
  }
}

/** Reports whether this host has one of these addresses of services, besides the VIPs that the director holds. */
export function hasOthersVip(services: ReadonlySet<string>, held: readonly VipAddress[]): boolean {
  const own = new Set(held.map(({ address }) => address));
  return interfaceAddresses().some(({ address }) => services.has(address) && !own.has(address));
}
