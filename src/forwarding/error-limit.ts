/**
 * Limits the ICMP errors that the director sends, so that it cannot be used for floods (RFC 1812, RFC 4443).
 */
import type { Address } from '../wire/address.ts';
import { mix } from '../wire/hash.ts';

/**
 * Interval of errors to one address, ms (icmp_ratelimit, net/ipv4/icmp.c, Linux 6.1), and the size of a
 * burst.
 */
const ERROR_INTERVAL_MS = 1000;
const BURST_ERRORS = 6;
/** The same for all addresses together (icmp_msgs_per_sec, icmp_msgs_burst). */
const TOTAL_ERROR_INTERVAL_MS = 1;
const TOTAL_BURST_ERRORS = 50;
/** Bits of the hash of an address; addresses with equal hashes share their limit. */
const HASH_BITS = 12;

/** How far a burst may exceed the rate, ms. */
const BURST_MS = (BURST_ERRORS - 1) * ERROR_INTERVAL_MS;
const TOTAL_BURST_MS = (TOTAL_BURST_ERRORS - 1) * TOTAL_ERROR_INTERVAL_MS;

/** Uses a fixed amount of memory. */
export class ErrorLimit {
  /** Time until which each hash's allowance is used up, ms; the last entry: that of all addresses. */
  readonly #used = new Float64Array((1 << HASH_BITS) + 1);
  /** The clock, ms; a typed array, because it is written with every packet. */
  readonly #now = new Float64Array(1);
  readonly #seed: number;

  /**
   * `seed`: 32 random bits, secret, so that senders cannot choose the addresses with which they share a
   * limit.
   */
  constructor(seed: number) {
    this.#seed = seed;
  }

  /** Returns a copy with the same allowances. */
  copy(): ErrorLimit {
    const copy = new ErrorLimit(this.#seed);
    copy.#used.set(this.#used);
    copy.#now.set(this.#now);
    return copy;
  }

  /** Sets the time to `now`, ms. */
  advance(now: number): void {
    this.#now[0] = now;
  }

  /** Reports whether an error may be sent to the address now; it counts as sent. */
  allows(to: Address): boolean {
    const used = this.#used;
    const now = this.#now[0]!;
    let hash = this.#seed;
    for (let i = 0; i < 4; i++) hash = mix(hash ^ to[i]!) ^ (hash >>> 15);
    const place = hash >>> (32 - HASH_BITS);
    const all = 1 << HASH_BITS;
    if (used[place]! > now + BURST_MS || used[all]! > now + TOTAL_BURST_MS) return false;
    used[place] = Math.max(used[place]!, now) + ERROR_INTERVAL_MS;
    used[all] = Math.max(used[all]!, now) + TOTAL_ERROR_INTERVAL_MS;
    return true;
  }
}
