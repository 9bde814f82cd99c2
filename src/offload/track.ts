/** Emits what every packet of a known connection changes: state, timeout, counts, as src/director/path/tracking.ts does. */
import { JIFFIES64, PROCESSOR_ID } from '../ebpf/helper.ts';
import {
  ATOMIC_ADD,
  add,
  and,
  at,
  atomic,
  B,
  COMPARE_EXCHANGE,
  call,
  DW,
  FP,
  type Fragment,
  H,
  jeq,
  jge,
  jlt,
  jne,
  jset,
  jump,
  type Label,
  load,
  loadImm64,
  loadMapValue,
  lsh,
  mod,
  mov,
  mov32,
  mul,
  or,
  R0,
  R1,
  R2,
  R3,
  R4,
  R5,
  rsh,
  store,
  W,
  xor,
} from '../ebpf/instruction.ts';
import { ROW, TRACK } from '../table/layout.ts';
import { COUNTERS, COUNTERS_BYTES, DESTINATION, SETTINGS } from '../table/record-layout.ts';
import { ACK, FIN, RST, SYN, TCP } from '../wire/tcp.ts';
import type { Arrays } from './arrays.ts';
import { assure, type Sender } from './assure.ts';
import { PACKET, ROW_AT } from './hooks.ts';
import type { Family } from './parse.ts';
import * as stack from './stack.ts';

/** Rows of the table of transitions: four events for each sender, then the row of segments without any of the flags. */
const EVENTS = { rst: 0, syn: 1, fin: 2, ack: 3 } as const;
const FROM_DESTINATION = 4;
const CLIENT_ONLY = 8;
const NO_EVENT = 12;
/** Offsets of tables of transitions have no other bits. */
const TABLES = 0xf80;
/** States that count as active: ESTABLISHED, SYN_SENT, SYN_RECV, SYNACK (src/director/path/tcp-state.ts). */
const ACTIVE = 0x40e;
/** States from here on are none of TCP. */
const STATES = 11;
/** Attempts to change a row that other processors change, too. */
const ATTEMPTS = 3;
/** Where the count of packets goes on at the end of its 16 bits. */
const PACKETS_END = 0x1_0000;
const PACKETS_WRAP = 0x8000;

/**
 * Tracks a packet of the row at ROW_AT: state and timeout, active and inactive connections of its destination, `seen`,
 * the counters and, of a client, the row's packets. Expects the stack's TRACKED, FLAGS, COUNT, RECORD and
 * DESTINATION_NUMBER. `packet`: the first one of a connection assures no template. Clobbers r0 to r5.
 */
export function track(
  family: Family,
  arrays: Arrays,
  sender: Sender,
  packet: 'first' | 'any' = 'any',
): Fragment {
  const done = Symbol('done');
  const udp = Symbol('udp');
  return [
    load(DW, R2, FP, stack.TRACKED),
    load(B, R1, PACKET, family.protocol),
    jne.imm(R1, TCP, udp),
    transitions(arrays, sender),
    Array.from({ length: ATTEMPTS }, () => attempt(arrays, sender, done)),
    jump(done),
    at(udp, loadMapValue(R4, arrays.settings, SETTINGS.udpTimeout)),
    load(W, R4, R4, 0),
    mov.reg(R1, R2),
    rsh.imm(R1, 32),
    jeq.reg(R1, R4, done),
    lsh.imm(R4, 32),
    mov32.reg(R1, R2),
    or.reg(R4, R1),
    // Another processor that changes the row at the same time writes the same timeout.
    mov.reg(R0, R2),
    atomic(DW, COMPARE_EXCHANGE, ROW_AT, ROW.track, R4),
    at(done, mov.imm(R0, 0)),
    packet === 'first' ? [] : assure(family, arrays, sender),
    see(arrays),
    sender === 'client' ? countPacket() : [],
    count(arrays, sender),
  ];
}

/** Loads into r5 the next states, 4 bits for each state, after the segment. Clobbers r1 and r3. */
function transitions({ settings }: Arrays, sender: Sender): Fragment {
  const event = Symbol('event');
  const row = Symbol('row');
  return [
    load(DW, R1, FP, stack.FLAGS),
    mov.imm(R3, EVENTS.rst),
    jset.imm(R1, RST, event),
    mov.imm(R3, EVENTS.syn),
    jset.imm(R1, SYN, event),
    mov.imm(R3, EVENTS.fin),
    jset.imm(R1, FIN, event),
    mov.imm(R3, EVENTS.ack),
    jset.imm(R1, ACK, event),
    mov.imm(R3, NO_EVENT),
    jump(row),
    at(
      event,
      sender === 'destination'
        ? add.imm(R3, FROM_DESTINATION)
        : [
            // Until the destination was seen, other transitions hold.
            mov.reg(R1, R2),
            and.imm(R1, TRACK.NOOUTPUT),
            jeq.imm(R1, 0, row),
            add.imm(R3, CLIENT_ONLY),
          ],
    ),
    at(row, lsh.imm(R3, 3)),
    loadMapValue(R5, settings),
    load(W, R1, R5, SETTINGS.transitionsInUse),
    and.imm(R1, TABLES),
    add.reg(R5, R1),
    add.reg(R5, R3),
    load(DW, R5, R5, 0),
  ];
}

/**
 * Changes `track` and `timeout` from r2 by the transitions in r5, and counts the connection as active or inactive; jumps
 * to `done`. Falls through with r2 as it is now if another processor changed them. Clobbers r0, r1, r3, r4.
 */
function attempt({ settings }: Arrays, sender: Sender, done: Label): Fragment {
  const active = Symbol('active');
  const lost = Symbol('lost');
  const deactivated = Symbol('deactivated');
  const changed = TRACK.state | TRACK.INACTIVE | (sender === 'destination' ? TRACK.NOOUTPUT : 0);
  return [
    mov.reg(R1, R2),
    and.imm(R1, TRACK.state),
    jge.imm(R1, STATES, done),
    lsh.imm(R1, 2),
    mov.reg(R3, R5),
    rsh.reg(R3, R1),
    and.imm(R3, TRACK.state),
    mov.reg(R1, R3),
    lsh.imm(R1, 2),
    loadMapValue(R4, settings, SETTINGS.tcpTimeouts),
    add.reg(R4, R1),
    load(W, R4, R4, 0),
    lsh.imm(R4, 32),
    mov.reg(R1, R2),
    and.imm(R1, ~changed),
    or.reg(R1, R3),
    mov.imm(R0, ACTIVE),
    rsh.reg(R0, R3),
    jset.imm(R0, 1, active),
    or.imm(R1, TRACK.INACTIVE),
    at(active, mov32.reg(R1, R1)),
    or.reg(R4, R1),
    jeq.reg(R4, R2, done),
    mov.reg(R0, R2),
    atomic(DW, COMPARE_EXCHANGE, ROW_AT, ROW.track, R4),
    jne.reg(R0, R2, lost),
    // This processor changed the row, so it counts.
    xor.reg(R2, R4),
    and.imm(R2, TRACK.INACTIVE),
    jeq.imm(R2, 0, done),
    load(DW, R3, FP, stack.RECORD),
    mov.imm(R1, 1),
    mov.imm(R0, -1),
    and.imm(R4, TRACK.INACTIVE),
    jne.imm(R4, 0, deactivated),
    atomic(W, ATOMIC_ADD, R3, DESTINATION.inactive, R0),
    atomic(W, ATOMIC_ADD, R3, DESTINATION.active, R1),
    jump(done),
    at(deactivated, atomic(W, ATOMIC_ADD, R3, DESTINATION.active, R0)),
    atomic(W, ATOMIC_ADD, R3, DESTINATION.inactive, R1),
    jump(done),
    // Another generation: the row has another connection.
    at(lost, mov.reg(R1, R0)),
    xor.reg(R1, R2),
    mov32.reg(R1, R1),
    rsh.imm(R1, TRACK.generation),
    jne.imm(R1, 0, done),
    mov.reg(R2, R0),
  ];
}

/** Loads the tick of now into r0. Clobbers r1 to r5. */
export const now = ({ clock }: Arrays): Fragment => [
  call(JIFFIES64),
  loadImm64(R1, Number(BigInt.asIntN(32, clock.offset)), Number(BigInt.asIntN(32, clock.offset >> 32n))),
  add.reg(R0, R1),
  rsh.imm(R0, clock.shift),
  mov32.reg(R0, R0),
];

/** Restarts the row's timer. Clobbers r0 to r5. */
function see(arrays: Arrays): Fragment {
  const current = Symbol('current');
  return [
    now(arrays),
    load(W, R1, ROW_AT, ROW.seen),
    jeq.reg(R1, R0, current),
    store(W, ROW_AT, ROW.seen, R0),
    at(current, mov.imm(R0, 0)),
  ];
}

/** Counts a packet of the client in the row. Clobbers r1. */
function countPacket(): Fragment {
  const fits = Symbol('fits');
  return [
    load(H, R1, ROW_AT, ROW.packets),
    add.imm(R1, 1),
    jlt.imm(R1, PACKETS_END, fits),
    mov.imm(R1, PACKETS_WRAP),
    at(fits, store(H, ROW_AT, ROW.packets, R1)),
  ];
}

/** Sets r2 to what this processor counts for the destination. Clobbers r0, r1, r3 to r5. */
export const counted = ({ counters, processors, records }: Arrays): Fragment => [
  call(PROCESSOR_ID),
  // Processors that were added since share the counters of others.
  mod.imm(R0, processors),
  // For the verifier.
  jge.imm(R0, processors, 'drop'),
  mul.imm(R0, records),
  load(DW, R1, FP, stack.DESTINATION_NUMBER),
  add.reg(R0, R1),
  lsh.imm(R0, Math.log2(COUNTERS_BYTES)),
  loadMapValue(R2, counters),
  add.reg(R2, R0),
];

/** Counts the packet for the destination, on this processor. Clobbers r0 to r5. */
export function count(arrays: Arrays, sender: Sender): Fragment {
  const [packets, octets] =
    sender === 'client' ? [COUNTERS.inPackets, COUNTERS.inOctets] : [COUNTERS.outPackets, COUNTERS.outOctets];
  const plus = (field: number, by: number): Fragment => [
    load(DW, R3, FP, by),
    load(DW, R1, R2, field),
    add.reg(R1, R3),
    store(DW, R2, field, R1),
  ];
  return [counted(arrays), plus(packets, stack.PACKETS), plus(octets, stack.OCTETS)];
}
