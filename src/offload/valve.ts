/** Emits the limit for first packets while the table is nearly full. */
import {
  add,
  at,
  DW,
  FP,
  type Fragment,
  jeq,
  jge,
  jgt,
  jump,
  type Label,
  load,
  loadMapValue,
  mov,
  R0,
  R1,
  R2,
  R3,
  rsh,
  store,
  storeImm,
  W,
} from '../ebpf/instruction.ts';
import { HEAD } from '../table/layout.ts';
import { SETTINGS, SHED_COUNTER } from '../table/record-layout.ts';
import type { Arrays } from './arrays.ts';
import { loadScratch, SCRATCH } from './scratch.ts';
import * as stack from './stack.ts';
import { counted, now } from './track.ts';

/** Period for which the valve counts, ms. */
const VALVE_PERIOD_MS = 64;

/**
 * Drops the packet if the table is nearly full, and this processor has seen too many first packets in this period. A SYN
 * that is sent again for a known connection does not come here. Clobbers r0 to r5.
 */
export function valve(arrays: Arrays, miss: Label): Fragment {
  const { settings, head, clock } = arrays;
  const same = Symbol('same');
  const open = Symbol('open');
  return [
    loadMapValue(R1, head),
    load(W, R2, R1, HEAD.live),
    loadMapValue(R1, settings),
    load(W, R3, R1, SETTINGS.valveFrom),
    jgt.reg(R3, R2, open),
    load(W, R3, R1, SETTINGS.valve),
    jeq.imm(R3, 0, open),
    now(arrays),
    rsh.imm(R0, Math.max(0, Math.round(Math.log2(VALVE_PERIOD_MS / clock.tickMs)))),
    store(DW, FP, stack.TICK, R0),
    loadScratch(arrays, miss),
    load(DW, R1, FP, stack.TICK),
    load(W, R2, R0, SCRATCH.period),
    jeq.reg(R1, R2, same),
    store(W, R0, SCRATCH.period, R1),
    storeImm(W, R0, SCRATCH.first, 0),
    at(same, load(W, R2, R0, SCRATCH.first)),
    add.imm(R2, 1),
    store(W, R0, SCRATCH.first, R2),
    loadMapValue(R1, settings),
    load(W, R3, R1, SETTINGS.valve),
    jge.reg(R3, R2, open),
    storeImm(DW, FP, stack.DESTINATION_NUMBER, 0),
    counted(arrays),
    load(DW, R1, R2, SHED_COUNTER),
    add.imm(R1, 1),
    store(DW, R2, SHED_COUNTER, R1),
    jump('drop'),
    at(open, mov.imm(R0, 0)),
    mov.imm(R1, 0),
    mov.imm(R2, 0),
    mov.imm(R3, 0),
  ];
}
