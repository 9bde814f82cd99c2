/** Memory of a connection table in arrays that outlive the process: programs of the kernel and the next director have them, too. */
import { MAX_SLOTS_BYTES } from './control-slots.ts';
import { ordinaryMemory, type Region, type RegionName, type TableMemory } from './memory.ts';
import {
  DESTINATION_BYTES,
  LIST_ENTRY_BYTES,
  MAX_LIST_ENTRIES,
  MAX_RECORDS,
  METERS_BYTES,
  NEXT_HOP_BYTES,
  SERVICE_BYTES,
} from './record-layout.ts';
import { assertFit } from './unfit-memory.ts';

/** The arrays that others use. */
const ARRAYS: readonly RegionName[] = [
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
  'templates',
  // Programs do not use these: they are kept for the next director.
  'meters',
  'controls',
];
/** Arrays that the former layout, or a former version, does not have, or not always. */
const OPTIONAL_ARRAYS: readonly RegionName[] = ['templates', 'meters', 'controls'];
/** Arrays that grow have their full size from the start: programs are emitted for one map. */
const FULL_BYTES: Partial<Record<RegionName, number>> = {
  destinations: MAX_RECORDS * DESTINATION_BYTES,
  services: MAX_RECORDS * SERVICE_BYTES,
  lists: MAX_LIST_ENTRIES * LIST_ENTRY_BYTES,
  nextHops: MAX_RECORDS * NEXT_HOP_BYTES,
};

/** Bytes of the arrays whose size does not depend on the number of connections. */
export const FIXED_BYTES = Object.values(FULL_BYTES).reduce(
  (sum, bytes) => sum + bytes,
  METERS_BYTES + MAX_SLOTS_BYTES,
);

/** One array. */
export interface KeptArray {
  readonly region: Region;
  readonly bytes: number;
}

/** Where arrays are: pinned maps, or files. */
export interface ArrayStore<A extends KeptArray> {
  /** Makes an array of zeros in place of what has the name. Throws an Error where memory is short. */
  make(name: RegionName, bytes: number): A;
  /** Reports whether another process has left an array of the name. */
  has(name: RegionName): boolean;
  /** Opens an array that another process has left. Throws UnfitMemory if it is none, SystemCallError. */
  open(name: RegionName): A;
}

export class KeptMemory<A extends KeptArray = KeptArray> implements TableMemory {
  readonly #store: ArrayStore<A>;
  /** Arrays that no director of this kind has. */
  readonly #absent: readonly RegionName[];
  /** Its arrays are those of another process. */
  #isOpened = false;
  readonly #arrays = new Map<RegionName, A>();

  constructor(store: ArrayStore<A>, absent: readonly RegionName[] = []) {
    this.#store = store;
    this.#absent = absent;
  }

  /** Opens the arrays that another process has left. Throws UnfitMemory if one is missing or too small, SystemCallError. */
  open(): void {
    this.#isOpened = true;
    for (const name of ARRAYS) {
      if (!this.#store.has(name)) {
        const isNeeded = !OPTIONAL_ARRAYS.includes(name) && !this.#absent.includes(name);
        assertFit(!isNeeded, () => `array ${name}: missing`);
        continue;
      }
      const array = this.#store.open(name);
      assertFit(array.bytes >= (FULL_BYTES[name] ?? 1), () => `array ${name}: too small`);
      this.#arrays.set(name, array);
    }
  }

  /** Reports whether the array has exactly so many bytes. */
  isSized(name: RegionName, bytes: number): boolean {
    return this.#arrays.get(name)?.bytes === bytes;
  }

  /** Bytes of an array; 0: there is none. */
  bytesOf(name: RegionName): number {
    return this.#arrays.get(name)?.bytes ?? 0;
  }

  /** Bytes of all arrays. */
  get bytes(): number {
    return [...this.#arrays.values()].reduce((sum, { bytes }) => sum + bytes, 0);
  }

  /** Throws an Error of the store where memory is short, UnfitMemory if another process has left another size. */
  reserve(name: RegionName, bytes: number): Region {
    if (!ARRAYS.includes(name)) return ordinaryMemory.reserve(name, bytes);
    const known = this.#arrays.get(name);
    if (known && bytes <= known.bytes) return known.region;
    assertFit(!known || !this.#isOpened, () => `array ${name}: ${known?.bytes} bytes: expected ${bytes}`);
    const array = this.#store.make(name, Math.max(bytes, FULL_BYTES[name] ?? 0));
    this.#arrays.set(name, array);
    return array.region;
  }

  has(name: RegionName): boolean {
    return this.#arrays.has(name);
  }

  /** Returns an array. Throws RangeError if it was not reserved. */
  array(name: RegionName): A {
    const known = this.#arrays.get(name);
    if (!known) throw new RangeError(`array ${name}: not reserved`);
    return known;
  }
}
