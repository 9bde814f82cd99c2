/** Emits mh: the Maglev table selects by the hash of the client's address (src/schedulers/mh.ts). */
import {
  add,
  at,
  DW,
  type Fragment,
  jeq,
  jne,
  load,
  loadImm64,
  lsh,
  mod,
  mov,
  mov32,
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
  store,
  sub,
  xor,
} from '../../ebpf/instruction.ts';
import { PLACE_KEY, SLOTS } from '../../schedulers/mh.ts';
import { SIPHASH_STATE, SIPHASH_WORD_BYTES } from '../../wire/hash.ts';
import { clientKey, walkTable } from './hashed.ts';
import {
  type Listed,
  PLACE,
  type Selection,
  START,
  STATE,
  selectVisited,
  storeWalk,
  unlessEligible,
  visitor,
} from './walk.ts';

/**
 * Attempts to find a destination that is available; the director makes the others. Each costs a hash.
 */
const ATTEMPTS = 128;

/* Registers of the hash: its state, its word, and one that is free. */
const STATE_OF_HASH = [R1, R2, R3, R4] as const;
const WORD = R0;
const FREE = R5;
const SIPHASH_ROUNDS = { compression: 1, finalization: 3 } as const;

const rotate = (register: Register, bits: number): Fragment => [
  mov.reg(FREE, register),
  rsh.imm(FREE, 64 - bits),
  lsh.imm(register, bits),
  or.reg(register, FREE),
];

/** a += b, then b = rotated b XOR a. */
const mix = (a: Register, b: Register, bits: number): Fragment => [
  add.reg(a, b),
  rotate(b, bits),
  xor.reg(b, a),
];

function round(): Fragment {
  const [v0, v1, v2, v3] = STATE_OF_HASH;
  return [mix(v0, v1, 13), rotate(v0, 32), mix(v2, v3, 16), mix(v0, v3, 21), mix(v2, v1, 17), rotate(v2, 32)];
}

/** Loads into r1 the SipHash-1-3 of the 32-bit word in r0, truncated to 32 bits (hsiphash in src/wire/hash.ts). */
function siphash(key: number): Fragment {
  const [v0, v1, v2, v3] = STATE_OF_HASH;
  const keyed = STATE_OF_HASH.map((register, i) => {
    const [high, low] = SIPHASH_STATE[i]!;
    return loadImm64(register, low ^ key, high);
  });
  return [
    keyed,
    loadImm64(FREE, 0, SIPHASH_WORD_BYTES << 24),
    or.reg(WORD, FREE),
    xor.reg(v3, WORD),
    Array.from({ length: SIPHASH_ROUNDS.compression }, round),
    xor.reg(v0, WORD),
    xor.imm(v2, 0xff),
    Array.from({ length: SIPHASH_ROUNDS.finalization }, round),
    [v1, v2, v3].map((register) => xor.reg(v0, register)),
    mov32.reg(R1, v0),
  ];
}

export function mh(arrays: Listed): Selection {
  const visit = Symbol('visit');
  const hash = Symbol('hash');
  const known = Symbol('known');
  return {
    select: (none) => [clientKey(), storeWalk(START, R1), walkTable(arrays, visit, SLOTS, ATTEMPTS, none)],
    functions: visitor(
      arrays,
      visit,
      [
        mov.reg(R9, R1),
        load(DW, WORD, STATE, START),
        jeq.imm(R1, 0, hash),
        // The offsets begin at the slot's own number.
        load(DW, R2, STATE, PLACE),
        sub.imm(R1, 1),
        add.reg(R1, R2),
        mod.imm(R1, SLOTS),
        add.reg(WORD, R1),
        mov32.reg(WORD, WORD),
        at(hash, siphash(PLACE_KEY)),
        mod.imm(R1, SLOTS),
        jne.imm(R9, 0, known),
        store(DW, STATE, PLACE, R1),
        at(known, mov.imm(R9, 0)),
      ],
      (next) => [unlessEligible(next), selectVisited],
    ),
  };
}
