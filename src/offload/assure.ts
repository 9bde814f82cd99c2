/** Emits the assurance of a template by one of its connections, as `assureTemplate` in src/director/path/tracking.ts does it. */
import {
  add,
  and,
  at,
  atomic,
  B,
  COMPARE_EXCHANGE,
  DW,
  FP,
  type Fragment,
  jeq,
  jge,
  jgt,
  jne,
  type Label,
  load,
  loadMapValue,
  lsh,
  mov,
  or,
  R0,
  R1,
  R2,
  R3,
  rsh,
  rsh32,
  sub,
  W,
  xor32,
} from '../ebpf/instruction.ts';
import { KIND, KIND_SHIFT, ROW, ROW_SHIFT, TRACK } from '../table/layout.ts';
import { TCP } from '../wire/tcp.ts';
import type { Arrays } from './arrays.ts';
import { wordOf } from './control.ts';
import { PACKET, ROW_AT } from './hooks.ts';
import type { Family } from './parse.ts';
import * as stack from './stack.ts';

/** Who sent the packet. */
export type Sender = 'client' | 'destination';

/** The state in which a connection of TCP assures its template, and that of the template then (src/director/path). */
const ESTABLISHED = 1;
const ASSURED = 1;

/**
 * Assures the template of the row at ROW_AT, whose offset is FOUND, if this packet did what assures one: a connection of TCP
 * became established, or the destination sent a datagram. Expects TRACKED, which is as before the packet. Clobbers r0 to r3.
 */
export function assure(family: Family, arrays: Arrays, sender: Sender): Fragment {
  const own = Symbol('own');
  const done = Symbol('done');
  return [
    load(DW, R1, FP, stack.TRACKED),
    and.imm(R1, TRACK.TEMPLATED | TRACK.ASSURED),
    jne.imm(R1, TRACK.TEMPLATED, done),
    unlessAssures(family, sender, done),
    wordOf(arrays, R2, stack.FOUND),
    load(W, R1, R2, 0),
    sub.imm(R1, 1),
    // No row controls it: it controls others.
    jge.imm(R1, arrays.capacity, done),
    lsh.imm(R1, ROW_SHIFT),
    loadMapValue(R3, arrays.rows),
    add.reg(R3, R1),
    load(W, R1, R3, ROW.client),
    rsh.imm(R1, KIND_SHIFT),
    and.imm(R1, ~KIND.WIDE),
    // A template, or one that is not used any more: the kinds follow each other.
    sub.imm(R1, KIND.TEMPLATE),
    jgt.imm(R1, KIND.INVALID - KIND.TEMPLATE, done),
    load(W, R0, R3, ROW.track),
    mov.reg(R1, R0),
    and.imm(R1, TRACK.state),
    jeq.imm(R1, ASSURED, own),
    jge.imm(R1, TRACK.RECYCLE, done),
    // As long as the row has the connection, it has this template.
    unlessSame(done),
    mov.reg(R1, R0),
    and.imm(R1, ~TRACK.state),
    or.imm(R1, ASSURED),
    atomic(W, COMPARE_EXCHANGE, R3, ROW.track, R1),
    at(own, load(W, R0, ROW_AT, ROW.track)),
    unlessSame(done),
    mov.reg(R1, R0),
    or.imm(R1, TRACK.ASSURED),
    atomic(W, COMPARE_EXCHANGE, ROW_AT, ROW.track, R1),
    at(done, mov.imm(R0, 0)),
  ];
}

/** Jumps to `done` for a packet that assures no template. Clobbers r1. */
function unlessAssures({ protocol }: Family, sender: Sender, done: Label): Fragment {
  const assures = Symbol('assures');
  return [
    load(B, R1, PACKET, protocol),
    jne.imm(R1, TCP, sender === 'client' ? done : assures),
    load(W, R1, ROW_AT, ROW.track),
    and.imm(R1, TRACK.state),
    jne.imm(R1, ESTABLISHED, done),
    load(DW, R1, FP, stack.TRACKED),
    and.imm(R1, TRACK.state),
    jeq.imm(R1, ESTABLISHED, done),
    at(assures, mov.imm(R1, 0)),
  ];
}

/** Jumps to `done` if the row at ROW_AT has another connection. Clobbers r1 and r2. */
const unlessSame = (done: Label): Fragment => [
  load(W, R1, ROW_AT, ROW.track),
  load(DW, R2, FP, stack.TRACKED),
  xor32.reg(R1, R2),
  rsh32.imm(R1, TRACK.generation),
  jne.imm(R1, 0, done),
];
