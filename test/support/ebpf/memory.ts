/** The interpreter's memory: regions far apart, so that an access outside of one is found and never lands in another. */

/** Regions begin at multiples of this. */
const APART = 32n;

export interface Region {
  readonly name: string;
  readonly base: bigint;
  readonly bytes: Uint8Array;
  /** Octets before this are out of bounds: a packet's headroom. */
  start: number;
  /** Octets from here on are out of bounds. */
  end: number;
}

/** An access that the kernel's verifier would have refused, or that would have torn the kernel. */
export class Fault extends Error {}

export class Memory {
  readonly #regions: Region[] = [];

  /** Maps octets into the address space, shared: what the program writes is seen outside. */
  map(name: string, bytes: Uint8Array, start = 0, end = bytes.length): Region {
    const region = { name, base: BigInt(this.#regions.length + 1) << APART, bytes, start, end };
    this.#regions.push(region);
    return region;
  }

  /** An unsigned little-endian number of `size` octets. */
  load(address: bigint, size: number): bigint {
    const [bytes, at] = this.#find(address, size, 'load');
    let value = 0n;
    for (let i = size - 1; i >= 0; i--) value = (value << 8n) | BigInt(bytes[at + i]!);
    return value;
  }

  store(address: bigint, size: number, value: bigint): void {
    const [bytes, at] = this.#find(address, size, 'store');
    for (let i = 0; i < size; i++) bytes[at + i] = Number((value >> BigInt(8 * i)) & 0xffn);
  }

  /** A copy of `length` octets. */
  read(address: bigint, length: number): Uint8Array {
    const [bytes, at] = this.#find(address, length, 'read');
    return bytes.slice(at, at + length);
  }

  #find(address: bigint, size: number, what: string): [bytes: Uint8Array, at: number] {
    const region = this.#regions[Number(address >> APART) - 1];
    const at = region ? Number(address - region.base) : -1;
    if (!region || at < region.start || at + size > region.end)
      throw new Fault(
        `${what} of ${size} octets at ${region ? `${region.name}+${at - region.start} of ${region.end - region.start}` : `0x${address.toString(16)}`}`,
      );
    return [region.bytes, at];
  }
}
