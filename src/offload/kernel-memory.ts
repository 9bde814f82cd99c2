/** Memory of the connection table that programs of the kernel map, too. */
import type { Bpf } from '../ebpf/bpf.ts';
import { BpfMap } from '../ebpf/map.ts';
import { LvsError } from '../model/errors.ts';
import { ordinaryMemory, type Region, type RegionName, type TableMemory } from '../table/memory.ts';
import {
  DESTINATION_BYTES,
  LIST_ENTRY_BYTES,
  MAX_LIST_ENTRIES,
  MAX_RECORDS,
  NEXT_HOP_BYTES,
  SERVICE_BYTES,
} from '../table/record-layout.ts';
import type { Pins } from './pins.ts';

/** The arrays that programs use. */
const SHARED: readonly RegionName[] = [
  'rows',
  'order',
  'spilled',
  'head',
  'destinations',
  'services',
  'lists',
  'nextHops',
  'settings',
  'counters',
];
/** Arrays that grow have their full size from the start: programs are emitted for one map. */
const FULL_BYTES: Partial<Record<RegionName, number>> = {
  destinations: MAX_RECORDS * DESTINATION_BYTES,
  services: MAX_RECORDS * SERVICE_BYTES,
  lists: MAX_LIST_ENTRIES * LIST_ENTRY_BYTES,
  nextHops: MAX_RECORDS * NEXT_HOP_BYTES,
};

/** The verifier refuses offsets from here on (Linux 6.18, include/linux/bpf_verifier.h BPF_MAX_VAR_OFF). */
const REACHABLE_BYTES = 2 ** 29;

export class KernelMemory implements TableMemory {
  readonly #bpf: Bpf;
  readonly #pins: Pins | undefined;
  readonly #regions = new Map<RegionName, { readonly map: BpfMap; readonly region: Region }>();

  /** `pins`: keep the arrays beyond this process. */
  constructor(bpf: Bpf, pins?: Pins) {
    this.#bpf = bpf;
    this.#pins = pins;
  }

  /** Bytes of the kernel's memory. */
  get bytes(): number {
    return [...this.#regions.values()].reduce((sum, { map }) => sum + map.options.valueSize, 0);
  }

  /** Throws LvsError if programs cannot reach the end of the array, and SystemCallError: ENOMEM if memory is short. */
  reserve(name: RegionName, bytes: number): Region {
    if (!SHARED.includes(name)) return ordinaryMemory.reserve(name, bytes);
    const known = this.#regions.get(name);
    if (known && bytes <= known.map.options.valueSize) return known.region;
    if (bytes >= REACHABLE_BYTES)
      throw new LvsError(
        'UNAVAILABLE',
        `kernel path: array ${name} of ${bytes} bytes: expected less than ${REACHABLE_BYTES} (fewer --connections, or --datapath live)`,
      );
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
    this.#pins?.keep(name, map.descriptor);
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
