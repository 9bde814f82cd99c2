/** Emits what a new connection counts as: for its destination, in the table, and in the order of creation. */
import {
  ATOMIC_ADD,
  add,
  at,
  atomic,
  DW,
  FETCH,
  FP,
  type Fragment,
  jeq,
  jlt,
  load,
  loadImm64,
  loadMapValue,
  mov,
  R0,
  R1,
  R2,
  R3,
  rsh,
  store,
  storeImm,
  W,
} from '../ebpf/instruction.ts';
import { HEAD, ROW_BYTES } from '../table/layout.ts';
import { DESTINATION } from '../table/record-layout.ts';
import type { Arrays } from './arrays.ts';
import * as stack from './stack.ts';

/** The shift from a row's byte offset to that of its place in the order of creation. */
const ORDER_SHIFT = Math.log2(ROW_BYTES / 4);

/**
 * Counts an inactive connection of the destination, which may be overloaded with it
 * (src/director/connection-counts.ts). Clobbers r1 to r3.
 */
export function countBound(): Fragment {
  const within = Symbol('within');
  return [
    load(DW, R3, FP, stack.RECORD),
    mov.imm(R1, 1),
    atomic(W, ATOMIC_ADD, R3, DESTINATION.inactive, R1),
    load(W, R2, R3, DESTINATION.upper),
    jeq.imm(R2, 0, within),
    load(W, R1, R3, DESTINATION.inactive),
    load(W, R0, R3, DESTINATION.active),
    add.reg(R1, R0),
    jlt.reg(R1, R2, within),
    storeImm(W, R3, DESTINATION.overloaded, 1),
    at(within, mov.imm(R1, 0)),
  ];
}

/** Counts the row if it is new, and writes its place in the order of creation. Clobbers r0 to r2. */
export const order = (arrays: Arrays, row: 'new' | 'former'): Fragment => [
  loadMapValue(R2, arrays.head, HEAD.live),
  loadImm64(R1, row === 'new' ? 1 : 0, 1),
  atomic(DW, ATOMIC_ADD | FETCH, R2, 0, R1),
  rsh.imm(R1, 32),
  load(DW, R0, FP, stack.MADE),
  rsh.imm(R0, ORDER_SHIFT),
  loadMapValue(R2, arrays.order),
  add.reg(R2, R0),
  store(W, R2, 0, R1),
];
