/** The filter's maps: their layout, and how the program reads them. */
import { KTIME_GET_NS, MAP_LOOKUP } from '../../ebpf/helper.ts';
import {
  ATOMIC_ADD,
  add,
  atomic,
  call,
  DW,
  FP,
  type Fragment,
  jeq,
  jge,
  load,
  loadMap,
  loadMapValue,
  mov,
  R0,
  R1,
  R2,
  storeImm,
  W,
} from '../../ebpf/instruction.ts';
import type { NlbCluster } from '../../model/nlb.ts';
import { KEY } from './stack.ts';

/** Counters of the program, in the order of the array. */
export const COUNTERS = [
  'known',
  'new',
  'fragments',
  'default',
  'others',
  'unknown',
  'lapsed',
  'disabled',
  'suspended',
  'answers',
  'resets',
] as const;
export type CounterName = (typeof COUNTERS)[number];

/** Offsets of the times: the end of the lease, `endsAt` and `beginsAt` of the host's places. */
export const TIMES = { lease: 0, ends: 8, begins: 16 } as const;
/** Offset of the suspended rules behind the times, a bit for each (4 bytes). */
export const SUSPENDED = 24;
export const TIMES_BYTES = 32;
export const RECENT_SHIFT = 30;
export const RECENT_BYTES = 4;

export interface FilterMaps {
  /** Array: a byte for each place, by rule. */
  readonly accepts: number;
  /** Array of one value: the times, ns of the monotonic clock, 8 bytes each, and the suspended rules. */
  readonly times: number;
  /**
   * Array of one value, if a rule has stickiness: when a packet was accepted last, by rule and group of places, 4 bytes each, in
   * units of 2^RECENT_SHIFT ns.
   */
  readonly recent?: number;
  /** Array of one value: the counters, 8 bytes each. */
  readonly counters: number;
}

export interface FilterOptions {
  readonly cluster: Pick<NlbCluster, 'addresses' | 'rules'>;
  readonly seed: number;
  readonly maps: FilterMaps;
  /** MAC addresses of the cluster, and of the host. */
  readonly clusterMac: Uint8Array;
  readonly ownMac: Uint8Array;
}

/** Adds 1 to a counter. Clobbers r1, r2. */
export const count = ({ counters }: Pick<FilterMaps, 'counters'>, name: CounterName): Fragment => [
  loadMapValue(R1, counters, 8 * COUNTERS.indexOf(name)),
  mov.imm(R2, 1),
  atomic(DW, ATOMIC_ADD, R1, 0, R2),
];

/** Jumps to `target` if the lease is over. Clobbers r0 to r5. */
export const checkLease = ({ times }: FilterMaps, target: string): Fragment => [
  call(KTIME_GET_NS),
  loadMapValue(R1, times),
  load(DW, R1, R1, TIMES.lease),
  jge.reg(R0, R1, target),
];

/** Sets r0 to the address of the places of a rule. Clobbers r1 to r5. */
export const loadPlaces = ({ accepts }: FilterMaps, rule: number, none: string): Fragment => [
  storeImm(W, FP, KEY, rule),
  loadMap(R1, accepts),
  mov.reg(R2, FP),
  add.imm(R2, KEY),
  call(MAP_LOOKUP),
  jeq.imm(R0, 0, none),
];

/** Sets r1 to the suspended rules. */
export const loadSuspended = ({ times }: FilterMaps): Fragment => [
  loadMapValue(R1, times, SUSPENDED),
  load(W, R1, R1, 0),
];
