/**
 * Emits the program that makes a row for a new connection and forwards its first packet, after the scheduler's program has
 * selected the destination. What it cannot do goes up to the director, which selects again.
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
  load,
  loadImm64,
  loadMapValue,
  lsh,
  mov,
  or,
  R0,
  R1,
  R2,
  R3,
  R4,
  store,
  W,
} from '../ebpf/instruction.ts';
import { INITIAL_TIMEOUT_MS } from '../model/connection.ts';
import { METHOD_BITS, TRACK } from '../table/layout.ts';
import { DESTINATION } from '../table/record-layout.ts';
import { Ticks } from '../table/ticks.ts';
import { TCP, TCP_FLAGS, TCP_HEADER } from '../wire/tcp.ts';
import { UDP_HEADER } from '../wire/udp.ts';
import type { Arrays } from './arrays.ts';
import { bind, bindOnce } from './bind.ts';
import { CONSTANTS } from './constants.ts';
import { ETHERTYPE, IPV4_TYPE, IPV6_TYPE } from './header-fields.ts';
import { CONTEXT, type Hook, PACKET, redirectTo, unlessReadable } from './hooks.ts';
import { type Family, V4, V6 } from './parse.ts';
import { SHORTEST } from './program.ts';
import { keepDestination, toDestination } from './rewrite.ts';
import { loadScratch, SCRATCH } from './scratch.ts';
import * as stack from './stack.ts';
import { count, track } from './track.ts';
import type { Upcall } from './upcall.ts';

export interface AdmissionParts {
  readonly hook: Hook;
  readonly arrays: Arrays;
  readonly upcall: Upcall;
}

/** Returns the program as bytes. */
export const admissionCode = (parts: AdmissionParts): Uint8Array<ArrayBuffer> =>
  assemble(
    admission(parts, (family) => [
      bind(family, parts.arrays, family.label('miss')),
      track(family, parts.arrays, 'client', 'first'),
    ]),
  );

/** Returns the program that forwards a packet of a one-packet service: its connection exists for this packet alone. */
export const onePacketCode = (parts: AdmissionParts): Uint8Array<ArrayBuffer> =>
  assemble(admission(parts, () => [bindOnce(parts.arrays), count(parts.arrays, 'client')]));

/** `counting`: binds and counts the packet, see `toDestination`. */
function admission(
  { hook, arrays, upcall }: AdmissionParts,
  counting: (family: Family) => Fragment,
): Fragment {
  const families = [V4, V6];
  return [
    mov.reg(CONTEXT, R1),
    hook.begin,
    unlessReadable(SHORTEST, 'pass'),
    load(H, R1, PACKET, ETHERTYPE),
    jeq.imm(R1, IPV6_TYPE, V6.label('is')),
    jeq.imm(R1, IPV4_TYPE, V4.label('is')),
    jump('pass'),
    families.map((family) => [
      at(family.label('is'), unlessReadable(family.transport + UDP_HEADER, 'pass')),
      keepFlags(family),
      bound(family, arrays),
      toDestination(family, hook, arrays, counting(family)),
    ]),
    at('transmit', hook.transmit),
    families.map((family) => at(family.label('miss'), jump('up'))),
    at('up', redirectTo(upcall.interfaceIndex)),
    at('pass', mov.imm(R0, hook.pass)),
    exit(),
    at('drop', mov.imm(R0, hook.drop)),
    exit(),
  ];
}

/** Stores FLAGS of a TCP segment. Clobbers r1 and r2. */
export function keepFlags({ protocol, transport, label }: Family): Fragment {
  const tcp = Symbol('tcp');
  const kept = Symbol('kept');
  return [
    load(B, R1, PACKET, protocol),
    jeq.imm(R1, TCP, tcp),
    // Any flags: the verifier follows this shorter packet, and recognizes TCP as another case of the same.
    store(DW, FP, stack.FLAGS, R1),
    jump(kept),
    at(tcp, unlessReadable(transport + TCP_HEADER, label('miss'))),
    load(B, R1, PACKET, transport + TCP_FLAGS),
    store(DW, FP, stack.FLAGS, R1),
    at(kept, mov.imm(R1, 0)),
  ];
}

/**
 * Reads the destination that was selected: its record is at r0 afterwards, and r2 is `track` and `timeout` of a connection
 * that is bound to it. Jumps to `miss` if there is none. Clobbers r1 to r5.
 */
function bound({ version, label }: Family, arrays: Arrays): Fragment {
  const miss = label('miss');
  const translated = Symbol('translated');
  const anotherPort = Symbol('another port');
  const { records, clock, constants } = arrays;
  return [
    loadScratch(arrays, miss),
    load(W, R4, R0, SCRATCH.bits),
    load(W, R3, R0, SCRATCH.destination),
    jeq.imm(R3, 0, miss),
    jge.imm(R3, records, miss),
    keepDestination(arrays, miss),
    loadImm64(R2, TRACK.INACTIVE, new Ticks(clock.tickMs).timeout(INITIAL_TIMEOUT_MS)),
    or.reg(R2, R4),
    load(H, R1, R0, DESTINATION.method),
    lsh.imm(R1, TRACK.method),
    and.imm(R1, METHOD_BITS),
    jeq.imm(R1, 0, translated),
    or.reg(R2, R1),
    or.imm(R2, TRACK.NOOUTPUT),
    at(translated, load(H, R1, R0, DESTINATION.port)),
    jne.imm(R1, 0, anotherPort),
    or.imm(R2, TRACK.SAME_PORT),
    // For the verifier, which forgets the value and continues once for all methods.
    at(anotherPort, loadMapValue(R1, constants, CONSTANTS.zero)),
    load(DW, R1, R1, 0),
    add.reg(R2, R1),
    store(DW, FP, stack.TRACKED, R2),
    store(DW, FP, stack.NEW_PORT, R1),
    version === 4
      ? store(W, FP, stack.NEW_ADDRESS, R1)
      : [0, 8].map((half) => store(DW, FP, stack.NEW_ADDRESS + half, R1)),
  ];
}
