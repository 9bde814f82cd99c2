/** Emits fo and ovf: the greatest weight (src/schedulers/fo.ts, ovf.ts). */
import {
  DW,
  type Fragment,
  jeq,
  jgt,
  jle,
  type Label,
  load,
  R1,
  R3,
  R4,
  store,
  W,
} from '../../ebpf/instruction.ts';
import { DESTINATION } from '../../table/record-layout.ts';
import {
  COUNT,
  clearWalk,
  type Listed,
  loadWalk,
  MEASURE,
  NUMBER,
  PICKED,
  RECORD,
  type Selection,
  STATE,
  unlessEligible,
  visitor,
  walk,
} from './walk.ts';

/** Returns the function at the label: PICKED becomes the heaviest destination, MEASURE, which begins at 0, its weight. */
export const heaviestOf = (
  arrays: Listed,
  visit: Label,
  unlessAllowed: (next: Label) => Fragment = () => [],
): Fragment =>
  visitor(arrays, visit, [], (next) => [
    unlessEligible(next),
    unlessAllowed(next),
    load(DW, R1, STATE, MEASURE),
    jle.reg(R3, R1, next),
    store(DW, STATE, PICKED, NUMBER),
    store(DW, STATE, MEASURE, R3),
  ]);

/** Calls the function that `heaviestOf` returns. Clobbers r0 to r5. */
export const walkHeaviest = (arrays: Listed, visit: Label): Fragment => [
  clearWalk(arrays, PICKED, MEASURE),
  loadWalk(R1, COUNT),
  walk(visit),
];

function heaviest(arrays: Listed, unlessAllowed?: (next: Label) => Fragment): Selection {
  const visit = Symbol('visit');
  return {
    select: (none) => [walkHeaviest(arrays, visit), loadWalk(R1, PICKED), jeq.imm(R1, 0, none)],
    functions: heaviestOf(arrays, visit, unlessAllowed),
  };
}

export const fo = (arrays: Listed): Selection => heaviest(arrays);
/** Selects among those that have not more active connections than their weight. */
export const ovf = (arrays: Listed): Selection =>
  heaviest(arrays, (next) => [load(W, R4, RECORD, DESTINATION.active), jgt.reg(R4, R3, next)]);
