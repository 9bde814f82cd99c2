/** Emits what programs do when the director has not been alive for some time. */
import {
  at,
  type Fragment,
  jeq,
  jgt,
  jlt,
  type Label,
  load,
  loadMapValue,
  mov,
  R0,
  R1,
  R2,
  R3,
  sub32,
  W,
} from '../ebpf/instruction.ts';
import { SETTINGS } from '../table/record-layout.ts';
import type { Arrays } from './arrays.ts';
import { now } from './track.ts';

/** Differences of ticks up to this one are positive. */
const MAX_INT = 0x7fff_ffff;

/**
 * Jumps to `pass` if the director has not been alive for long: the host processes what it would without a director.
 * Clobbers r0 to r5.
 */
export function unlessOrphaned(arrays: Arrays, pass: Label): Fragment {
  const alive = Symbol('alive');
  return [
    now(arrays),
    loadMapValue(R1, arrays.settings),
    load(W, R2, R1, SETTINGS.orphan),
    jeq.imm(R2, 0, alive),
    load(W, R3, R1, SETTINGS.heartbeat),
    sub32.reg(R0, R3),
    // The clocks of programs and director differ: a heartbeat may lie ahead.
    jgt.imm(R0, MAX_INT, alive),
    jgt.reg(R0, R2, pass),
    at(alive, mov.imm(R0, 0)),
  ];
}

/** Jumps to `pass` if the director has not been alive for so long that the host is to have all packets. Clobbers r0 to r5. */
export function unlessReleased(arrays: Arrays, pass: Label): Fragment {
  const alive = Symbol('alive');
  return [
    now(arrays),
    loadMapValue(R1, arrays.settings, SETTINGS.passFrom),
    load(W, R1, R1, 0),
    jeq.imm(R1, 0, alive),
    sub32.reg(R0, R1),
    jlt.imm(R0, MAX_INT, pass),
    at(alive, mov.imm(R0, 0)),
    mov.imm(R1, 0),
  ];
}
