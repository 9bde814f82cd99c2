/**
 * Emits the program that takes the place of a scheduler's program for persistent services: selects the destination of the
 * client's template, as src/director/path/persistence.ts does, and calls `admit` (scratch.ts). A client without a usable
 * template goes up to the director, which makes one.
 */
import { assemble } from '../ebpf/assemble.ts';
import {
  add,
  and,
  at,
  B,
  DW,
  exit,
  FP,
  type Fragment,
  H,
  jeq,
  jge,
  jne,
  jump,
  type Label,
  load,
  loadMapValue,
  lsh,
  mov,
  mov32,
  or,
  R0,
  R1,
  R2,
  R3,
  R4,
  R5,
  R7,
  R8,
  rsh,
  rsh32,
  store,
  storeImm,
  toBig,
  W,
  xor32,
} from '../ebpf/instruction.ts';
import { FTP_PORT } from '../model/service.ts';
import { CONTROL, KIND, KIND_SHIFT, ROW, ROW_SHIFT, TRACK } from '../table/layout.ts';
import { MAPPED_WORD } from '../table/packet-order.ts';
import { DESTINATION, DESTINATION_FLAGS, SERVICE } from '../table/record-layout.ts';
import { sysctlOffset } from '../table/settings-record.ts';
import type { AdmissionParts } from './admit.ts';
import type { Arrays } from './arrays.ts';
import { CONSTANTS } from './constants.ts';
import { RECORD_SHIFT, select, visit } from './find.ts';
import { asLoaded } from './header-fields.ts';
import { home, sum } from './home.ts';
import { CONTEXT, ROW_AT, redirectTo } from './hooks.ts';
import { callForwarding, loadScratch, loadService, SCRATCH } from './scratch.ts';
import * as stack from './stack.ts';
import { unlessNear } from './stranger.ts';
import { now } from './track.ts';

/** Registers of the processor's entry and, until rows are compared, of the service's record. */
const ENTRY_AT = R7;
const SERVICE_AT = R8;
const WIDE = KIND.WIDE << KIND_SHIFT;
const WORDS = [0, 4, 8, 12];

/** Returns the program as bytes. */
export function templateCode({ hook, arrays, upcall }: AdmissionParts): Uint8Array<ArrayBuffer> {
  return assemble([
    mov.reg(CONTEXT, R1),
    loadScratch(arrays, 'up'),
    mov.reg(ENTRY_AT, R0),
    // The director replaces a connection that is over.
    load(W, R1, ENTRY_AT, SCRATCH.track),
    jne.imm(R1, 0, 'up'),
    loadService(arrays, SERVICE_AT, ENTRY_AT),
    load(B, R1, SERVICE_AT, SERVICE.engine),
    jne.imm(R1, 0, 'up'),
    key('up'),
    network(arrays),
    store(DW, FP, stack.HOME, R0),
    unlessNear(arrays, 'up'),
    find(arrays, 'up'),
    use(arrays, 'up'),
    loadService(arrays, SERVICE_AT, ENTRY_AT),
    callForwarding(arrays, SERVICE_AT, ENTRY_AT),
    at('up', redirectTo(upcall.interfaceIndex)),
    at('drop', mov.imm(R0, hook.drop)),
    exit(),
  ]);
}

/**
 * Stores the virtual endpoint of the template, and what its row has in `client` but WIDE; and the bits that a connection of it
 * has. r5 is the protocol afterwards, shifted as in `client`. Clobbers r1 to r3.
 */
function key(up: Label): Fragment {
  const onePort = Symbol('one port');
  const port = Symbol('port');
  const unmarked = Symbol('unmarked');
  const mark6 = Symbol('mark6');
  const stored = Symbol('stored');
  return [
    load(B, R5, ENTRY_AT, SCRATCH.protocol),
    mov.imm(R3, TRACK.TEMPLATED),
    load(H, R2, ENTRY_AT, SCRATCH.virtualPort),
    load(H, R1, SERVICE_AT, SERVICE.port),
    // A packet to port 0 is one to the port of a service of all ports.
    jeq.imm(R2, 0, up),
    jeq.reg(R1, R2, onePort),
    or.imm(R3, TRACK.SAME_PORT),
    mov.imm(R2, 0),
    jump(port),
    at(onePort, jne.imm(R1, asLoaded(FTP_PORT), port)),
    mov.imm(R2, 0),
    at(port, store(DW, FP, stack.TEMPLATE_PORT, R2)),
    store(W, ENTRY_AT, SCRATCH.bits, R3),
    load(W, R1, SERVICE_AT, SERVICE.mark),
    jeq.imm(R1, 0, unmarked),
    // Templates of marks have no protocol, and the mark for an address: 0.0.0.N, or 0:N::.
    mov.imm(R5, 0),
    toBig(R1, 32),
    load(B, R3, ENTRY_AT, SCRATCH.family),
    jne.imm(R3, 4, mark6),
    storeImm(DW, FP, stack.VIRTUAL, 0),
    storeImm(W, FP, stack.VIRTUAL + 8, MAPPED_WORD),
    store(W, FP, stack.VIRTUAL + 12, R1),
    jump(stored),
    at(mark6, store(W, FP, stack.VIRTUAL, R1)),
    storeImm(W, FP, stack.VIRTUAL + 4, 0),
    storeImm(DW, FP, stack.VIRTUAL + 8, 0),
    jump(stored),
    at(unmarked, load(DW, R1, ENTRY_AT, SCRATCH.virtual)),
    store(DW, FP, stack.VIRTUAL, R1),
    load(DW, R1, ENTRY_AT, SCRATCH.virtual + 8),
    store(DW, FP, stack.VIRTUAL + 8, R1),
    at(stored, lsh.imm(R5, 16)),
    // The virtual port follows `client`, and behind it one half of the salt, which is 0.
    lsh.imm(R2, 32),
    or.reg(R2, R5),
    or.imm(R2, KIND.TEMPLATE << KIND_SHIFT),
    store(DW, FP, stack.TEMPLATE_KEY, R2),
  ];
}

/** Stores the client's network; r0 is the byte offset of the template's home. Clobbers r1, r2, r4, r5. */
function network(arrays: Arrays): Fragment {
  const wide = Symbol('wide');
  const done = Symbol('done');
  return [
    WORDS.map((at) => [
      load(W, R1, ENTRY_AT, SCRATCH.client + at),
      load(W, R2, SERVICE_AT, SERVICE.mask + at),
      and.reg(R1, R2),
      store(W, FP, stack.NETWORK + at, R1),
    ]),
    sum(
      [...WORDS.map((at) => load(W, R1, FP, stack.VIRTUAL + at)), load(DW, R1, FP, stack.TEMPLATE_PORT)],
      arrays,
    ),
    rsh.imm(R0, 16),
    or.reg(R5, R0),
    load(B, R1, ENTRY_AT, SCRATCH.family),
    jne.imm(R1, 4, wide),
    home({ version: 4 }, stack.NETWORK + 12, arrays, FP),
    jump(done),
    at(wide, load(DW, R1, FP, stack.TEMPLATE_KEY)),
    or.imm(R1, WIDE),
    store(DW, FP, stack.TEMPLATE_KEY, R1),
    home({ version: 6 }, stack.NETWORK, arrays, FP),
    at(done, mov.imm(R1, 0)),
  ];
}

/** Jumps to `other` unless the row is the template. r2 is `track` and `timeout`, read before the key. Clobbers r1 and r4. */
const unlessTemplate = (other: Label): Fragment => [
  load(DW, R2, ROW_AT, ROW.track),
  load(DW, R1, ROW_AT, ROW.client),
  load(DW, R4, FP, stack.TEMPLATE_KEY),
  jne.reg(R1, R4, other),
  // The other half of the salt.
  load(H, R1, ROW_AT, ROW.nextHop),
  jne.imm(R1, 0, other),
  (
    [
      [ROW.caddr, stack.NETWORK],
      [ROW.vaddr, stack.VIRTUAL],
    ] as const
  ).map(([field, wanted]) =>
    [0, 8].map((half) => [
      load(DW, R1, ROW_AT, field + half),
      load(DW, R4, FP, wanted + half),
      jne.reg(R1, R4, other),
    ]),
  ),
];

/** Sets ROW_AT and FOUND to the template at the home HOME; jumps to `up` if there is none, or more than one. Clobbers r0 to r5, r9. */
function find(arrays: Arrays, up: Label): Fragment {
  const end = Symbol('end');
  const { constants } = arrays;
  const keep: Fragment = [
    load(DW, R1, FP, stack.FOUND),
    jne.imm(R1, stack.NOT_FOUND, up),
    // As in findReply (find.ts).
    loadMapValue(R1, constants, CONSTANTS.zero),
    load(DW, R1, R1, 0),
    add.reg(R0, R1),
    store(DW, FP, stack.FOUND, R0),
    store(DW, FP, stack.TRACKED, R2),
  ];
  return [
    loadMapValue(R1, constants, CONSTANTS.notFound),
    load(DW, R1, R1, 0),
    store(DW, FP, stack.FOUND, R1),
    storeImm(DW, FP, stack.TRACKED, 0),
    load(DW, R0, FP, stack.HOME),
    visit(arrays, unlessTemplate, keep, end),
    at(end, load(DW, R0, FP, stack.FOUND)),
    jeq.imm(R0, stack.NOT_FOUND, up),
    select(arrays),
  ];
}

/**
 * Writes the template and its destination into the entry, and restarts the template's timer. Jumps to `up` if the destination
 * is not for new connections: the director gives the template up. Clobbers r0 to r5.
 */
function use(arrays: Arrays, up: Label): Fragment {
  const weighted = Symbol('weighted');
  const current = Symbol('current');
  const { destinations, records, settings } = arrays;
  return [
    store(DW, FP, stack.FOUND, R0),
    rsh.imm(R0, ROW_SHIFT),
    add.imm(R0, 1),
    store(W, ENTRY_AT, SCRATCH.template, R0),
    load(DW, R2, FP, stack.TRACKED),
    mov.reg(R1, R2),
    and.imm(R1, TRACK.state),
    jge.imm(R1, TRACK.RECYCLE, up),
    load(H, R3, ROW_AT, ROW.destination),
    load(W, R1, ROW_AT, ROW.track),
    xor32.reg(R1, R2),
    rsh32.imm(R1, TRACK.generation),
    jne.imm(R1, 0, up),
    jge.imm(R3, records, up),
    store(W, ENTRY_AT, SCRATCH.destination, R3),
    lsh.imm(R3, RECORD_SHIFT),
    loadMapValue(R0, destinations),
    add.reg(R0, R3),
    load(W, R1, R0, DESTINATION.flags),
    and.imm(R1, DESTINATION_FLAGS.AVAILABLE),
    jeq.imm(R1, 0, up),
    load(W, R1, R0, DESTINATION.weight),
    jne.imm(R1, 0, weighted),
    loadMapValue(R1, settings, sysctlOffset('expire_quiescent_template')),
    load(W, R1, R1, 0),
    jne.imm(R1, 0, up),
    // The template's word while it controls no rows.
    at(weighted, mov32.reg(R2, R2)),
    rsh.imm(R2, TRACK.generation),
    and.imm(R2, CONTROL.generations),
    or.imm(R2, CONTROL.generations + 1),
    lsh.imm(R2, CONTROL.generation),
    store(W, ENTRY_AT, SCRATCH.control, R2),
    now(arrays),
    load(W, R1, ROW_AT, ROW.seen),
    jeq.reg(R1, R0, current),
    store(W, ROW_AT, ROW.seen, R0),
    at(current, mov.imm(R0, 0)),
  ];
}
