/** Memory that outlives its director: as pinned arrays do, without the kernel. */

import { bootId } from '../../src/runtime/restart/adopted-table.ts';
import { writeHeader } from '../../src/table/header.ts';
import type { Region, RegionName, TableMemory } from '../../src/table/memory.ts';
import {
  DESTINATION_BYTES,
  LIST_ENTRY_BYTES,
  MAX_LIST_ENTRIES,
  MAX_RECORDS,
  NEXT_HOP_BYTES,
  SERVICE_BYTES,
  SETTINGS,
  SETTINGS_BYTES,
} from '../../src/table/record-layout.ts';
import type { SharedClock } from '../../src/table/ticks.ts';

const FULL: Partial<Record<RegionName, number>> = {
  destinations: MAX_RECORDS * DESTINATION_BYTES,
  services: MAX_RECORDS * SERVICE_BYTES,
  lists: MAX_LIST_ENTRIES * LIST_ENTRY_BYTES,
  nextHops: MAX_RECORDS * NEXT_HOP_BYTES,
};
/** What only one process uses. */
const OWN: readonly RegionName[] = ['children'];

export const PROCESSORS = 2;
export const COUNTED = 64;
/** Ticks of 4 ms that begin with the director's clock. */
export const CLOCK: SharedClock = { tickMs: 4, shift: 0, offset: 0n };

export class LeftMemory implements TableMemory {
  readonly arrays: Map<RegionName, Uint8Array<ArrayBuffer>>;

  /** `arrays`: those that another one has. */
  constructor(arrays: ReadonlyMap<RegionName, Uint8Array<ArrayBuffer>> = new Map()) {
    this.arrays = new Map(arrays);
  }

  reserve(name: RegionName, bytes: number): Region {
    const known = this.arrays.get(name);
    if (known && known.length >= bytes) return { buffer: known.buffer, offset: 0 };
    const made = new Uint8Array(Math.max(bytes, FULL[name] ?? 0));
    if (!OWN.includes(name)) this.arrays.set(name, made);
    return { buffer: made.buffer, offset: 0 };
  }

  has(name: RegionName): boolean {
    return this.arrays.has(name);
  }

  isSized(name: RegionName, bytes: number): boolean {
    return this.arrays.get(name)?.length === bytes;
  }

  bytesOf(name: RegionName): number {
    return this.arrays.get(name)?.length ?? 0;
  }

  /** Returns a copy whose arrays may be changed alone. */
  copy(): LeftMemory {
    return new LeftMemory(new Map([...this.arrays].map(([name, bytes]) => [name, bytes.slice()])));
  }

  /** Marks the memory as that of a director that has started. */
  complete({ shift: clockShift, offset: clockOffset }: SharedClock = CLOCK): void {
    const { buffer, offset } = this.reserve('settings', SETTINGS_BYTES);
    const settings = new Uint8Array(buffer, offset, SETTINGS_BYTES);
    writeHeader(
      settings,
      { clockShift, clockOffset, processors: PROCESSORS, counted: COUNTED, identity: 1 },
      bootId(),
    );
    new DataView(settings.buffer).setUint32(SETTINGS.complete, 1, true);
  }
}
