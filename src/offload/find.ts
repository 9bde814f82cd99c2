/** Emits the search for the row of a packet's connection, as src/table/row-search.ts finds it. */
import {
  add,
  and,
  at,
  B,
  DW,
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
  loadImm64,
  loadMapValue,
  lsh,
  mov,
  mul,
  neg,
  or,
  R0,
  R1,
  R2,
  R3,
  R4,
  R5,
  R9,
  type Register,
  rsh,
  type Size,
  store,
  storeImm,
  sub,
  W,
} from '../ebpf/instruction.ts';
import { KIND, KIND_SHIFT, METHOD_BITS, NEAR, ROW, ROW_BYTES, ROW_SHIFT, TRACK } from '../table/layout.ts';
import { DESTINATION, DESTINATION_BYTES } from '../table/record-layout.ts';
import type { Arrays } from './arrays.ts';
import { BIT_FACTOR, BIT_SHIFT, CONSTANTS } from './constants.ts';
import { home } from './home.ts';
import { PACKET, ROW_AT } from './hooks.ts';
import type { Family } from './parse.ts';
import { CANDIDATE, FOUND, HOME, NOT_FOUND, TRACKED } from './stack.ts';

/** Kind of a row, as `client` has it. */
const liveOf = ({ version }: Family): number => (KIND.LIVE | (version === 6 ? KIND.WIDE : 0)) << KIND_SHIFT;
export const RECORD_SHIFT = Math.log2(DESTINATION_BYTES);
/** Jumps to `other` unless the 16 bytes at `at` of `from` are the packet's address at `address`. Clobbers r1 and r4. */
function unlessAddress({ version }: Family, from: Register, field: number, address: number, other: Label) {
  const parts: readonly (readonly [Size, number, number])[] =
    version === 4
      ? [[W, 12, 0]]
      : [
          [DW, 0, 0],
          [DW, 8, 8],
        ];
  return parts.map(([size, ours, its]) => [
    load(size, R1, from, field + ours),
    load(size, R4, PACKET, address + its),
    jne.reg(R1, R4, other),
  ]);
}

/** Kinds of rows that have a key: LIVE, or PENDING as well, which differs from it by one bit. */
type Kinds = 'live' | 'live or pending';

/**
 * Jumps to `other` unless the row is that of a request. r5: kind, protocol and both ports, 16 bits to the left. r2 is
 * `track` and `timeout`, read before the key. Clobbers r1 and r4.
 */
export const unlessRequest = (family: Family, other: Label, kinds: Kinds = 'live'): Fragment => [
  load(DW, R2, ROW_AT, ROW.track),
  // Client, virtual port and, shifted out, the count of packets.
  load(DW, R1, ROW_AT, ROW.client),
  kinds === 'live' ? [] : or.imm(R1, (KIND.LIVE ^ KIND.PENDING) << KIND_SHIFT),
  lsh.imm(R1, 16),
  jne.reg(R1, R5, other),
  unlessAddress(family, ROW_AT, ROW.caddr, family.src, other),
  unlessAddress(family, ROW_AT, ROW.vaddr, family.dst, other),
];

/** As `unlessRequest`, for a reply. r5: kind, protocol and the client's port. Clobbers r0, r1 and r4. */
function unlessReply(family: Family, { destinations, records }: Arrays, other: Label): Fragment {
  const { src, dst, transport } = family;
  const passesBy = Symbol('passes by');
  const port = Symbol('port');
  const samePort = Symbol('same port');
  return [
    load(DW, R2, ROW_AT, ROW.track),
    load(W, R1, ROW_AT, ROW.client),
    jne.reg(R1, R5, other),
    unlessAddress(family, ROW_AT, ROW.caddr, dst, other),
    // A copy, since the verifier would follow each method and port on its own from here on.
    mov.reg(R1, R2),
    and.imm(R1, METHOD_BITS),
    jne.imm(R1, 0, passesBy),
    load(H, R1, ROW_AT, ROW.destination),
    jge.imm(R1, records, other),
    lsh.imm(R1, RECORD_SHIFT),
    loadMapValue(R0, destinations),
    add.reg(R0, R1),
    unlessAddress(family, R0, DESTINATION.address, src, other),
    mov.reg(R1, R2),
    and.imm(R1, TRACK.SAME_PORT),
    jne.imm(R1, 0, samePort),
    load(H, R1, R0, DESTINATION.port),
    jump(port),
    // Without translation the destination answers from the virtual endpoint.
    at(passesBy, unlessAddress(family, ROW_AT, ROW.vaddr, src, other)),
    at(samePort, load(H, R1, ROW_AT, ROW.vport)),
    at(port, load(H, R4, PACKET, transport)),
    jne.reg(R1, R4, other),
  ];
}

/** Byte offset of the last row that the bits of a home may name. */
const lastOffset = (places: number): number => (places + NEAR - 2) * ROW_BYTES;

/** Sets ROW_AT to the row at the byte offset in r0. Clobbers r1. */
export const select = ({ rows, constants, places }: Arrays): Fragment => [
  // The verifier forgets how the offset came about, so that it continues once and not for each way here.
  loadMapValue(R1, constants, CONSTANTS.zero),
  load(W, R1, R1, 0),
  add.reg(R0, R1),
  and.imm(R0, 0x7fffffff & -ROW_BYTES),
  jgt.imm(R0, lastOffset(places), 'drop'),
  loadMapValue(ROW_AT, rows),
  add.reg(ROW_AT, R0),
];

/**
 * Visits the rows of the home in r0, the one at the home first. `unless` jumps to its argument for another connection
 * and falls through for this one, for which `found` runs with the row's byte offset in r0. Jumps to `none` after the
 * last row. Clobbers r1, r3, r9.
 */
export function visit(
  arrays: Arrays,
  unless: (other: Label) => Fragment,
  found: Fragment,
  none: Label,
): Fragment {
  const { rows, constants, places } = arrays;
  const rest = Symbol('rest');
  const loop = Symbol('loop');
  const next = Symbol('next');
  return [
    store(DW, FP, HOME, R0),
    loadMapValue(ROW_AT, rows),
    add.reg(ROW_AT, R0),
    // r3: bits of the rows that are left. The row at the home is compared whether its bit is set or not.
    load(DW, R3, ROW_AT, ROW.near),
    and.imm(R3, -2),
    unless(rest),
    load(DW, R0, FP, HOME),
    found,
    at(rest, mov.imm(R9, NEAR)),
    at(loop, jeq.imm(R3, 0, none)),
    mov.reg(R1, R3),
    neg(R1),
    and.reg(R1, R3),
    mov.reg(R0, R3),
    sub.imm(R0, 1),
    and.reg(R3, R0),
    loadImm64(R0, ...BIT_FACTOR),
    mul.reg(R1, R0),
    rsh.imm(R1, BIT_SHIFT),
    loadMapValue(R0, constants, CONSTANTS.bits),
    add.reg(R0, R1),
    load(B, R1, R0, 0),
    lsh.imm(R1, ROW_SHIFT),
    load(DW, R0, FP, HOME),
    add.reg(R0, R1),
    jgt.imm(R0, lastOffset(places), none),
    loadMapValue(ROW_AT, rows),
    add.reg(ROW_AT, R0),
    store(DW, FP, CANDIDATE, R0),
    unless(next),
    load(DW, R0, FP, CANDIDATE),
    found,
    at(next, sub.imm(R9, 1)),
    jne.imm(R9, 0, loop),
    jump(none),
  ];
}

/** The protocol in r5 becomes the word `client` of a row, for the port of the packet at `port`. Clobbers r1. */
export const clientOf = (port: number): Fragment => [
  lsh.imm(R5, 16),
  load(H, R1, PACKET, port),
  or.reg(R5, R1),
];

/** `client` in r5 becomes what `unlessRequest` compares. Clobbers r1. */
export const requestKey = (family: Family): Fragment => [
  or.imm(R5, liveOf(family)),
  load(H, R1, PACKET, family.transport + 2),
  lsh.imm(R1, 32),
  or.reg(R5, R1),
  lsh.imm(R5, 16),
];

/**
 * Jumps to `hit` with ROW_AT, FOUND and r2 (`track` and `timeout`) if the packet comes from the client of a connection. Falls
 * through otherwise, with the protocol in r5. Clobbers r0 to r4 and r9.
 */
export function findRequest(family: Family, arrays: Arrays, hit: Label): Fragment {
  const { src, transport, protocol } = family;
  const none = Symbol('none');
  const found = Symbol('found');
  return [
    // Read again: the verifier follows one path, not one for each protocol.
    load(B, R5, PACKET, protocol),
    clientOf(transport),
    home(family, src, arrays),
    requestKey(family),
    visit(arrays, (other) => unlessRequest(family, other), jump(found), none),
    at(found, select(arrays)),
    store(DW, FP, FOUND, R0),
    jump(hit),
    at(none, load(B, R5, PACKET, protocol)),
  ];
}

/**
 * Jumps to `hit` as `findRequest` does if the packet goes to the client of a connection and comes from its destination
 * or, without translation, from the virtual endpoint. Jumps to `none` otherwise, and to `miss` where two rows match: the
 * director knows which of them is the newer one.
 */
export function findReply(
  family: Family,
  arrays: Arrays,
  { hit, miss, none }: { readonly hit: Label; readonly miss: Label; readonly none: Label },
): Fragment {
  const { dst, transport } = family;
  const end = Symbol('end');
  const { constants } = arrays;
  const keep: Fragment = [
    load(DW, R1, FP, FOUND),
    jne.imm(R1, NOT_FOUND, miss),
    // The verifier knows as little of what is found as of NOT_FOUND, so that it follows both as one.
    loadMapValue(R1, constants, CONSTANTS.zero),
    load(DW, R1, R1, 0),
    add.reg(R0, R1),
    store(DW, FP, FOUND, R0),
    store(DW, FP, TRACKED, R2),
  ];
  return [
    clientOf(transport + 2),
    home(family, dst, arrays),
    or.imm(R5, liveOf(family)),
    loadMapValue(R1, constants, CONSTANTS.notFound),
    load(DW, R1, R1, 0),
    store(DW, FP, FOUND, R1),
    storeImm(DW, FP, TRACKED, 0),
    visit(arrays, (other) => unlessReply(family, arrays, other), keep, end),
    at(end, load(DW, R0, FP, FOUND)),
    jeq.imm(R0, NOT_FOUND, none),
    select(arrays),
    load(DW, R2, FP, TRACKED),
    jump(hit),
  ];
}
