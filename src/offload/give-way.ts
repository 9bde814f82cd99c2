/**
 * Emits the end of a connection that gives way to a new one: near the home of the new one, one whose time is up, or, in a
 * table that is nearly full, one that has waited 3 s for the end of its handshake. The program does what the director would
 * (src/director/path/connection-lifecycle.ts, defense.ts), so that a flood neither waits for the director nor reaches it.
 */
import {
  ATOMIC_ADD,
  add,
  and,
  at,
  atomic,
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
  jset,
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
  sub,
  W,
} from '../ebpf/instruction.ts';
import { HEAD, KIND, KIND_SHIFT, NEAR, ROW, ROW_BYTES, TRACK } from '../table/layout.ts';
import { TCP } from '../wire/tcp.ts';
import type { Arrays } from './arrays.ts';
import { select } from './find.ts';
import { home } from './home.ts';
import { ROW_AT } from './hooks.ts';
import { uncountFormer } from './rebind.ts';
import { changeNear, raiseGeneration } from './row-steps.ts';
import * as stack from './stack.ts';

/**
 * Rows that do not give way: those that the director works on, and those of a template or another connection. With a handshake of a
 * template ends the template, too, which the director alone does (`makeRoom` of src/director/path/defense.ts).
 */
const EXCLUDED_BITS = TRACK.TEMPLATED | TRACK.UP;
/** States of a handshake: SYN_RECV and SYNACK (src/director/path/tcp-state.ts). */
const EMBRYONIC = 0x408;
/** Time that a handshake may take in a table that is nearly full, ms. */
const MIN_WAIT_MS = 3000;
const NEGATIVE = 0x8000_0000;
/** Places that are searched, from the home on: in a table that is nearly full, half of them are taken. */
const SEARCHED = 16;

/**
 * Ends the first connection near HOME that gives way: its row becomes BUSY, at ROW_AT and MADE. Expects TICK and CROWDED.
 * Jumps to `none` if there is no such connection, or another processor changes it at this moment. Clobbers r0 to r5.
 */
export function giveWay(arrays: Arrays, none: Label): Fragment {
  const { rows, clock } = arrays;
  const loop = Symbol('loop');
  const next = Symbol('next');
  const due = Symbol('due');
  const found = Symbol('found');
  return [
    load(DW, R3, FP, stack.HOME),
    loadMapValue(ROW_AT, rows),
    add.reg(ROW_AT, R3),
    mov.imm(R2, 0),
    at(loop, load(W, R1, ROW_AT, ROW.client)),
    rsh.imm(R1, KIND_SHIFT),
    and.imm(R1, ~KIND.WIDE),
    jne.imm(R1, KIND.LIVE, next),
    // Modulo 2^32, because the clock wraps.
    load(DW, R0, FP, stack.TICK),
    load(W, R1, ROW_AT, ROW.seen),
    sub.reg(R0, R1),
    mov32.reg(R0, R0),
    load(W, R4, ROW_AT, ROW.track),
    mov.reg(R1, R4),
    and.imm(R1, EXCLUDED_BITS),
    jne.imm(R1, 0, next),
    mov32.imm(R1, NEGATIVE | 0),
    jge.reg(R0, R1, next),
    load(W, R1, ROW_AT, ROW.timeout),
    jgt.reg(R0, R1, due),
    load(DW, R1, FP, stack.CROWDED),
    jeq.imm(R1, 0, next),
    mov.imm(R1, Math.ceil(MIN_WAIT_MS / clock.tickMs)),
    jgt.reg(R1, R0, next),
    load(W, R1, ROW_AT, ROW.client),
    rsh.imm(R1, 16),
    and.imm(R1, 0xff),
    jne.imm(R1, TCP, next),
    mov.reg(R0, R4),
    and.imm(R0, TRACK.state),
    mov.imm(R1, EMBRYONIC),
    rsh.reg(R1, R0),
    storeImm(DW, FP, stack.DUE, 0),
    jset.imm(R1, 1, found),
    at(next, mov.imm(R0, 0)),
    mov.imm(R1, 0),
    mov.imm(R4, 0),
    add.imm(ROW_AT, ROW_BYTES),
    add.imm(R2, ROW_BYTES),
    jne.imm(R2, SEARCHED * ROW_BYTES, loop),
    jump(none),
    at(due, storeImm(DW, FP, stack.DUE, 1)),
    at(found, store(DW, FP, stack.FORMER_TRACK, R4)),
    load(DW, R0, FP, stack.HOME),
    add.reg(R0, R2),
    select(arrays),
    store(DW, FP, stack.MADE, R0),
    mov.imm(R2, 0),
    mov.imm(R3, 0),
    mov.imm(R4, 0),
    findHome(arrays, none),
    end(none),
    uncountFormer(arrays),
    unlink(arrays),
  ];
}

/** Stores the home of the row at ROW_AT; jumps to `none` if its bit is missing: the annex finds the row. */
function findHome(arrays: Arrays, none: Label): Fragment {
  const wide = Symbol('wide');
  const known = Symbol('known');
  return [
    load(W, R5, ROW_AT, ROW.client),
    mov.reg(R2, R5),
    and.imm(R5, 0xff_ffff),
    and.imm(R2, KIND.WIDE << KIND_SHIFT),
    jne.imm(R2, 0, wide),
    home({ version: 4 }, ROW.caddr + 12, arrays, ROW_AT),
    jump(known),
    at(wide, home({ version: 6 }, ROW.caddr, arrays, ROW_AT)),
    at(known, store(DW, FP, stack.FORMER_HOME, R0)),
    load(DW, R1, FP, stack.MADE),
    sub.reg(R1, R0),
    // Below the home it is beyond every bit, too.
    jge.imm(R1, NEAR * ROW_BYTES, none),
  ];
}

/** Ends the connection as the director would: one processor wins. Jumps to `none` for the others. Clobbers r0, r1, r3. */
const end = (none: Label): Fragment => [
  load(DW, R3, FP, stack.FORMER_TRACK),
  mov.reg(R0, R3),
  and.imm(R0, TRACK.state),
  jge.imm(R0, TRACK.RECYCLE, none),
  mov.reg(R1, R3),
  raiseGeneration(1),
  or.imm(R1, TRACK.GONE),
  mov.reg(R0, R3),
  atomic(W, COMPARE_EXCHANGE, ROW_AT, ROW.track, R1),
  jne.reg(R0, R3, none),
  load(H, R1, ROW_AT, ROW.destination),
  store(DW, FP, stack.FORMER_DESTINATION, R1),
];

/** Makes the row one that is not found, and claimed by this processor. Clobbers r0 to r3. */
const unlink = (arrays: Arrays): Fragment => [
  load(DW, R3, FP, stack.FORMER_HOME),
  // For the verifier.
  and.imm(R3, 0x7fffffff & -ROW_BYTES),
  jgt.imm(R3, (arrays.places - 1) * ROW_BYTES, 'drop'),
  changeNear(arrays, 'clear'),
  mov.imm(R1, KIND.BUSY << KIND_SHIFT),
  atomic(W, EXCHANGE, ROW_AT, ROW.client, R1),
  loadMapValue(R2, arrays.head, HEAD.live),
  mov.imm(R1, -1),
  atomic(W, ATOMIC_ADD, R2, 0, R1),
];
