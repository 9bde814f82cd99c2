/** A connection table in memory that a program and a director share: interpreted in this process, or in the kernel. */
import { ConnectionTable } from '../../src/director/connections.ts';
import { ACCESS_KEY_BYTES } from '../../src/offload/access-map.ts';
import type { Arrays, Sizes } from '../../src/offload/arrays.ts';
import type { ClientEntries } from '../../src/offload/client-routes.ts';
import { ClientRoutes } from '../../src/offload/client-routes.ts';
import { constants } from '../../src/offload/constants.ts';
import { NextHops } from '../../src/offload/next-hops.ts';
import { SCRATCH_BYTES } from '../../src/offload/scratch.ts';
import type { SharedTable } from '../../src/runtime/kernel/kernel-forwarding.ts';
import { ProcessorCounters } from '../../src/table/counters.ts';
import { ordinaryMemory, type Region, type RegionName, type TableMemory } from '../../src/table/memory.ts';
import {
  DESTINATION_BYTES,
  LIST_ENTRY_BYTES,
  NEXT_HOP_BYTES,
  SERVICE_BYTES,
  SETTINGS_BYTES,
} from '../../src/table/record-layout.ts';
import { Ticks } from '../../src/table/ticks.ts';
import type { InterpretedMaps, Lookup } from '../support/ebpf/hooks.ts';

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
  order: 8,
  spilled: 9,
  head: 10,
  services: 11,
  lists: 12,
  scratch: 13,
  programs: 14,
  clients: 15,
  templates: 16,
  access: 17,
} as const;
/** Descriptor of the map of services, which programs send packets up by. */
export const SERVICE_MAP = 3;
/** Entries of lists that there is room for. */
const LISTED = 1 << 16;

/** A trie as the kernel has one: the value of the longest prefix that matches. */
export class TestTrie implements Lookup, ClientEntries {
  readonly keySize: number;
  readonly #values = new Map<string, Uint8Array>();

  constructor(keySize = 20) {
    this.keySize = keySize;
  }

  update(key: Uint8Array, value: Uint8Array): void {
    this.#values.set(prefixOf(key), value);
  }

  delete(key: Uint8Array): boolean {
    return this.#values.delete(prefixOf(key));
  }

  find(key: Uint8Array): Uint8Array | undefined {
    const wanted = prefixOf(key);
    for (let bits = wanted.length; bits >= 0; bits--) {
      const value = this.#values.get(wanted.slice(0, bits));
      if (value) return value;
    }
    return undefined;
  }
}

/** The bits of a key's prefix as text. */
function prefixOf(key: Uint8Array): string {
  const bits = new DataView(key.buffer, key.byteOffset).getUint32(0, true);
  return [...key.subarray(4)]
    .map((octet) => octet.toString(2).padStart(8, '0'))
    .join('')
    .slice(0, bits);
}

/** Arrays by name; those that grow have their full size at once, as in the kernel. */
export class TestMemory implements TableMemory {
  readonly regions = new Map<RegionName, Region & { readonly bytes: number }>();

  reserve(name: RegionName, bytes: number): Region {
    const known = this.regions.get(name);
    if (known && bytes <= known.bytes) return known;
    const full = {
      destinations: RECORDS * DESTINATION_BYTES,
      services: RECORDS * SERVICE_BYTES,
      lists: LISTED * LIST_ENTRY_BYTES,
      nextHops: RECORDS * NEXT_HOP_BYTES,
    };
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

/** What interpreted programs call and look up besides arrays. */
export class TestMaps {
  readonly clients = new TestTrie();
  readonly access = new TestTrie(ACCESS_KEY_BYTES);
  readonly programs = new Map<number, Uint8Array<ArrayBuffer>>();
  readonly #scratch = new Uint8Array(SCRATCH_BYTES);

  /** Returns what a program is run with. `services`: values of the map of services by key. */
  with(memory: TestMemory, services: ReadonlyMap<string, Uint8Array>): InterpretedMaps {
    return {
      arrays: memory.arrays,
      hashes: new Map([[SERVICE_MAP, services]]),
      lookups: new Map<number, Lookup>([
        [DESCRIPTORS.scratch, { keySize: 4, find: () => this.#scratch }],
        [DESCRIPTORS.clients, this.clients],
        [DESCRIPTORS.access, this.access],
      ]),
      programs: new Map([[DESCRIPTORS.programs, this.programs]]),
    };
  }
}

/** Makes a table for so many connections, and what a program needs besides it. */
export function sharedTable<Memory extends TableMemory>(
  memory: Memory,
  limit: number,
  seed: number,
  { clients = new TestTrie(), processors = 1 }: { clients?: ClientEntries; processors?: number } = {},
) {
  const ticks = new Ticks(TICK);
  const table = new ConnectionTable({ limit, seed, memory, ticks });
  memory.reserve('settings', SETTINGS_BYTES);
  const counters = new ProcessorCounters(memory, processors, RECORDS);
  const nextHops = new NextHops(memory);
  const shared = { memory, ticks, table, counters, nextHops, records: RECORDS };
  return { ...shared, clients: new ClientRoutes(clients) } satisfies SharedTable;
}

/** The numbers that a program is emitted for. jiffies are ticks here. */
export const sizesOf = ({ table }: Pick<SharedTable, 'table'>, processors = 1): Sizes => ({
  places: table.homes,
  capacity: table.places,
  secrets: table.secrets,
  records: RECORDS,
  processors,
  clock: { tickMs: TICK, shift: 0, offset: 0n },
});

/** What an interpreted program is emitted for. */
export const arraysOf = (shared: Pick<SharedTable, 'table'>): Arrays => ({
  ...DESCRIPTORS,
  ...sizesOf(shared),
});
