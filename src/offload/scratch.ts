/**
 * What programs leave for each other across tail calls: one entry for each processor, in a map per processor. A packet
 * passes through the programs on one processor without interruption by another packet.
 *
 * `known` writes the packet's ends and the service, and calls the program of the service's scheduler, or that of templates if
 * the service is persistent. That one writes the destination, and calls `admit`, which makes the row and forwards the packet. A tail call whose program is not loaded
 * returns: the packet goes up to the director then.
 */
import type { Bpf } from '../ebpf/bpf.ts';
import { MAP_LOOKUP, TAIL_CALL } from '../ebpf/helper.ts';
import {
  add,
  and,
  at,
  B,
  call,
  FP,
  type Fragment,
  jeq,
  jne,
  jump,
  type Label,
  load,
  loadMap,
  loadMapValue,
  lsh,
  mov,
  R0,
  R1,
  R2,
  R3,
  type Register,
  storeImm,
  W,
} from '../ebpf/instruction.ts';
import { BpfMap } from '../ebpf/map.ts';
import { MAX_RECORDS, SCHEDULER, SERVICE, SERVICE_BYTES, SERVICE_FLAGS } from '../table/record-layout.ts';
import { UDP } from '../wire/udp.ts';
import { CONTEXT } from './hooks.ts';

export const SCRATCH_BYTES = 128;
export const SCRATCH = {
  /** Number of the service's record, 4 bytes. */
  service: 0,
  /** Number of the selected destination's record, 4 bytes; 0: none. */
  destination: 4,
  /** IP protocol number, 1 byte. */
  protocol: 8,
  /** 4 or 6, 1 byte. */
  family: 9,
  /** Client's and virtual port, 2 bytes each, packet order. */
  clientPort: 10,
  virtualPort: 12,
  /** Client's and virtual address, 16 bytes each, packet order; IPv4 as ::ffff:a.b.c.d. */
  client: 16,
  virtual: 32,
  /** Byte offset of the client's home in the rows, 4 bytes. */
  home: 48,
  /** Byte offset of the row that the new connection takes the place in, and its `track`, 4 bytes each; `track` 0: none. */
  row: 52,
  track: 56,
  /** Number of the next hop of replies, 4 bytes. */
  nextHop: 60,
  /** Of the valve, kept from packet to packet: a period of time, and first packets in it, 4 bytes each. */
  period: 64,
  first: 68,
  /** Bits of `track` that the new row has beside others, 4 bytes. */
  bits: 72,
  /** Number of the template's row, plus 1, and its word (CONTROL) with a count of 0, 4 bytes each; 0: no template. */
  template: 76,
  control: 80,
  /** Why a packet of no connection is handled by the program of marks, 4 bytes, see PLACE. */
  place: 84,
  /** What its mark leads to, 4 bytes, see markedService in marks.ts. */
  marked: 88,
} as const;

/** Index of the program that makes rows; other indices are numbers of schedulers. */
export const ADMIT = 0;
/** Index of the program that forwards packets of one-packet services, which have no rows; numbers of schedulers are smaller. */
export const FORWARD_ONCE = 1 + Math.max(...Object.values(SCHEDULER));
/** Index of the program that selects the destination of a client's template, in place of a scheduler's program. */
export const PERSIST = FORWARD_ONCE + 1;
/** Index of the program that handles packets of no connection where rules give firewall marks (marked.ts). */
export const MARKED = PERSIST + 1;
/** Entries of the program array. */
export const PROGRAMS = MARKED + 1;

/** What is known of a packet of no connection: it may begin one; it has ports; it has none; it is of another protocol. */
export const PLACE = { first: 0, miss: 1, pieces: 2, other: 3 } as const;

/** What programs need to call each other. */
export interface Calls {
  /** Descriptor of the entries. */
  readonly scratch: number;
  /** Descriptor of the program array. */
  readonly programs: number;
}

/** Creates the map of the entries. Throws SystemCallError. */
export const scratchMap = (bpf: Bpf): BpfMap =>
  new BpfMap(bpf, {
    type: 'perCpuArray',
    name: 'lvs_scratch',
    keySize: 4,
    valueSize: SCRATCH_BYTES,
    entries: 1,
  });

/** Creates the program array. The kernel empties it when its last descriptor is closed. Throws SystemCallError. */
export const programArray = (bpf: Bpf): BpfMap =>
  new BpfMap(bpf, {
    type: 'programArray',
    name: 'lvs_programs',
    keySize: 4,
    valueSize: 4,
    entries: PROGRAMS,
  });

/** Stack offset of the key of the only entry. */
const KEY = -136;

/** Sets r0 to the address of this processor's entry, of which 128 bytes are readable. Clobbers r1 to r5. */
export const loadScratch = ({ scratch }: Pick<Calls, 'scratch'>, none: Label): Fragment => [
  storeImm(W, FP, KEY, 0),
  loadMap(R1, scratch),
  mov.reg(R2, FP),
  add.imm(R2, KEY),
  call(MAP_LOOKUP),
  jeq.imm(R0, 0, none),
];

/** Sets `into` to the address of the record of the service that the entry at `entry` names. Clobbers r1. */
export const loadService = (
  { services }: { readonly services: number },
  into: Register,
  entry: Register,
): Fragment => [
  load(W, R1, entry, SCRATCH.service),
  and.imm(R1, MAX_RECORDS - 1),
  serviceRecord({ services }, into, R1),
];

/** Sets `into` to the address of the record of the service with the number in `number`, which changes. */
export const serviceRecord = (
  { services }: { readonly services: number },
  into: Register,
  number: Register,
): Fragment => [
  lsh.imm(number, Math.log2(SERVICE_BYTES)),
  loadMapValue(into, services),
  add.reg(into, number),
];

/** Calls the program whose index is in r3. Falls through if it is not loaded. Expects CONTEXT. Clobbers r0 to r5. */
export const callProgram = ({ programs }: Pick<Calls, 'programs'>): Fragment => [
  mov.reg(R1, CONTEXT),
  loadMap(R2, programs),
  call(TAIL_CALL),
];

/** Calls `admit`, as `callProgram` does. */
export const callAdmit = (calls: Pick<Calls, 'programs'>): Fragment => [
  mov.imm(R3, ADMIT),
  callProgram(calls),
];

/**
 * Calls the program that forwards the packet of the entry at `entry` to its destination, as `callProgram` does, or jumps to
 * `up`: with a row, or without one if the service at `service` is a one-packet service. Clobbers r0 to r5.
 */
export const callForwarding = (
  calls: Pick<Calls, 'programs'>,
  service: Register,
  entry: Register,
): Fragment => [
  load(W, R1, service, SERVICE.flags),
  and.imm(R1, SERVICE_FLAGS.ONE_PACKET),
  jeq.imm(R1, 0, 'admit'),
  // A service by mark has connections of TCP, too.
  load(B, R1, entry, SCRATCH.protocol),
  jne.imm(R1, UDP, 'admit'),
  mov.imm(R3, FORWARD_ONCE),
  callProgram(calls),
  jump('up'),
  at('admit', callAdmit(calls)),
];
