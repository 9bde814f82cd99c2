/** Memory of the connection table that programs of the kernel map, too. */

import type { Bpf } from '../ebpf/bpf.ts';
import { BpfMap, mapOptions } from '../ebpf/map.ts';
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
import { assertFit } from '../table/unfit-memory.ts';
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
  // Programs do not use these: they are kept for the next director.
  'templates',
  'meters',
];
/** Arrays that are made when they are needed. */
const OPTIONAL: readonly RegionName[] = ['templates', 'meters'];
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
  /** Its arrays are those of another process. */
  #isOpened = false;
  readonly #regions = new Map<RegionName, { readonly map: BpfMap; readonly region: Region }>();

  /** `pins`: keep the arrays beyond this process. */
  constructor(bpf: Bpf, pins?: Pins) {
    this.#bpf = bpf;
    this.#pins = pins;
  }

  /** Opens the arrays that another process has left. Throws UnfitMemory if one is missing or is none, SystemCallError. */
  open(): void {
    this.#isOpened = true;
    const pins = this.#pins!;
    for (const name of SHARED) {
      if (!pins.has(name)) {
        assertFit(OPTIONAL.includes(name), () => `array ${name}: missing`);
        continue;
      }
      const descriptor = pins.open(name);
      const options = mapOptions(this.#bpf, descriptor);
      const { type, keySize, entries, mapped, valueSize } = options;
      assertFit(
        type === 'array' &&
          keySize === 4 &&
          entries === 1 &&
          mapped === true &&
          valueSize >= (FULL_BYTES[name] ?? 1),
        () => `array ${name}: another type or size`,
      );
      const map = new BpfMap(this.#bpf, options, 1, descriptor);
      const { buffer, byteOffset } = map.mapped().bytes;
      this.#regions.set(name, { map, region: { buffer, offset: byteOffset } });
    }
  }

  /** Reports whether the array has exactly so many bytes. */
  isSized(name: RegionName, bytes: number): boolean {
    return this.#regions.get(name)?.map.options.valueSize === bytes;
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
    assertFit(
      !known || !this.#isOpened,
      () => `array ${name}: ${known?.map.options.valueSize} bytes: expected ${bytes}`,
    );
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

  has(name: RegionName): boolean {
    return this.#regions.has(name);
  }

  /** Returns the descriptor of an array that programs use. Throws RangeError if it was not reserved. */
  descriptor(name: RegionName): number {
    const known = this.#regions.get(name);
    if (!known) throw new RangeError(`array ${name}: not reserved`);
    return known.map.descriptor;
  }
}
