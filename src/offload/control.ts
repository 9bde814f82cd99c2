/** Emits what templates and the rows that they control need: src/table/controls.ts, in programs. */
import {
  add,
  and,
  at,
  atomic,
  COMPARE_EXCHANGE,
  DW,
  FP,
  type Fragment,
  jeq,
  jge,
  jgt,
  jne,
  jump,
  type Label,
  load,
  loadMapValue,
  lsh,
  mov,
  R0,
  R1,
  R2,
  R3,
  R4,
  R5,
  type Register,
  rsh,
  store,
  storeImm,
  sub,
  W,
} from '../ebpf/instruction.ts';
import { CONTROL, ROW_BYTES, TRACK } from '../table/layout.ts';
import type { Arrays } from './arrays.ts';
import { loadScratch, SCRATCH } from './scratch.ts';
import * as stack from './stack.ts';

/** Attempts to count a row that a template controls while other processors count, too. */
const ATTEMPTS = 3;
/** The shift from a row's byte offset to that of its word in `templates`. */
const WORD_SHIFT = Math.log2(ROW_BYTES / 4);

/** Sets a register to the address of the word of the row whose byte offset is on the stack. Clobbers r1. */
export const wordOf = (
  { templates, capacity }: Pick<Arrays, 'templates' | 'capacity'>,
  into: Register,
  row: number,
): Fragment => [
  load(DW, R1, FP, row),
  rsh.imm(R1, WORD_SHIFT),
  // For the verifier.
  jgt.imm(R1, (capacity - 1) << 2, 'drop'),
  loadMapValue(into, templates),
  add.reg(into, R1),
];

/**
 * Makes the template of the processor's entry, if any, control the row MADE. Jumps to `refused` if the template has ended
 * meanwhile, or if other processors take it, too: `uncontrol` then. Clobbers r0 to r5.
 */
export function control(arrays: Arrays, refused: Label): Fragment {
  const done = Symbol('done');
  return [
    load(DW, R1, FP, stack.TRACKED),
    and.imm(R1, TRACK.TEMPLATED),
    jeq.imm(R1, 0, done),
    loadScratch(arrays, 'drop'),
    load(W, R5, R0, SCRATCH.control),
    load(W, R4, R0, SCRATCH.template),
    wordOf(arrays, R3, stack.MADE),
    store(W, R3, 0, R4),
    sub.imm(R4, 1),
    // For the verifier.
    jge.imm(R4, arrays.capacity, 'drop'),
    lsh.imm(R4, 2),
    loadMapValue(R3, arrays.templates),
    add.reg(R3, R4),
    Array.from({ length: ATTEMPTS }, () => [
      load(W, R0, R3, 0),
      mov.reg(R1, R0),
      rsh.imm(R1, CONTROL.generation),
      lsh.imm(R1, CONTROL.generation),
      jne.reg(R1, R5, refused),
      mov.reg(R1, R0),
      add.imm(R1, 1),
      mov.reg(R2, R0),
      atomic(W, COMPARE_EXCHANGE, R3, 0, R1),
      jeq.reg(R0, R2, done),
    ]),
    jump(refused),
    at(done, mov.imm(R0, 0)),
    [R1, R2, R3, R4, R5].map((each) => mov.imm(each, 0)),
  ];
}

/** The row MADE, which is not published, is controlled by none. Clobbers r1 and r2. */
export const uncontrol = (arrays: Arrays): Fragment => [
  wordOf(arrays, R2, stack.MADE),
  storeImm(W, R2, 0, 0),
];
