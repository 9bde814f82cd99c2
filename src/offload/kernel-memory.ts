/** Arrays of the connection table that programs of the kernel map, too. */

import type { Bpf } from '../ebpf/bpf.ts';
import { BpfMap, mapOptions } from '../ebpf/map.ts';
import { LvsError } from '../model/errors.ts';
import { type ArrayStore, type KeptArray, KeptMemory } from '../table/kept-memory.ts';
import type { RegionName } from '../table/memory.ts';
import { assertFit } from '../table/unfit-memory.ts';
import type { Pins } from './pins.ts';

/** The verifier refuses offsets from here on (Linux 6.18, include/linux/bpf_verifier.h BPF_MAX_VAR_OFF). */
const REACHABLE_BYTES = 2 ** 29;

interface MapArray extends KeptArray {
  readonly map: BpfMap;
}

/** Maps of one value. */
class MapStore implements ArrayStore<MapArray> {
  readonly #bpf: Bpf;
  readonly #pins: Pins | undefined;
  readonly #made = new Map<RegionName, BpfMap>();

  constructor(bpf: Bpf, pins: Pins | undefined) {
    this.#bpf = bpf;
    this.#pins = pins;
  }

  has(name: RegionName): boolean {
    return this.#pins?.has(name) === true;
  }

  open(name: RegionName): MapArray {
    const descriptor = this.#pins!.open(name);
    const options = mapOptions(this.#bpf, descriptor);
    const { type, keySize, entries, mapped } = options;
    assertFit(
      type === 'array' && keySize === 4 && entries === 1 && mapped === true,
      () => `array ${name}: another type`,
    );
    return arrayIn(new BpfMap(this.#bpf, options, 1, descriptor));
  }

  make(name: RegionName, bytes: number): MapArray {
    if (bytes >= REACHABLE_BYTES)
      throw new LvsError(
        'UNAVAILABLE',
        `kernel path: array ${name} of ${bytes} bytes: expected less than ${REACHABLE_BYTES} (fewer --connections, or --datapath live)`,
      );
    this.#made.get(name)?.[Symbol.dispose]();
    const map = new BpfMap(this.#bpf, {
      type: 'array',
      name: `lvs_${name}`,
      keySize: 4,
      valueSize: bytes,
      entries: 1,
      mapped: true,
    });
    this.#made.set(name, map);
    this.#pins?.keep(name, map.descriptor);
    return arrayIn(map);
  }
}

function arrayIn(map: BpfMap): MapArray {
  const { buffer, byteOffset } = map.mapped().bytes;
  return { map, bytes: map.options.valueSize, region: { buffer, offset: byteOffset } };
}

export class KernelMemory extends KeptMemory<MapArray> {
  /** `pins`: keep the arrays beyond this process. */
  constructor(bpf: Bpf, pins?: Pins) {
    super(new MapStore(bpf, pins));
  }

  /** Returns the descriptor of an array that programs use. Throws RangeError if it was not reserved. */
  descriptor(name: RegionName): number {
    return this.array(name).map.descriptor;
  }
}
