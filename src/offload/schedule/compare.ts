/**
 * Emits comparisons of all destinations of a list: the kernel calls a function for one block of the list after another, with
 * the best destination in registers, because a call costs more instructions than a destination.
 */
import {
  add,
  at,
  DW,
  exit,
  type Fragment,
  H,
  jeq,
  jge,
  jgt,
  jne,
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
  R7,
  R8,
  R9,
  type Register,
  rsh,
  store,
  W,
} from '../../ebpf/instruction.ts';
import { DESTINATION, LIST_BLOCK, LIST_ENTRY_BYTES, MAX_LIST_ENTRIES } from '../../table/record-layout.ts';
import { RECORD_SHIFT } from '../find.ts';
import {
  COUNT,
  clearWalk,
  FIRST,
  type Listed,
  loadWalk,
  MEASURE,
  PICKED,
  STATE,
  storeWalk,
  WEIGHT,
  walk,
} from './walk.ts';

/** Registers of comparisons: the record of the destination, its weight, and the measure and weight of the best one. */
export const COMPARED = R1;
export const COMPARED_WEIGHT = R3;
export const BEST = R0;
export const BEST_WEIGHT = R9;
const BLOCK = R7;
const RECORDS = R8;

/** How the best destination is found. */
export interface Comparison {
  /** Measure that every eligible destination is better than, with the weight 0. */
  readonly worst: number;
  /**
   * Falls through if the destination is the best so far, with the measure to become BEST as `measure`; jumps to `next` if not.
   * r1, r2, r4 and r5 are free. `select` selects the destination, and ends the walk.
   */
  readonly better: (next: Label, select: Fragment) => Fragment;
  readonly measure: Register;
}

/** Compares all destinations: PICKED becomes the number of the best one, 0: none; MEASURE its measure. Clobbers r0 to r5. */
export const compare = (arrays: Listed, visit: Label, { worst }: Pick<Comparison, 'worst'>): Fragment => [
  clearWalk(arrays, PICKED, WEIGHT),
  add.imm(R1, worst),
  storeWalk(MEASURE, R1),
  loadWalk(R1, COUNT),
  add.imm(R1, LIST_BLOCK - 1),
  rsh.imm(R1, Math.log2(LIST_BLOCK)),
  walk(visit),
];

/** Returns the function at the label that `compare` calls, for one block after another. */
export function comparer(
  { lists, destinations, records }: Listed,
  label: Label,
  { better, measure }: Comparison,
): Fragment {
  const beyond = Symbol('beyond');
  // Of the destinations, and of what follows them.
  const starts = Array.from({ length: LIST_BLOCK + 1 }, (_, entry) => Symbol(`entry ${entry}`));
  const compared = (entry: number): Fragment => {
    const next = starts[entry + 1]!;
    const pick = [load(H, R1, BLOCK, entry * LIST_ENTRY_BYTES), store(DW, STATE, PICKED, R1)];
    return [
      load(H, COMPARED, BLOCK, entry * LIST_ENTRY_BYTES),
      jge.imm(COMPARED, records, next),
      lsh.imm(COMPARED, RECORD_SHIFT),
      add.reg(COMPARED, RECORDS),
      load(W, COMPARED_WEIGHT, COMPARED, DESTINATION.weight),
      jeq.imm(COMPARED_WEIGHT, 0, next),
      load(W, R4, COMPARED, DESTINATION.overloaded),
      jne.imm(R4, 0, next),
      better(next, [pick, mov.imm(R0, 1), exit()]),
      pick,
      mov.reg(BEST, measure),
      mov.reg(BEST_WEIGHT, COMPARED_WEIGHT),
    ];
  };
  return [
    at(label, mov.reg(STATE, R2)),
    lsh.imm(R1, Math.log2(LIST_BLOCK)),
    load(DW, R2, STATE, FIRST),
    add.reg(R1, R2),
    jgt.imm(R1, MAX_LIST_ENTRIES - LIST_BLOCK, beyond),
    lsh.imm(R1, Math.log2(LIST_ENTRY_BYTES)),
    loadMapValue(BLOCK, lists),
    add.reg(BLOCK, R1),
    loadMapValue(RECORDS, destinations),
    load(DW, BEST, STATE, MEASURE),
    load(DW, BEST_WEIGHT, STATE, WEIGHT),
    starts.slice(0, LIST_BLOCK).map((start, entry) => at(start, compared(entry))),
    at(starts[LIST_BLOCK]!, store(DW, STATE, MEASURE, BEST)),
    store(DW, STATE, WEIGHT, BEST_WEIGHT),
    at(beyond, mov.imm(R0, 0)),
    exit(),
  ];
}
