/** How many ICMP errors the director sends at most: strangers must not make it a source of floods (RFC 1812, RFC 4443). */
import type { Address } from '../wire/address.ts';
import { mix } from '../wire/hash.ts';

/** ms between two errors to one address (icmp_ratelimit, net/ipv4/icmp.c, Linux 6.1), and how many may come at once. */
const PERIOD = 1000;
const AT_ONCE = 6;
/** The same to all addresses together (icmp_msgs_per_sec, icmp_msgs_burst). */
const PERIOD_OF_ALL = 1;
const AT_ONCE_TO_ALL = 50;
/** Addresses are told apart by this many bits of a hash; those that are not share their allowance. */
const BITS = 12;

/** How far allowances may be used up ahead of the time, ms. */
const AHEAD = (AT_ONCE - 1) * PERIOD;
const AHEAD_OF_ALL = (AT_ONCE_TO_ALL - 1) * PERIOD_OF_ALL;

/** Takes fixed memory, whoever asks. */
export class ErrorLimit {
  /** Until when each hash's allowance is used up, ms; the last place: that of all. */
  readonly #used = new Float64Array((1 << BITS) + 1);
  /** The clock, ms; a typed array, because it is written with every packet. */
  readonly #now = new Float64Array(1);
  readonly #seed: number;

  /** `seed`: 32 random bits, secret: nobody chooses whom he shares an allowance with. */
  constructor(seed: number) {
    this.#seed = seed;
  }

  /** Another one that allows what this one would. */
  copy(): ErrorLimit {
    const copy = new ErrorLimit(this.#seed);
    copy.#used.set(this.#used);
    copy.#now.set(this.#now);
    return copy;
  }

  /** It is `now`, ms. */
  advance(now: number): void {
    this.#now[0] = now;
  }

  /** Reports whether an error may be sent to the address now; it counts as sent. */
  allows(to: Address): boolean {
    const used = this.#used;
    const now = this.#now[0]!;
    let hash = this.#seed;
    for (let i = 0; i < 4; i++) hash = mix(hash ^ to[i]!) ^ (hash >>> 15);
    const place = hash >>> (32 - BITS);
    const all = 1 << BITS;
    if (used[place]! > now + AHEAD || used[all]! > now + AHEAD_OF_ALL) return false;
    used[place] = Math.max(used[place]!, now) + PERIOD;
    used[all] = Math.max(used[all]!, now) + PERIOD_OF_ALL;
    return true;
  }
}
