/** Sends IP packets of both families through raw sockets along the host's routes: shared by the drivers that run on a host. */
import { type Address, formatAddress, isV4 } from '../wire/address.ts';
import type { Frame } from '../wire/frame.ts';
import { openRawSender, type RawSender } from './raw-socket.ts';

/** Next hops whose text is cached: a power of two. */
const CACHED_HOPS = 4096;

/** The raw sockets of a driver. They live as long as the process. */
export class RawSenders {
  readonly #v4: RawSender;
  readonly #v6: RawSender | undefined;
  readonly #hopKeys = new Int32Array(CACHED_HOPS);
  readonly #hopTexts: string[] = new Array(CACHED_HOPS).fill('0.0.0.0');

  /** Use `openRawSenders`. `v6`: undefined on a host without IPv6. */
  constructor(v4: RawSender, v6: RawSender | undefined) {
    this.#v4 = v4;
    this.#v6 = v6;
  }

  /** Sends the packet towards `nextHop`; returns false if the kernel refused it. */
  send({ bytes, start, length }: Frame, nextHop: Address): boolean {
    if (isV4(nextHop)) return this.#v4.send(bytes, start, length, this.#hopText(nextHop[3]!));
    return this.#v6?.send(bytes, start, length, formatAddress(nextHop)) ?? false;
  }

  /** Returns the number of refused packets since the start, by the system's error message. */
  failures(): Record<string, number> {
    const failures: Record<string, number> = {};
    for (const sender of [this.#v4, this.#v6])
      for (const [error, count] of sender?.failures ?? []) failures[error] = (failures[error] ?? 0) + count;
    return failures;
  }

  /** Formats an IPv4 address without allocating for a cached one. */
  #hopText(word: number): string {
    const key = word | 0;
    const slot = (Math.imul(key, 0x9e3779b1) >>> 20) & (CACHED_HOPS - 1);
    if (this.#hopKeys[slot] !== key) {
      this.#hopKeys[slot] = key;
      this.#hopTexts[slot] = `${word >>> 24}.${(word >>> 16) & 255}.${(word >>> 8) & 255}.${word & 255}`;
    }
    return this.#hopTexts[slot]!;
  }
}

/** Opens the raw sockets. Needs CAP_NET_RAW. Throws LvsError. */
export async function openRawSenders(): Promise<RawSenders> {
  const v4 = await openRawSender(4);
  const v6 = await openRawSender(6).catch(() => undefined);
  return new RawSenders(v4, v6);
}
