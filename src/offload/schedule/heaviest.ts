/** Emits fo and ovf: the greatest weight (src/schedulers/fo.ts, ovf.ts). */
import { type Fragment, jeq, jgt, jle, type Label, load, R1, R4, W } from '../../ebpf/instruction.ts';
import { DESTINATION } from '../../table/record-layout.ts';
import { BEST, COMPARED, COMPARED_WEIGHT, type Comparison, compare, comparer } from './compare.ts';
import { type Listed, loadWalk, PICKED, type Selection } from './walk.ts';

const heavier = (unlessAllowed: (next: Label) => Fragment): Comparison => ({
  worst: 0,
  better: (next) => [unlessAllowed(next), jle.reg(COMPARED_WEIGHT, BEST, next)],
  measure: COMPARED_WEIGHT,
});

function selection(arrays: Listed, comparison: Comparison): Selection {
  const visit = Symbol('visit');
  return {
    select: (none) => [compare(arrays, visit, comparison), loadWalk(R1, PICKED), jeq.imm(R1, 0, none)],
    functions: comparer(arrays, visit, comparison),
  };
}

/** Its measure is the weight. */
export const HEAVIEST = heavier(() => []);

export const fo = (arrays: Listed): Selection => selection(arrays, HEAVIEST);
/** Selects among those that have not more active connections than their weight. */
export const ovf = (arrays: Listed): Selection =>
  selection(
    arrays,
    heavier((next) => [load(W, R4, COMPARED, DESTINATION.active), jgt.reg(R4, COMPARED_WEIGHT, next)]),
  );
