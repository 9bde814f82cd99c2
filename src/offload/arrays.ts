/** The arrays and numbers that programs are emitted for. */
import type { Bpf } from '../ebpf/bpf.ts';
import { constantsMap } from './constants.ts';
import type { Placing } from './home.ts';
import type { ProgramClock } from './jiffies.ts';
import type { KernelMemory } from './kernel-memory.ts';

/** What programs have as numbers in their code. */
export interface Sizes extends Placing {
  /** Records that the arrays of destinations and counters have. */
  readonly records: number;
  /** Processors that the array of counters has. */
  readonly processors: number;
  readonly clock: ProgramClock;
}

export interface Arrays extends Sizes {
  /** Descriptors of arrays of one value. */
  readonly rows: number;
  readonly destinations: number;
  readonly nextHops: number;
  readonly counters: number;
  readonly settings: number;
  readonly constants: number;
}

/** Returns the arrays of memory in which all of them are reserved. Throws SystemCallError. */
export const kernelArrays = (bpf: Bpf, memory: KernelMemory, sizes: Sizes): Arrays => ({
  ...sizes,
  rows: memory.descriptor('rows'),
  destinations: memory.descriptor('destinations'),
  nextHops: memory.descriptor('nextHops'),
  counters: memory.descriptor('counters'),
  settings: memory.descriptor('settings'),
  constants: constantsMap(bpf).descriptor,
});
