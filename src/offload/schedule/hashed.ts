/** Emits sh and dh: a table selects by the hash of an address (src/schedulers/sh.ts, dh.ts). */
import {
  add,
  and,
  at,
  DW,
  type Fragment,
  H,
  jeq,
  jne,
  jne32,
  jump,
  type Label,
  load,
  mov,
  mov32,
  mul32,
  R1,
  R2,
  rsh32,
  sub,
  toBig,
  W,
  xor,
} from '../../ebpf/instruction.ts';
import { MAPPED_WORD } from '../../table/packet-order.ts';
import { SERVICE, SERVICE_FLAGS } from '../../table/record-layout.ts';
import { GOLDEN_RATIO_32 } from '../../wire/hash.ts';
import { SCRATCH } from '../scratch.ts';
import {
  clearWalk,
  ENTRY_AT,
  type Listed,
  loadWalk,
  PICKED,
  PLACE,
  readList,
  SERVICE_AT,
  type Selection,
  START,
  STATE,
  selectVisited,
  storeWalk,
  unlessEligible,
  visitor,
  walk,
} from './walk.ts';

/** Bits of a bucket's number, and the number of buckets. */
const BUCKET_BITS = 8;
const BUCKETS = 1 << BUCKET_BITS;

/** Loads into r1 the address at `field` of the entry as 32 bits, as foldAddress does (src/wire/hash.ts). Clobbers r2. */
function fold(field: number): Fragment {
  const wide = Symbol('wide');
  const folded = Symbol('folded');
  const word = (i: number): Fragment => load(W, R2, ENTRY_AT, field + 4 * i);
  return [
    load(DW, R1, ENTRY_AT, field),
    jne.imm(R1, 0, wide),
    load(W, R1, ENTRY_AT, field + 8),
    jne32.imm(R1, MAPPED_WORD, wide),
    load(W, R1, ENTRY_AT, field + 12),
    jump(folded),
    at(wide, load(W, R1, ENTRY_AT, field)),
    [1, 2, 3].map((i) => [word(i), xor.reg(R1, R2)]),
    at(folded, toBig(R1, 32)),
  ];
}

/** Loads into r1 the hash's key of the client: its address and, with the flag, its port. Clobbers r2 and r3. */
export function clientKey(): Fragment {
  const whole = Symbol('whole');
  return [
    fold(SCRATCH.client),
    load(W, R2, SERVICE_AT, SERVICE.flags),
    and.imm(R2, SERVICE_FLAGS.PORT),
    jeq.imm(R2, 0, whole),
    load(H, R2, ENTRY_AT, SCRATCH.clientPort),
    toBig(R2, 16),
    add.reg(R1, R2),
    at(whole, mov32.reg(R1, R1)),
  ];
}

/**
 * Visits the destination of the table that the hash selects, which is the first, and others if that is unavailable and the
 * service has the flag, with so many attempts in all. Expects START. Clobbers r0 to r5.
 */
export function walkTable(
  arrays: Listed,
  visit: Label,
  entries: number,
  attempts: number,
  none: Label,
): Fragment {
  const once = Symbol('once');
  return [
    readList(SERVICE.table),
    jne.imm(R2, entries, none),
    clearWalk(arrays, PICKED, PLACE),
    mov.imm(R1, 1),
    load(W, R2, SERVICE_AT, SERVICE.flags),
    and.imm(R2, SERVICE_FLAGS.FALLBACK),
    jeq.imm(R2, 0, once),
    mov.imm(R1, attempts),
    at(once, walk(visit)),
    loadWalk(R1, PICKED),
    jeq.imm(R1, 0, none),
  ];
}

/** The key in r1 becomes the number of its bucket (multiplicative in src/wire/hash.ts). */
const bucket: Fragment = [mul32.imm(R1, GOLDEN_RATIO_32), rsh32.imm(R1, 32 - BUCKET_BITS)];

/** `key` loads the key into r1. */
function hashed(arrays: Listed, key: () => Fragment, fallback: boolean): Selection {
  const visit = Symbol('visit');
  const first = Symbol('first');
  return {
    select: (none) => [
      key(),
      bucket,
      storeWalk(START, R1),
      walkTable(arrays, visit, BUCKETS, fallback ? 1 + BUCKETS : 1, none),
    ],
    functions: visitor(
      arrays,
      visit,
      [
        load(DW, R2, STATE, START),
        jeq.imm(R1, 0, first),
        // The offsets begin at the bucket's own number.
        sub.imm(R1, 1),
        add.reg(R1, R2),
        and.imm(R1, BUCKETS - 1),
        at(first, add.reg(R1, R2)),
        and.imm(R1, BUCKETS - 1),
      ],
      (next) => [unlessEligible(next), selectVisited],
    ),
  };
}

export const sh = (arrays: Listed): Selection => hashed(arrays, clientKey, true);
export const dh = (arrays: Listed): Selection => hashed(arrays, () => fold(SCRATCH.virtual), false);
