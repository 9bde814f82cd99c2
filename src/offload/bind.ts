/**
 * Emits the making of a row for a new connection, as src/table/rows.ts makes one and src/director/path/connection-lifecycle.ts
 * binds it: claim, fields, duplicate check, counts, publication (src/table/layout.ts).
 */
import {
  add,
  and,
  at,
  atomic,
  B,
  COMPARE_EXCHANGE,
  DW,
  EXCHANGE,
  FP,
  type Fragment,
  H,
  jeq,
  jge,
  jgt,
  jne,
  jump,
  type Label,
  load,
  loadMapValue,
  mov,
  mov32,
  or,
  R0,
  R1,
  R2,
  R3,
  R4,
  R5,
  rsh,
  store,
  storeImm,
  W,
} from '../ebpf/instruction.ts';
import { HEAD, KIND, KIND_SHIFT, NEAR, ROW, ROW_BYTES, TRACK } from '../table/layout.ts';
import { MAPPED_WORD } from '../table/packet-order.ts';
import { COUNTERS, DESTINATION, SETTINGS } from '../table/record-layout.ts';
import type { Arrays } from './arrays.ts';
import { countBound, order } from './bound-counts.ts';
import { control, uncontrol } from './control.ts';
import { clientOf, requestKey, select, unlessRequest, visit } from './find.ts';
import { giveWay } from './give-way.ts';
import { PACKET, ROW_AT } from './hooks.ts';
import type { Family } from './parse.ts';
import { rebind, uncountFormer } from './rebind.ts';
import { hop } from './rewrite.ts';
import { changeNear, raiseGeneration } from './row-steps.ts';
import { loadScratch, SCRATCH } from './scratch.ts';
import * as stack from './stack.ts';
import { counted, now } from './track.ts';

/**
 * Makes a LIVE row for the packet and the destination, or the row of a connection that is over (rebind.ts), and counts the
 * connection. Expects the stack's TRACKED (without
 * generation), RECORD and DESTINATION_NUMBER, and completes TRACKED. Sets ROW_AT, and HOP_AT again. Jumps to `miss` if there
 * is no place, or another processor makes the same row. Clobbers r0 to r5.
 */
export function bind(family: Family, arrays: Arrays, miss: Label): Fragment {
  const again = Symbol('again');
  const bound = Symbol('bound');
  return [
    meet(),
    loadScratch(arrays, miss),
    load(W, R1, R0, SCRATCH.track),
    jne.imm(R1, 0, again),
    make(family, arrays, miss),
    jump(bound),
    at(again, rebind(arrays, miss)),
    at(bound, countConnection(arrays)),
    load(DW, R1, FP, stack.RECORD),
    load(H, R5, R1, DESTINATION.nextHop),
    hop(arrays, miss),
  ];
}

/** Counts a connection, and whether it is that of a template. Expects TRACKED. Clobbers r0 to r5. */
const countConnection = (arrays: Arrays): Fragment => [
  counted(arrays),
  load(DW, R1, R2, COUNTERS.connections),
  add.imm(R1, 1),
  store(DW, R2, COUNTERS.connections, R1),
  load(DW, R3, FP, stack.TRACKED),
  rsh.imm(R3, Math.log2(TRACK.TEMPLATED)),
  and.imm(R3, 1),
  load(DW, R1, R2, COUNTERS.templated),
  add.reg(R1, R3),
  store(DW, R2, COUNTERS.templated, R1),
];

/**
 * Counts a connection that exists for one packet, as if it was bound and ended: a threshold that it reaches overloads its
 * destination. Expects RECORD and DESTINATION_NUMBER. Clobbers r0 to r5.
 */
export const bindOnce = (arrays: Arrays): Fragment => [
  countBound(),
  load(DW, R1, FP, stack.DESTINATION_NUMBER),
  store(DW, FP, stack.FORMER_DESTINATION, R1),
  storeImm(DW, FP, stack.FORMER_TRACK, TRACK.INACTIVE),
  uncountFormer(arrays),
  countConnection(arrays),
];

/** Makes a row. */
function make(family: Family, arrays: Arrays, miss: Label): Fragment {
  const counting = Symbol('counting');
  const taken = Symbol('taken');
  const refused = Symbol('refused');
  return [
    now(arrays),
    store(DW, FP, stack.TICK, R0),
    claim(arrays, miss),
    // That of a connection whose time was up has ended, whether this one is made or not.
    counted(arrays),
    load(DW, R1, R2, COUNTERS.expired),
    load(DW, R3, FP, stack.DUE),
    add.reg(R1, R3),
    store(DW, R2, COUNTERS.expired, R1),
    fill(family),
    mark(arrays, 'set'),
    publish(family, 'PENDING'),
    requestKey(family),
    load(DW, R0, FP, stack.HOME),
    visit(
      arrays,
      (other) => unlessRequest(family, other, 'live or pending'),
      [load(DW, R1, FP, stack.MADE), jne.reg(R0, R1, taken)],
      counting,
    ),
    at(refused, uncontrol(arrays)),
    at(taken, mark(arrays, 'clear')),
    reselect(arrays),
    mov.imm(R1, KIND.FREE),
    atomic(W, EXCHANGE, ROW_AT, ROW.client, R1),
    jump(miss),
    at(counting, control(arrays, refused)),
    countBound(),
    order(arrays, 'new'),
    reselect(arrays),
    publish(family, 'LIVE'),
    load(DW, R2, FP, stack.TRACKED),
    atomic(DW, EXCHANGE, ROW_AT, ROW.track, R2),
  ];
}

/** A place where the verifier compares all ways that lead to it: it goes on once instead of for each of them. */
function meet(): Fragment {
  const here = Symbol('here');
  return [mov.imm(R1, 0), jump(here), at(here, mov.imm(R0, 0))];
}

/** Sets ROW_AT to the row that is made. Clobbers r0 and r1. */
const reselect = (arrays: Arrays): Fragment => [load(DW, R0, FP, stack.MADE), select(arrays)];

/**
 * Claims a place near the home: ROW_AT, stack.MADE. In a table that is nearly full, or if all places are taken, another
 * connection gives way. Jumps to `none` if there is no such one. Expects TICK. Clobbers r0 to r5.
 */
function claim(arrays: Arrays, none: Label): Fragment {
  const { rows, places, head, settings } = arrays;
  const search = Symbol('search');
  const loop = Symbol('loop');
  const free = Symbol('free');
  const crowded = Symbol('crowded');
  const giving = Symbol('giving');
  const kept = Symbol('kept');
  const claimed = Symbol('claimed');
  const live: Fragment = [loadMapValue(R0, head, HEAD.live), load(W, R1, R0, 0), loadMapValue(R0, settings)];
  return [
    loadScratch(arrays, none),
    load(W, R1, R0, SCRATCH.nextHop),
    store(DW, FP, stack.CLIENT_HOP, R1),
    load(W, R3, R0, SCRATCH.home),
    and.imm(R3, 0x7fffffff & -ROW_BYTES),
    jgt.imm(R3, (places - 1) * ROW_BYTES, none),
    store(DW, FP, stack.HOME, R3),
    storeImm(DW, FP, stack.DUE, 0),
    live,
    load(W, R2, R0, SETTINGS.embryonicFrom),
    jge.reg(R1, R2, crowded),
    storeImm(DW, FP, stack.CROWDED, 0),
    at(search, load(DW, R3, FP, stack.HOME)),
    loadMapValue(ROW_AT, rows),
    add.reg(ROW_AT, R3),
    mov.imm(R2, 0),
    at(loop, load(W, R1, ROW_AT, ROW.client)),
    jeq.imm(R1, KIND.FREE, free),
    add.imm(ROW_AT, ROW_BYTES),
    add.imm(R2, ROW_BYTES),
    jne.imm(R2, NEAR * ROW_BYTES, loop),
    load(DW, R1, FP, stack.CROWDED),
    jne.imm(R1, 0, none),
    jump(giving),
    at(crowded, storeImm(DW, FP, stack.CROWDED, 1)),
    at(giving, giveWay(arrays, kept)),
    jump(claimed),
    at(kept, storeImm(DW, FP, stack.DUE, 0)),
    load(DW, R1, FP, stack.CROWDED),
    jeq.imm(R1, 0, none),
    live,
    load(W, R2, R0, SETTINGS.limit),
    jge.reg(R1, R2, none),
    jump(search),
    at(free, load(DW, R0, FP, stack.HOME)),
    add.reg(R0, R2),
    select(arrays),
    store(DW, FP, stack.MADE, R0),
    mov.imm(R2, 0),
    meet(),
    mov.imm(R0, KIND.FREE),
    mov.imm(R1, KIND.BUSY << KIND_SHIFT),
    atomic(W, COMPARE_EXCHANGE, ROW_AT, ROW.client, R1),
    // Another processor claimed it at this moment.
    jne.imm(R0, KIND.FREE, none),
    at(claimed, mov.imm(R2, 0)),
    mov.imm(R3, 0),
    mov.imm(R4, 0),
    mov.imm(R5, 0),
    reselect(arrays),
    store(DW, FP, stack.MADE, R0),
    meet(),
  ];
}

/** Writes everything but `client` and `near`. Clobbers r1 and r2. */
function fill({ version, src, dst, transport }: Family): Fragment {
  const address = (field: number, from: number): Fragment =>
    version === 4
      ? [
          storeImm(DW, ROW_AT, field, 0),
          storeImm(W, ROW_AT, field + 8, MAPPED_WORD),
          load(W, R1, PACKET, from),
          store(W, ROW_AT, field + 12, R1),
        ]
      : [0, 8].map((half) => [load(DW, R1, PACKET, from + half), store(DW, ROW_AT, field + half, R1)]);
  return [
    load(W, R1, ROW_AT, ROW.track),
    raiseGeneration(1),
    load(DW, R2, FP, stack.TRACKED),
    or.reg(R2, R1),
    store(DW, FP, stack.TRACKED, R2),
    // Nothing ends the connection before its row is complete.
    or.imm(R2, TRACK.RECYCLE),
    store(DW, ROW_AT, ROW.track, R2),
    address(ROW.caddr, src),
    address(ROW.vaddr, dst),
    load(H, R1, PACKET, transport + 2),
    store(H, ROW_AT, ROW.vport, R1),
    storeImm(H, ROW_AT, ROW.packets, 0),
    load(DW, R1, FP, stack.TICK),
    store(W, ROW_AT, ROW.seen, R1),
    load(DW, R1, FP, stack.DESTINATION_NUMBER),
    store(H, ROW_AT, ROW.destination, R1),
    load(DW, R1, FP, stack.CLIENT_HOP),
    store(H, ROW_AT, ROW.nextHop, R1),
  ];
}

/** Sets or clears the row's bit at its home. Clobbers r0 to r3. */
const mark = (arrays: Arrays, change: 'set' | 'clear'): Fragment => [
  load(DW, R3, FP, stack.HOME),
  changeNear(arrays, change),
];

/** Makes the row one of that kind; r5 is its `client` as a row of the kind LIVE afterwards. Clobbers r1. */
const publish = (family: Family, kind: 'PENDING' | 'LIVE'): Fragment => [
  load(B, R5, PACKET, family.protocol),
  clientOf(family.transport),
  mov32.reg(R1, R5),
  or.imm(R1, (KIND[kind] | (family.version === 6 ? KIND.WIDE : 0)) << KIND_SHIFT),
  atomic(W, EXCHANGE, ROW_AT, ROW.client, R1),
];
