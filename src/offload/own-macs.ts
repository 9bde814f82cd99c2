/**
 * MAC addresses of interfaces. A program at XDP passes frames of other hosts by them, which a switch sends to all ports when it does
 * not know where their host is, and which a card in promiscuous mode accepts: at XDP, the kernel has not compared the address.
 */
import type { Bpf } from '../ebpf/bpf.ts';
import { BpfMap } from '../ebpf/map.ts';
import { parseMac } from '../wire/ethernet.ts';

/** Entries, found by the lowest bits of an interface's index: of two with the same ones, the later is compared. */
export const INTERFACES = 256;
/** Bytes of an entry, as a shift. */
export const INTERFACE_SHIFT = 4;
/** Offsets in an entry: index of the interface, and its address as in a frame. */
export const INTERFACE = { index: 0, mac: 4 } as const;

export class OwnMacs implements Disposable {
  readonly #map: BpfMap;
  readonly #value = new DataView(new ArrayBuffer(INTERFACES << INTERFACE_SHIFT));
  readonly #known = new Map<number, string>();

  /** Throws SystemCallError. */
  constructor(bpf: Bpf) {
    this.#map = new BpfMap(bpf, {
      type: 'array',
      name: 'lvs_macs',
      keySize: 4,
      valueSize: this.#value.byteLength,
      entries: 1,
    });
  }

  /** Descriptor of the array, which has one value. */
  get descriptor(): number {
    return this.#map.descriptor;
  }

  /** Sets the address of an interface: aa:bb:cc:dd:ee:ff. Throws SystemCallError. */
  set(index: number, mac: string): void {
    if (this.#known.get(index) === mac) return;
    const address = parseMac(mac);
    if (!address) return;
    const at = (index % INTERFACES) << INTERFACE_SHIFT;
    this.#value.setUint32(at + INTERFACE.index, index, true);
    for (const [i, octet] of address.entries()) this.#value.setUint8(at + INTERFACE.mac + i, octet);
    this.#map.update(new Uint8Array(4), new Uint8Array(this.#value.buffer));
    this.#known.set(index, mac);
  }

  [Symbol.dispose](): void {
    this.#map[Symbol.dispose]();
  }
}
