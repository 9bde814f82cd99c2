/** Emits steps that making, recycling and ending a row have in common. */
import {
  ATOMIC_AND,
  ATOMIC_OR,
  add,
  atomic,
  DW,
  FP,
  type Fragment,
  load,
  loadMapValue,
  lsh,
  lsh32,
  mov,
  R0,
  R1,
  R2,
  R3,
  rsh,
  rsh32,
  sub,
  xor,
} from '../ebpf/instruction.ts';
import { ROW, ROW_SHIFT, TRACK } from '../table/layout.ts';
import type { Arrays } from './arrays.ts';
import { MADE } from './stack.ts';

/** Raises the generation in the `track` in r1 by `steps`, and clears the other bits. */
export const raiseGeneration = (steps: number): Fragment => [
  rsh32.imm(R1, TRACK.generation),
  add.imm(R1, steps),
  lsh32.imm(R1, TRACK.generation),
];

/** Sets or clears the bit of the row MADE at the home in r3. Clobbers r0 to r2. */
export const changeNear = ({ rows }: Arrays, change: 'set' | 'clear'): Fragment => [
  load(DW, R0, FP, MADE),
  sub.reg(R0, R3),
  rsh.imm(R0, ROW_SHIFT),
  mov.imm(R1, 1),
  lsh.reg(R1, R0),
  loadMapValue(R2, rows),
  add.reg(R2, R3),
  change === 'set'
    ? atomic(DW, ATOMIC_OR, R2, ROW.near, R1)
    : [xor.imm(R1, -1), atomic(DW, ATOMIC_AND, R2, ROW.near, R1)],
];
