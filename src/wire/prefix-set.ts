/** A set of prefixes, which finds those that an address is in without making objects. */
import { type Address, isV4, maskAddress } from './address.ts';
import { AddressMap } from './address-map.ts';
import { maskOf, type Prefix } from './prefix.ts';

/** Bits that IPv4 prefixes have at least. */
const IPV4_BITS = 96;

export class PrefixSet {
  /** By the number of bits. */
  readonly #byBits: (AddressMap<true> | undefined)[] = [];
  /** Numbers of bits in use, longest first. */
  #lengths: number[] = [];
  readonly #masked: Address = new Uint32Array(4);
  #size = 0;

  get size(): number {
    return this.#size;
  }

  add({ address, bits }: Prefix): void {
    let addresses = this.#byBits[bits];
    if (!addresses) {
      addresses = new AddressMap();
      this.#byBits[bits] = addresses;
      this.#lengths = [...this.#lengths, bits].sort((a, b) => b - a);
    }
    const { size } = addresses;
    addresses.set(address, true);
    this.#size += addresses.size - size;
  }

  delete({ address, bits }: Prefix): void {
    const addresses = this.#byBits[bits];
    if (!addresses?.has(address)) return;
    addresses.delete(address);
    this.#size--;
    if (addresses.size > 0) return;
    this.#byBits[bits] = undefined;
    this.#lengths = this.#lengths.filter((each) => each !== bits);
  }

  /** Returns the bits of the longest prefix that the address is in, of 128; -1: it is in none. */
  match(address: Address): number {
    const least = isV4(address) ? IPV4_BITS : 0;
    for (const bits of this.#lengths) {
      if (bits < least) return -1;
      if (this.#byBits[bits]!.has(maskAddress(address, maskOf(bits), this.#masked))) return bits;
    }
    return -1;
  }

  /** Returns the longest prefix that all addresses of `prefix` are in. */
  covering({ address, bits: most }: Prefix): Prefix | undefined {
    const least = isV4(address) && most >= IPV4_BITS ? IPV4_BITS : 0;
    for (const bits of this.#lengths) {
      if (bits > most) continue;
      if (bits < least) return undefined;
      const masked = maskAddress(address, maskOf(bits), new Uint32Array(4));
      if (this.#byBits[bits]!.has(masked)) return { address: masked, bits };
    }
    return undefined;
  }

  /** Returns the longest prefix that the address is in; undefined: it is in none. */
  find(address: Address): Prefix | undefined {
    const bits = this.match(address);
    return bits < 0 ? undefined : { address: maskAddress(address, maskOf(bits), new Uint32Array(4)), bits };
  }
}
