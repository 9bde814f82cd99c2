/**
 * Emits rr and wrr: in turn (src/schedulers/rr.ts, wrr.ts). The position is one word of the service's record, which the
 * director and all processors advance.
 */
import {
  add,
  add32,
  at,
  atomic,
  COMPARE_EXCHANGE,
  DW,
  div,
  type Fragment,
  jeq,
  jle,
  jlt,
  jne,
  jump,
  type Label,
  load,
  lsh,
  mov,
  mov32,
  mul,
  neg,
  or,
  R0,
  R1,
  R2,
  R3,
  R9,
  rsh,
  store,
  sub,
  W,
} from '../../ebpf/instruction.ts';
import { SERVICE } from '../../table/record-layout.ts';
import { compare, comparer } from './compare.ts';
import { HEAVIEST } from './heaviest.ts';
import {
  COUNT,
  clearWalk,
  LEVEL,
  type Listed,
  loadWalk,
  MEASURE,
  PICKED,
  PLACE,
  SERVICE_AT,
  type Selection,
  START,
  STATE,
  selectVisited,
  setWalk,
  storeWalk,
  unlessEligible,
  visitor,
  walk,
} from './walk.ts';

/** Attempts to advance the position; the last selection counts although another processor made the same one. */
const ATTEMPTS = 4;

/** The position as it was read. */
const POSITION = R9;

/** Returns the function at the label: selects the first destination from START on, around the list, that has LEVEL. */
function turnOf(arrays: Listed, visit: Label): Fragment {
  const inList = Symbol('in the list');
  return visitor(
    arrays,
    visit,
    [
      load(DW, R2, STATE, START),
      add.reg(R1, R2),
      load(DW, R2, STATE, COUNT),
      jlt.reg(R1, R2, inList),
      sub.reg(R1, R2),
      at(inList, mov.reg(R9, R1)),
    ],
    (next) => [
      unlessEligible(next),
      load(DW, R1, STATE, LEVEL),
      jlt.reg(R3, R1, next),
      store(DW, STATE, PLACE, R9),
      selectVisited,
    ],
  );
}

/** Reads the position. Loads into r1 the place after that of the last selection. */
const readPosition: Fragment = [
  load(DW, POSITION, SERVICE_AT, SERVICE.level),
  mov.reg(R1, POSITION),
  rsh.imm(R1, 32),
  add32.imm(R1, 1),
];

/** Calls the function that `turnOf` returns, r2 times. Clobbers r0 to r5. */
const walkTurn = (arrays: Listed, visit: Label): Fragment => [
  clearWalk(arrays, PICKED, PLACE),
  mov.reg(R1, R2),
  walk(visit),
];

/** Jumps to `done` if the position becomes PLACE and LEVEL; falls through if another one changed it. Clobbers r0 to r2. */
const advance = (level: Fragment, done: Label): Fragment => [
  level,
  loadWalk(R2, PLACE),
  lsh.imm(R2, 32),
  or.reg(R2, R1),
  mov.reg(R0, POSITION),
  atomic(DW, COMPARE_EXCHANGE, SERVICE_AT, SERVICE.level, R2),
  jeq.reg(R0, POSITION, done),
];

export function rr(arrays: Listed): Selection {
  const visit = Symbol('visit');
  const done = Symbol('done');
  const attempt = (none: Label): Fragment => {
    const inList = Symbol('in the list');
    return [
      readPosition,
      loadWalk(R2, COUNT),
      jlt.reg(R1, R2, inList),
      mov.imm(R1, 0),
      at(inList, storeWalk(START, R1)),
      walkTurn(arrays, visit),
      loadWalk(R1, PICKED),
      jeq.imm(R1, 0, none),
      advance(mov32.reg(R1, POSITION), done),
    ];
  };
  return {
    select: (none) => [
      // Whatever the weight.
      setWalk(LEVEL, 1),
      Array.from({ length: ATTEMPTS }, () => attempt(none)),
      at(done, mov.imm(R0, 0)),
    ],
    functions: turnOf(arrays, visit),
  };
}

export function wrr(arrays: Listed): Selection {
  const visit = Symbol('visit');
  const visitHeaviest = Symbol('visit heaviest');
  const done = Symbol('done');
  const attempt = (none: Label): Fragment => {
    const found = Symbol('found');
    const inList = Symbol('in the list');
    return [
      readPosition,
      mov32.reg(R2, POSITION),
      jeq.imm(R2, 0, none),
      storeWalk(LEVEL, R2),
      // The rest of the list has turns at this level.
      loadWalk(R2, COUNT),
      jle.reg(R1, R2, inList),
      mov.reg(R1, R2),
      at(inList, storeWalk(START, R1)),
      sub.reg(R2, R1),
      walkTurn(arrays, visit),
      loadWalk(R1, PICKED),
      jne.imm(R1, 0, found),
      compare(arrays, visitHeaviest, HEAVIEST),
      nextLevel(none),
      setWalk(START, 0),
      loadWalk(R2, COUNT),
      walkTurn(arrays, visit),
      loadWalk(R1, PICKED),
      jeq.imm(R1, 0, none),
      at(found, advance(loadWalk(R1, LEVEL), done)),
    ];
  };
  return {
    select: (none) => [
      load(W, R1, SERVICE_AT, SERVICE.top),
      jeq.imm(R1, 0, none),
      Array.from({ length: ATTEMPTS }, () => attempt(none)),
      at(done, mov.imm(R0, 0)),
    ],
    functions: [turnOf(arrays, visit), comparer(arrays, visitHeaviest, HEAVIEST)],
  };
}

/**
 * Stores as LEVEL the next one at which a destination has a turn; jumps to `none` if no destination is eligible. Expects the
 * greatest weight as MEASURE. Clobbers r1 to r3.
 */
function nextLevel(none: Label): Fragment {
  const top = Symbol('top');
  const next = Symbol('next');
  const known = Symbol('known');
  return [
    loadWalk(R1, LEVEL),
    load(W, R2, SERVICE_AT, SERVICE.step),
    jle.reg(R1, R2, top),
    sub.reg(R1, R2),
    jump(next),
    at(top, load(W, R1, SERVICE_AT, SERVICE.top)),
    at(next, loadWalk(R3, MEASURE)),
    jeq.imm(R3, 0, none),
    jle.reg(R1, R3, known),
    // Levels above the greatest weight have no turns.
    sub.reg(R3, R1),
    neg(R3),
    add.reg(R3, R2),
    sub.imm(R3, 1),
    div.reg(R3, R2),
    mul.reg(R3, R2),
    sub.reg(R1, R3),
    jeq.imm(R1, 0, none),
    at(known, storeWalk(LEVEL, R1)),
  ];
}
