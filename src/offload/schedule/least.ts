/** Emits lc, wlc, sed and nq: the least load, or the least for its weight (src/schedulers/least.ts). */
import {
  add,
  at,
  type Fragment,
  jeq,
  jge,
  jle,
  jne,
  type Label,
  load,
  lsh,
  mov,
  mul,
  R1,
  R2,
  R4,
  W,
} from '../../ebpf/instruction.ts';
import { DESTINATION } from '../../table/record-layout.ts';
import {
  BEST,
  BEST_WEIGHT,
  COMPARED,
  COMPARED_WEIGHT,
  type Comparison,
  compare,
  comparer,
} from './compare.ts';
import { type Listed, loadWalk, PICKED, type Selection } from './walk.ts';

/** The load of the destination that is compared. */
const LOAD = R4;

/** Loads 256 * active + inactive connections, and loses the record. */
const overhead: Fragment = [
  load(W, LOAD, COMPARED, DESTINATION.active),
  lsh.imm(LOAD, 8),
  load(W, R1, COMPARED, DESTINATION.inactive),
  add.reg(LOAD, R1),
];

const active: Fragment = load(W, LOAD, COMPARED, DESTINATION.active);
/** Loads the active connections, including the new one. */
const expectedDelay: Fragment = [active, add.imm(LOAD, 1)];

/** Jumps to `next` unless the load is less than the best one. */
const unlessLess = (next: Label): Fragment => jge.reg(LOAD, BEST, next);

/** Jumps to `next` unless the load is less for its weight than the best one. Clobbers r1 and r2. */
const unlessLessForWeight = (next: Label): Fragment => [
  mov.reg(R1, BEST),
  mul.reg(R1, COMPARED_WEIGHT),
  mov.reg(R2, BEST_WEIGHT),
  mul.reg(R2, LOAD),
  jle.reg(R1, R2, next),
];

function least(arrays: Listed, better: Comparison['better'], worst: number): Selection {
  const visit = Symbol('visit');
  const comparison = { worst, better, measure: LOAD };
  return {
    select: (none) => [compare(arrays, visit, comparison), loadWalk(R1, PICKED), jeq.imm(R1, 0, none)],
    functions: comparer(arrays, visit, comparison),
  };
}

/** As a number without a sign: more than every load. */
const MAX_LOAD = -1;
/** Any load for no weight is more than every other load for its weight. */
const ANY = 1;

export const lc = (arrays: Listed): Selection =>
  least(arrays, (next) => [overhead, unlessLess(next)], MAX_LOAD);
export const wlc = (arrays: Listed): Selection =>
  least(arrays, (next) => [overhead, unlessLessForWeight(next)], ANY);
export const sed = (arrays: Listed): Selection =>
  least(arrays, (next) => [expectedDelay, unlessLessForWeight(next)], ANY);

/** Selects the first idle destination, otherwise as sed does. */
export const nq = (arrays: Listed): Selection => {
  const better: Comparison['better'] = (next, select) => {
    const busy = Symbol('busy');
    return [active, jne.imm(LOAD, 0, busy), select, at(busy, add.imm(LOAD, 1)), unlessLessForWeight(next)];
  };
  return least(arrays, better, ANY);
};
