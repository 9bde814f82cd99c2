/** Memory of the connection table that programs of the kernel map, too. */
import type { Bpf } from '../ebpf/bpf.ts';
import { BpfMap } from '../ebpf/map.ts';
import { ordinaryMemory, type Region, type RegionName, type TableMemory } from '../table/memory.ts';
import { DESTINATION_BYTES, MAX_RECORDS, NEXT_HOP_BYTES } from '../table/record-layout.ts';

/** The arrays that programs use. */
const SHARED: readonly RegionName[] = ['rows', 'destinations', 'nextHops', 'settings', 'counters'];
/** Arrays that grow have their full size from the start: programs are emitted for one map. */
const FULL_BYTES: Partial<Record<RegionName, number>> = {
  destinations: MAX_RECORDS * DESTINATION_BYTES,
  nextHops: MAX_RECORDS * NEXT_HOP_BYTES,
};

export class KernelMemory implements TableMemory {
  readonly #bpf: Bpf;
  readonly #regions = new Map<RegionName, { readonly map: BpfMap; readonly region: Region }>();

  constructor(bpf: Bpf) {
    this.#bpf = bpf;
  }

  /** Bytes of the kernel's memory. */
  get bytes(): number {
    return [...this.#regions.values()].reduce((sum, { map }) => sum + map.options.valueSize, 0);
  }

  /** Throws SystemCallError: ENOMEM if memory is short, E2BIG if the array is too large for a map. */
  reserve(name: RegionName, bytes: number): Region {
    if (!SHARED.includes(name)) return ordinaryMemory.reserve(name, bytes);
    const known = this.#regions.get(name);
    if (known && bytes <= known.map.options.valueSize) return known.region;
    known?.map[Symbol.dispose]();
    const valueSize = Math.max(bytes, FULL_BYTES[name] ?? 0);
    const map = new BpfMap(this.#bpf, {
      type: 'array',
      name: `lvs_${name}`,
      keySize: 4,
      valueSize,
      entries: 1,
      mapped: true,
    });
    const { buffer, byteOffset } = map.mapped().bytes;
    const region: Region = { buffer, offset: byteOffset };
    this.#regions.set(name, { map, region });
    return region;
  }

  /** Returns the descriptor of an array that programs use. Throws RangeError if it was not reserved. */
  descriptor(name: RegionName): number {
    const known = this.#regions.get(name);
    if (!known) throw new RangeError(`array ${name}: not reserved`);
    return known.map.descriptor;
  }
}
