/**
 * Emits the replacement of a connection that is over by a new one with the same ends, in its row (conn_reuse_mode), as
 * src/director/path/connection-path.ts replaces it: the new connection is counted first, then the former one is taken off.
 */
import {
  ATOMIC_ADD,
  add,
  and,
  at,
  atomic,
  COMPARE_EXCHANGE,
  DW,
  EXCHANGE,
  FP,
  type Fragment,
  H,
  jeq,
  jge,
  jne,
  jump,
  type Label,
  load,
  loadMapValue,
  lsh,
  mov,
  mul,
  or,
  R0,
  R1,
  R2,
  R3,
  R4,
  store,
  storeImm,
  W,
} from '../ebpf/instruction.ts';
import { ROW, TRACK } from '../table/layout.ts';
import { COUNTERS, DESTINATION } from '../table/record-layout.ts';
import type { Arrays } from './arrays.ts';
import { countBound, order } from './bound-counts.ts';
import { RECORD_SHIFT, select } from './find.ts';
import { ROW_AT } from './hooks.ts';
import { raiseGeneration } from './row-steps.ts';
import { loadScratch, SCRATCH } from './scratch.ts';
import * as stack from './stack.ts';
import { counted, now } from './track.ts';

/** Sets the generation in the upper bits of r1 to that of the former connection plus `steps`, and clears the other bits. */
const generation = (steps: number): Fragment => [
  load(DW, R1, FP, stack.FORMER_TRACK),
  raiseGeneration(steps),
];

/**
 * Makes the row of the processor's entry the packet's new connection; otherwise as `bind` (bind.ts). While the row changes,
 * its state is RECYCLE. Two generations are used, so that a reader from before sees that its row has changed, and one from
 * in between as well.
 */
export function rebind(arrays: Arrays, miss: Label): Fragment {
  return [
    now(arrays),
    store(DW, FP, stack.TICK, R0),
    loadScratch(arrays, miss),
    load(W, R1, R0, SCRATCH.nextHop),
    store(DW, FP, stack.CLIENT_HOP, R1),
    load(W, R1, R0, SCRATCH.track),
    store(DW, FP, stack.FORMER_TRACK, R1),
    load(W, R0, R0, SCRATCH.row),
    select(arrays),
    store(DW, FP, stack.MADE, R0),
    generation(1),
    or.imm(R1, TRACK.RECYCLE | TRACK.INACTIVE),
    load(DW, R3, FP, stack.FORMER_TRACK),
    mov.reg(R0, R3),
    atomic(W, COMPARE_EXCHANGE, ROW_AT, ROW.track, R1),
    // It had a packet since, or has ended.
    jne.reg(R0, R3, miss),
    load(H, R1, ROW_AT, ROW.destination),
    store(DW, FP, stack.FORMER_DESTINATION, R1),
    load(DW, R1, FP, stack.DESTINATION_NUMBER),
    store(H, ROW_AT, ROW.destination, R1),
    load(DW, R1, FP, stack.CLIENT_HOP),
    store(H, ROW_AT, ROW.nextHop, R1),
    storeImm(H, ROW_AT, ROW.packets, 0),
    load(DW, R1, FP, stack.TICK),
    store(W, ROW_AT, ROW.seen, R1),
    countBound(),
    uncountFormer(arrays),
    order(arrays, 'former'),
    generation(2),
    load(DW, R2, FP, stack.TRACKED),
    or.reg(R2, R1),
    store(DW, FP, stack.TRACKED, R2),
    atomic(DW, EXCHANGE, ROW_AT, ROW.track, R2),
    counted(arrays),
    load(DW, R1, R2, COUNTERS.reused),
    add.imm(R1, 1),
    store(DW, R2, COUNTERS.reused, R1),
  ];
}

/**
 * Takes the former connection off the counts of its destination, which may have recovered then
 * (src/director/connection-counts.ts). Clobbers r0 to r4.
 */
export function uncountFormer({ destinations, records }: Pick<Arrays, 'destinations' | 'records'>): Fragment {
  const inactive = Symbol('inactive');
  const taken = Symbol('taken');
  const upper = Symbol('upper');
  const recovered = Symbol('recovered');
  const done = Symbol('done');
  return [
    load(DW, R2, FP, stack.FORMER_DESTINATION),
    jge.imm(R2, records, done),
    lsh.imm(R2, RECORD_SHIFT),
    loadMapValue(R3, destinations),
    add.reg(R3, R2),
    mov.imm(R1, -1),
    load(DW, R2, FP, stack.FORMER_TRACK),
    and.imm(R2, TRACK.INACTIVE),
    jne.imm(R2, 0, inactive),
    atomic(W, ATOMIC_ADD, R3, DESTINATION.active, R1),
    jump(taken),
    at(inactive, atomic(W, ATOMIC_ADD, R3, DESTINATION.inactive, R1)),
    at(taken, load(W, R1, R3, DESTINATION.overloaded)),
    jeq.imm(R1, 0, done),
    load(W, R1, R3, DESTINATION.active),
    load(W, R2, R3, DESTINATION.inactive),
    add.reg(R1, R2),
    load(W, R2, R3, DESTINATION.lower),
    jeq.imm(R2, 0, upper),
    jge.reg(R1, R2, done),
    jump(recovered),
    at(upper, load(W, R2, R3, DESTINATION.upper)),
    jeq.imm(R2, 0, recovered),
    lsh.imm(R1, 2),
    mov.reg(R4, R2),
    mul.imm(R4, 3),
    jge.reg(R1, R4, done),
    at(recovered, storeImm(W, R3, DESTINATION.overloaded, 0)),
    at(done, mov.imm(R1, 0)),
  ];
}
