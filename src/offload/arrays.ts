/** The arrays and numbers that programs are emitted for. */
import type { Bpf } from '../ebpf/bpf.ts';
import type { BpfMap } from '../ebpf/map.ts';
import { LIST_ENTRY_BYTES, SERVICE_BYTES } from '../table/record-layout.ts';
import type { SharedClock } from '../table/ticks.ts';
import { accessMap } from './access-map.ts';
import { clientMap } from './client-map.ts';
import { constantsMap } from './constants.ts';
import type { Placing } from './home.ts';
import type { KernelMemory } from './kernel-memory.ts';
import { type Calls, programArray, scratchMap } from './scratch.ts';

/** What programs have as numbers in their code. */
export interface Sizes extends Placing {
  /** The bound of row numbers. */
  readonly capacity: number;
  /** Records that the arrays of destinations and counters have. */
  readonly records: number;
  /** Processors that the array of counters has. */
  readonly processors: number;
  readonly clock: SharedClock;
}

export interface Arrays extends Sizes, Calls {
  /** Descriptors of arrays of one value. */
  readonly rows: number;
  readonly order: number;
  readonly templates: number;
  readonly spilled: number;
  readonly head: number;
  readonly destinations: number;
  readonly services: number;
  readonly lists: number;
  readonly nextHops: number;
  readonly counters: number;
  readonly settings: number;
  readonly constants: number;
  /** Descriptors of the maps of clients, and of deny and allow lists. */
  readonly clients: number;
  readonly access: number;
}

/** Arrays in memory of the kernel, and the maps that this process writes by system calls. */
export interface KernelArrays extends Arrays {
  readonly programArray: BpfMap;
  readonly clientMap: BpfMap;
  readonly accessMap: BpfMap;
}

/** Returns the arrays of memory in which rows, destinations, next hops, counters and settings are reserved. Throws SystemCallError. */
export function kernelArrays(bpf: Bpf, memory: KernelMemory, sizes: Sizes): KernelArrays {
  memory.reserve('services', SERVICE_BYTES);
  memory.reserve('lists', LIST_ENTRY_BYTES);
  const programs = programArray(bpf);
  const clients = clientMap(bpf);
  const access = accessMap(bpf);
  return {
    ...sizes,
    rows: memory.descriptor('rows'),
    order: memory.descriptor('order'),
    templates: memory.descriptor('templates'),
    spilled: memory.descriptor('spilled'),
    head: memory.descriptor('head'),
    destinations: memory.descriptor('destinations'),
    services: memory.descriptor('services'),
    lists: memory.descriptor('lists'),
    nextHops: memory.descriptor('nextHops'),
    counters: memory.descriptor('counters'),
    settings: memory.descriptor('settings'),
    constants: constantsMap(bpf).descriptor,
    scratch: scratchMap(bpf).descriptor,
    programs: programs.descriptor,
    clients: clients.descriptor,
    access: access.descriptor,
    programArray: programs,
    clientMap: clients,
    accessMap: access,
  };
}
