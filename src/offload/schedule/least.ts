/** Emits lc, wlc, sed and nq: the least load, or the least for its weight (src/schedulers/least.ts). */
import {
  add,
  at,
  DW,
  type Fragment,
  jeq,
  jge,
  jle,
  jne,
  type Label,
  load,
  lsh,
  mul,
  R1,
  R2,
  R3,
  R4,
  R5,
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
  selectVisited,
  unlessEligible,
  visitor,
  WEIGHT,
  walk,
} from './walk.ts';

/** Loads into r4 256 * active + inactive connections. Clobbers r5. */
const overhead: Fragment = [
  load(W, R4, RECORD, DESTINATION.active),
  lsh.imm(R4, 8),
  load(W, R5, RECORD, DESTINATION.inactive),
  add.reg(R4, R5),
];

/** Loads into r4 the active connections, including the new one. */
const expectedDelay: Fragment = [load(W, R4, RECORD, DESTINATION.active), add.imm(R4, 1)];

/** Jumps to `next` unless the load in r4 is less than that of the destination selected before. Clobbers r1. */
const unlessLess = (next: Label): Fragment => [load(DW, R1, STATE, MEASURE), jge.reg(R4, R1, next)];

/**
 * Jumps to `next` unless the load in r4 is less for the weight in r3 than that of the destination selected before. Clobbers
 * r1 and r2.
 */
const unlessLessForWeight = (next: Label): Fragment => [
  load(DW, R1, STATE, MEASURE),
  mul.reg(R1, R3),
  load(DW, R2, STATE, WEIGHT),
  mul.reg(R2, R4),
  jle.reg(R1, R2, next),
];

/** `measure` loads the load of the visited destination into r4; it may use r5 and select the destination. */
function least(arrays: Listed, measure: Fragment, unlessBetter: (next: Label) => Fragment): Selection {
  const visit = Symbol('visit');
  const better = Symbol('better');
  return {
    select: (none) => [
      clearWalk(arrays, PICKED, MEASURE, WEIGHT),
      loadWalk(R1, COUNT),
      walk(visit),
      loadWalk(R1, PICKED),
      jeq.imm(R1, 0, none),
    ],
    functions: visitor(arrays, visit, [], (next) => [
      unlessEligible(next),
      measure,
      load(DW, R1, STATE, PICKED),
      jeq.imm(R1, 0, better),
      unlessBetter(next),
      at(better, store(DW, STATE, PICKED, NUMBER)),
      store(DW, STATE, MEASURE, R4),
      store(DW, STATE, WEIGHT, R3),
    ]),
  };
}

export const lc = (arrays: Listed): Selection => least(arrays, overhead, unlessLess);
export const wlc = (arrays: Listed): Selection => least(arrays, overhead, unlessLessForWeight);
export const sed = (arrays: Listed): Selection => least(arrays, expectedDelay, unlessLessForWeight);
/** Selects the first idle destination, otherwise as sed does. */
export const nq = (arrays: Listed): Selection => {
  const busy = Symbol('busy');
  return least(
    arrays,
    [load(W, R4, RECORD, DESTINATION.active), jne.imm(R4, 0, busy), selectVisited, at(busy, add.imm(R4, 1))],
    unlessLessForWeight,
  );
};
