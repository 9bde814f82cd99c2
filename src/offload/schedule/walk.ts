/**
 * Emits walks over a list of destinations: the kernel calls a function for one place after another (bpf_loop), so that the
 * verifier processes it once for a list of any length.
 */
import { LOOP } from '../../ebpf/helper.ts';
import {
  add,
  and,
  at,
  call,
  DW,
  exit,
  FP,
  type Fragment,
  H,
  jeq,
  jge,
  jne,
  type Label,
  load,
  loadFunction,
  loadMapValue,
  lsh,
  mov,
  mov32,
  R0,
  R1,
  R2,
  R3,
  R4,
  R6,
  R7,
  R8,
  type Register,
  rsh,
  store,
  storeImm,
  W,
} from '../../ebpf/instruction.ts';
import { DESTINATION, LIST_ENTRY_BYTES, MAX_LIST_ENTRIES } from '../../table/record-layout.ts';
import type { Arrays } from '../arrays.ts';
import { CONSTANTS } from '../constants.ts';
import { RECORD_SHIFT } from '../find.ts';

/** What programs that select read. */
export type Listed = Pick<Arrays, 'lists' | 'destinations' | 'records' | 'constants'>;

/** How a scheduler selects. */
export interface Selection {
  /**
   * Stores the number of the selected destination as PICKED; jumps to `none` if there is none. Expects FIRST and COUNT of
   * the service's list, SERVICE_AT and ENTRY_AT. Clobbers r0 to r5 and r9.
   */
  readonly select: (none: Label) => Fragment;
  /** The functions that `select` calls. */
  readonly functions: Fragment;
}

/** Registers of the main function: the service's record, and what the program before this one left (scratch.ts). */
export const SERVICE_AT = R7;
export const ENTRY_AT = R8;

/** The state of a walk, on the stack of the main function; 8 bytes each. */
const WALK_BYTES = 64;
/** First entry and number of entries of the list. */
export const FIRST = 0;
export const COUNT = 8;
/** Place at which the walk begins, or another number that the function adds. */
export const START = 16;
/** Number of the selected destination, 0: none; its place, its load or weight, and its weight. */
export const PICKED = 24;
export const PLACE = 32;
export const MEASURE = 40;
export const WEIGHT = 48;
/** Least weight that is selected. */
export const LEVEL = 56;

/* Fields of the state in the main function. */
export const loadWalk = (dst: Register, field: number): Fragment => load(DW, dst, FP, field - WALK_BYTES);
export const storeWalk = (field: number, src: Register): Fragment => store(DW, FP, field - WALK_BYTES, src);
export const setWalk = (field: number, value: number): Fragment =>
  storeImm(DW, FP, field - WALK_BYTES, value);

/**
 * Sets fields that the function changes to 0, which the verifier must not know: before Linux 6.7 it follows the function
 * only from the state of the first call, and removes what that never reaches. Clobbers r1.
 */
export const clearWalk = ({ constants }: Listed, ...fields: readonly number[]): Fragment => [
  loadMapValue(R1, constants, CONSTANTS.zero),
  load(DW, R1, R1, 0),
  fields.map((field) => storeWalk(field, R1)),
];

/** Reads first entry and count of a list, one word of the service's record at `field`, with the count in r2. Clobbers r1. */
export const readList = (field: number): Fragment => [
  load(DW, R1, SERVICE_AT, field),
  mov.reg(R2, R1),
  rsh.imm(R2, 32),
  mov32.reg(R1, R1),
  storeWalk(FIRST, R1),
  storeWalk(COUNT, R2),
];

/** Calls the function for the counts from 0, as often as r1, until it ends the walk. Clobbers r0 to r5. */
export const walk = (visit: Label): Fragment => [
  loadFunction(R2, visit),
  mov.reg(R3, FP),
  add.imm(R3, -WALK_BYTES),
  mov.imm(R4, 0),
  call(LOOP),
];

/* Registers of functions: the state, the number of the destination that is visited, and its record. */
export const STATE = R6;
export const NUMBER = R7;
export const RECORD = R8;

/**
 * Returns the function at the label, which visits a destination. `place` computes its place in r1 from the count in r1.
 * `body` falls through or jumps to its argument for the walk to go on, and ends it by `selectVisited`. Registers r0 to r5 and r9
 * are free.
 */
export function visitor(
  { lists, destinations, records }: Listed,
  label: Label,
  place: Fragment,
  body: (next: Label) => Fragment,
): Fragment {
  const next = Symbol('next');
  return [
    at(label, mov.reg(STATE, R2)),
    place,
    load(DW, R2, STATE, FIRST),
    add.reg(R1, R2),
    and.imm(R1, MAX_LIST_ENTRIES - 1),
    lsh.imm(R1, Math.log2(LIST_ENTRY_BYTES)),
    loadMapValue(R2, lists),
    add.reg(R2, R1),
    load(H, NUMBER, R2, 0),
    jge.imm(NUMBER, records, next),
    mov.reg(R1, NUMBER),
    lsh.imm(R1, RECORD_SHIFT),
    loadMapValue(RECORD, destinations),
    add.reg(RECORD, R1),
    body(next),
    at(next, mov.imm(R0, 0)),
    exit(),
  ];
}

/** Selects the visited destination, and ends the walk. */
export const selectVisited: Fragment = [store(DW, STATE, PICKED, NUMBER), mov.imm(R0, 1), exit()];

/** Loads the weight of the visited destination into r3; jumps to `next` if it accepts no new connections. Clobbers r1. */
export const unlessEligible = (next: Label): Fragment => [
  load(W, R3, RECORD, DESTINATION.weight),
  jeq.imm(R3, 0, next),
  load(W, R1, RECORD, DESTINATION.overloaded),
  jne.imm(R1, 0, next),
];
