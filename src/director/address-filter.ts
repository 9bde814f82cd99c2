/**
 * A filter that quickly excludes addresses that no packet of a service has; it has false positives, no false
 * negatives.
 */
import type { Address } from '../wire/address.ts';
import { mix } from '../wire/hash.ts';

export class AddressFilter {
  /** Number of additions, by a hash of the address. */
  readonly #counts = new Map<number, number>();

  add(address: Address): void {
    const hash = hashOf(address);
    this.#counts.set(hash, (this.#counts.get(hash) ?? 0) + 1);
  }

  /** Reverts one `add`. */
  remove(address: Address): void {
    const hash = hashOf(address);
    const count = this.#counts.get(hash)! - 1;
    if (count > 0) this.#counts.set(hash, count);
    else this.#counts.delete(hash);
  }

  /** Returns false when the address was never added, or removed again. */
  mayHave(address: Address): boolean {
    return this.#counts.has(hashOf(address));
  }
}

/**
 * Returns 30 bits, so that the map's keys are small integers. Only configured addresses are added: no seed is
 * needed.
 */
function hashOf(address: Address): number {
  let hash = 0;
  for (let i = 0; i < 4; i++) hash = mix(hash ^ address[i]!) ^ (hash >>> 15);
  return hash & 0x3fffffff;
}
