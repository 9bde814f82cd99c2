/** Emits the program of a scheduler: selects the destination of a new connection, and calls `admit` (scratch.ts). */
import { assemble } from '../../ebpf/assemble.ts';
import { at, exit, type Fragment, mov, R0, R1, store, W } from '../../ebpf/instruction.ts';
import { type SCHEDULER, SERVICE } from '../../table/record-layout.ts';
import type { Arrays } from '../arrays.ts';
import { CONTEXT, type Hook, redirectTo } from '../hooks.ts';
import { type Calls, callForwarding, loadScratch, loadService, SCRATCH } from '../scratch.ts';
import type { Upcall } from '../upcall.ts';
import { dh, sh } from './hashed.ts';
import { fo, ovf } from './heaviest.ts';
import { lc, nq, sed, wlc } from './least.ts';
import { mh } from './maglev.ts';
import { rr, wrr } from './round-robin.ts';
import { ENTRY_AT, type Listed, loadWalk, PICKED, readList, SERVICE_AT, type Selection } from './walk.ts';

export type ProgrammedScheduler = Exclude<keyof typeof SCHEDULER, 'director'>;

const SELECTIONS: Readonly<Record<ProgrammedScheduler, (arrays: Listed) => Selection>> = {
  rr,
  wrr,
  lc,
  wlc,
  sed,
  nq,
  fo,
  ovf,
  sh,
  dh,
  mh,
};

/** The arrays that the programs of schedulers use. */
export type ScheduleArrays = Listed & Calls & Pick<Arrays, 'services'>;

export interface ScheduleParts {
  readonly hook: Hook;
  readonly arrays: ScheduleArrays;
  /** Where packets are sent for which no destination is eligible; undefined: the kernel processes them. */
  readonly upcall?: Upcall;
}

/** Returns the program of the scheduler. */
export function scheduleCode(
  scheduler: ProgrammedScheduler,
  { hook, arrays, upcall }: ScheduleParts,
): Uint8Array<ArrayBuffer> {
  const { select, functions } = SELECTIONS[scheduler](arrays);
  return assemble([
    mov.reg(CONTEXT, R1),
    loadScratch(arrays, 'up'),
    mov.reg(ENTRY_AT, R0),
    loadService(arrays, SERVICE_AT, ENTRY_AT),
    readList(SERVICE.list),
    select('up'),
    loadWalk(R1, PICKED),
    store(W, ENTRY_AT, SCRATCH.destination, R1),
    callForwarding(arrays, SERVICE_AT, ENTRY_AT),
    at('up', upcall ? redirectTo(upcall.interfaceIndex) : passing(hook)),
    functions,
  ]);
}

const passing = ({ pass }: Hook): Fragment => [mov.imm(R0, pass), exit()];
