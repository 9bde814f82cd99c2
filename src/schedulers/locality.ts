/**
 * The destinations that lblc and lblcr assign to virtual addresses, and their expiration (ip_vs_lblc.c, Linux
 * 6.1).
 */
import { type Address, sameAddress } from '../wire/address.ts';
import { mix } from '../wire/hash.ts';

const BUCKET_BITS = 10;
const BUCKETS = 1 << BUCKET_BITS;
/** Number of entries above which idle ones expire early. */
const EARLY_EXPIRY_SIZE = BUCKETS * 16;
/** Maximum number of entries; the kernel's limit is its memory. */
const MAX_ENTRIES = EARLY_EXPIRY_SIZE * 16;
/** Time between two sweeps, ms. */
const SWEEP_INTERVAL_MS = 60_000;
/** Number of sweeps after which one removes all entries older than the expiration. */
const SWEEPS_PER_FULL_SWEEP = 30;
/** Time without use after which an entry may expire early, ms. */
const IDLE_MS = 6 * 60_000;

interface Memory<T> {
  readonly address: Address;
  value: T;
  /** ms of the director's clock. */
  usedAt: number;
}

/** A value per virtual address; a lookup allocates nothing. */
export class Locality<T> {
  readonly #buckets: Memory<T>[][] = Array.from({ length: BUCKETS }, () => []);
  #size = 0;
  #sweeps = 0;
  #sweptAt: number | undefined;
  #rover = 0;

  get size(): number {
    return this.#size;
  }

  /** Returns the value of the address, and marks it as used at `now` (ms). */
  recall(address: Address, now: number): T | undefined {
    for (const memory of this.#bucket(address)) {
      if (!sameAddress(memory.address, address)) continue;
      memory.usedAt = now;
      return memory.value;
    }
    return undefined;
  }

  /** Returns the value of the address without marking it as used. */
  peek(address: Address): T | undefined {
    return this.#bucket(address).find((memory) => sameAddress(memory.address, address))?.value;
  }

  /** Sets the value of the address, unless the table is full. */
  remember(address: Address, value: T, now: number): void {
    const bucket = this.#bucket(address);
    const known = bucket.find((memory) => sameAddress(memory.address, address));
    if (known) {
      known.value = value;
      known.usedAt = now;
    } else if (this.#size < MAX_ENTRIES) {
      bucket.push({ address: address.slice(), value, usedAt: now });
      this.#size++;
    }
  }

  /** Removes expired entries; `expiration`: ms without use. To be called about once a second. */
  age(now: number, expiration: number): void {
    this.#sweptAt ??= now;
    while (now - this.#sweptAt >= SWEEP_INTERVAL_MS) {
      this.#sweptAt += SWEEP_INTERVAL_MS;
      this.#sweeps = (this.#sweeps + 1) % SWEEPS_PER_FULL_SWEEP;
      if (this.#sweeps === 0) this.#forget(this.#sweptAt - expiration, this.#size);
      else if (this.#size > EARLY_EXPIRY_SIZE) {
        const excess = Math.floor(((this.#size - EARLY_EXPIRY_SIZE) * 4) / 3);
        this.#forget(this.#sweptAt - IDLE_MS, Math.min(excess, EARLY_EXPIRY_SIZE / 2));
      }
    }
  }

  /**
   * Removes entries that were not used since then, from the bucket after the last one visited, until `enough`
   * are removed.
   */
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
    return this.#buckets[mix(folded) >>> (32 - BUCKET_BITS)]!;
  }
}

/**
 * Tracks the destinations in the service's list: an entry may refer to one that was removed, and that may be
 * added again.
 */
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
