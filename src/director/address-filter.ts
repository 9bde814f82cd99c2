/** Which addresses a packet may come from or go to at all, told fast; now and then it says yes where it is no. */
import type { Address } from '../wire/address.ts';
import { mix } from '../wire/hash.ts';

export class AddressFilter {
  /** How many were added, by a hash of the address. */
  readonly #counts = new Map<number, number>();

  add(address: Address): void {
    const hash = hashOf(address);
    this.#counts.set(hash, (this.#counts.get(hash) ?? 0) + 1);
  }

  /** Takes back one `add`. */
  remove(address: Address): void {
    const hash = hashOf(address);
    const count = this.#counts.get(hash)! - 1;
    if (count > 0) this.#counts.set(hash, count);
    else this.#counts.delete(hash);
  }

  /** False: it was never added, or removed again. */
  mayHave(address: Address): boolean {
    return this.#counts.has(hashOf(address));
  }
}

/** 30 bits, so that the map's keys are small integers. Only what is configured is added: no seed. */
function hashOf(address: Address): number {
  let hash = 0;
  for (let i = 0; i < 4; i++) hash = mix(hash ^ address[i]!) ^ (hash >>> 15);
  return hash & 0x3fffffff;
}
