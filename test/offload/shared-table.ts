/** A connection table in memory that a program and a director share: interpreted in this process, or in the kernel. */
import { ConnectionTable } from '../../src/director/connections.ts';
import type { Arrays, Sizes } from '../../src/offload/arrays.ts';
import { constants } from '../../src/offload/constants.ts';
import { NextHops } from '../../src/offload/next-hops.ts';
import type { SharedTable } from '../../src/runtime/kernel-forwarding.ts';
import { ProcessorCounters } from '../../src/table/counters.ts';
import { ordinaryMemory, type Region, type RegionName, type TableMemory } from '../../src/table/memory.ts';
import { DESTINATION_BYTES, NEXT_HOP_BYTES, SETTINGS_BYTES } from '../../src/table/record-layout.ts';
import { Ticks } from '../../src/table/ticks.ts';

/** Destinations and next hops that there is room for. */
export const RECORDS = 1024;
/** ms. */
export const TICK = 4;
/** Descriptors of the arrays, as an interpreted program names them. */
export const DESCRIPTORS = {
  rows: 1,
  destinations: 2,
  nextHops: 4,
  counters: 5,
  settings: 6,
  constants: 7,
} as const;

/** Arrays by name; those that grow have their full size at once, as in the kernel. */
export class TestMemory implements TableMemory {
  readonly regions = new Map<RegionName, Region & { readonly bytes: number }>();

  reserve(name: RegionName, bytes: number): Region {
    const known = this.regions.get(name);
    if (known && bytes <= known.bytes) return known;
    const full = { destinations: RECORDS * DESTINATION_BYTES, nextHops: RECORDS * NEXT_HOP_BYTES };
    const size = name in full ? full[name as keyof typeof full] : bytes;
    const region = { ...ordinaryMemory.reserve(name, size), bytes: size };
    this.regions.set(name, region);
    return region;
  }

  /** What an interpreted program reads and writes, by descriptor. */
  get arrays(): ReadonlyMap<number, Uint8Array> {
    const arrays = new Map<number, Uint8Array>([[DESCRIPTORS.constants, constants()]]);
    for (const [name, { buffer, offset, bytes }] of this.regions)
      if (name in DESCRIPTORS)
        arrays.set(DESCRIPTORS[name as keyof typeof DESCRIPTORS], new Uint8Array(buffer, offset, bytes));
    return arrays;
  }
}

/** Makes a table for so many connections, and what a program needs besides it. */
export function sharedTable<Memory extends TableMemory>(memory: Memory, limit: number, seed: number) {
  const ticks = new Ticks(TICK);
  const table = new ConnectionTable({ limit, seed, memory, ticks });
  memory.reserve('settings', SETTINGS_BYTES);
  const counters = new ProcessorCounters(memory, 1, RECORDS);
  const nextHops = new NextHops(memory);
  return { memory, ticks, table, counters, nextHops, records: RECORDS } satisfies SharedTable;
}

/** The numbers that a program is emitted for. jiffies are ticks here. */
export const sizesOf = ({ table }: Pick<SharedTable, 'table'>): Sizes => ({
  places: table.homes,
  secrets: table.secrets,
  records: RECORDS,
  processors: 1,
  clock: { tickMs: TICK, shift: 0, offset: 0n },
});

/** What an interpreted program is emitted for. */
export const arraysOf = (shared: Pick<SharedTable, 'table'>): Arrays => ({
  ...DESCRIPTORS,
  ...sizesOf(shared),
});
