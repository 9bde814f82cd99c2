/** What lblc and lblcr remember of each virtual address, and how it is forgotten (ip_vs_lblc.c, Linux 6.1). */
import { type Address, sameAddress } from '../wire/address.ts';

const BUCKET_BITS = 10;
const BUCKETS = 1 << BUCKET_BITS;
/** Multiplicative hashing, Knuth, The Art of Computer Programming 6.4: 2^32 over the golden ratio. */
const GOLDEN = 0x9e37_79b1;
/** Memories above which idle ones are forgotten early. */
const COMFORTABLE = BUCKETS * 16;
/** Memories above which nothing new is remembered; the kernel's bound is its memory. */
const LIMIT = COMFORTABLE * 16;
/** ms between two looks for what is to be forgotten. */
const PERIOD = 60_000;
/** Every so many looks, all that is older than the expiration goes. */
const FULL_LOOK = 30;
/** ms without use after which a memory may be forgotten early. */
const IDLE = 6 * 60_000;

interface Memory<T> {
  readonly address: Address;
  value: T;
  /** ms, of the director's clock. */
  usedAt: number;
}

/** A value for each virtual address; finding one allocates nothing. */
export class Locality<T> {
  readonly #buckets: Memory<T>[][] = Array.from({ length: BUCKETS }, () => []);
  #size = 0;
  #looks = 0;
  #lookedAt: number | undefined;
  #rover = 0;

  get size(): number {
    return this.#size;
  }

  /** What is remembered of the address, which counts as used now (ms). */
  recall(address: Address, now: number): T | undefined {
    for (const memory of this.#bucket(address)) {
      if (!sameAddress(memory.address, address)) continue;
      memory.usedAt = now;
      return memory.value;
    }
    return undefined;
  }

  /** Returns the same, and it does not count as used. */
  peek(address: Address): T | undefined {
    return this.#bucket(address).find((memory) => sameAddress(memory.address, address))?.value;
  }

  /** Stores a value for the address, in place of an earlier one, unless the memory is full. */
  remember(address: Address, value: T, now: number): void {
    const bucket = this.#bucket(address);
    const known = bucket.find((memory) => sameAddress(memory.address, address));
    if (known) {
      known.value = value;
      known.usedAt = now;
    } else if (this.#size < LIMIT) {
      bucket.push({ address: address.slice(), value, usedAt: now });
      this.#size++;
    }
  }

  /** Forgets what its age asks for; `expiration`: ms without use. To be called about once a second. */
  age(now: number, expiration: number): void {
    this.#lookedAt ??= now;
    while (now - this.#lookedAt >= PERIOD) {
      this.#lookedAt += PERIOD;
      this.#looks = (this.#looks + 1) % FULL_LOOK;
      if (this.#looks === 0) this.#forget(this.#lookedAt - expiration, this.#size);
      else if (this.#size > COMFORTABLE) {
        const excess = Math.floor(((this.#size - COMFORTABLE) * 4) / 3);
        this.#forget(this.#lookedAt - IDLE, Math.min(excess, COMFORTABLE / 2));
      }
    }
  }

  /** Forgets what was not used since then, bucket by bucket from where it last stopped, until there were enough. */
  #forget(since: number, enough: number): void {
    const before = this.#size;
    for (let i = 0; i < BUCKETS && before - this.#size < enough; i++) {
      this.#rover = (this.#rover + 1) % BUCKETS;
      const bucket = this.#buckets[this.#rover]!;
      const kept = bucket.filter((memory) => memory.usedAt > since);
      this.#size -= bucket.length - kept.length;
      this.#buckets[this.#rover] = kept;
    }
  }

  #bucket(address: Address): Memory<T>[] {
    const folded = address[0]! ^ address[1]! ^ address[2]! ^ address[3]!;
    return this.#buckets[Math.imul(folded, GOLDEN) >>> (32 - BUCKET_BITS)]!;
  }
}

/** Returns the destinations in the service's list now: a memory may hold one that was removed, and that may come back. */
export function listed<D>(destinations: readonly D[]) {
  const present = new Set<D>(destinations);
  return {
    has: (destination: D): boolean => present.has(destination),
    changed: (what: 'added' | 'edited' | 'removed', destination: D): void => {
      if (what === 'removed') present.delete(destination);
      else present.add(destination);
    },
  };
}
