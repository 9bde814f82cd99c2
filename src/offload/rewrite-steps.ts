/** What every rewriting of a packet is made of, emitted: checksums, the time to live, the counting. */
import {
  ATOMIC_ADD,
  add,
  and,
  atomic,
  B,
  DW,
  FP,
  type Fragment,
  H,
  load,
  loadImm64,
  mov,
  R1,
  R2,
  R3,
  type Register,
  rsh,
  store,
  sub,
  xor,
} from '../ebpf/instruction.ts';
import { HEADER_CHECKSUM } from './header-fields.ts';
import { type Hook, PACKET, SLOT_AT } from './hooks.ts';
import { PACKET_SHIFT, SLOTS } from './layout.ts';
import type { Family } from './parse.ts';

/** Stack: what is to be added to the slot's counts (tc). */
export const COUNT = -16;
/** Folds a sum of two 16-bit words (three: fold twice) into 16 bits. Loses `spare`. */
export const fold = (total: Register, spare: Register): Fragment => [
  mov.reg(spare, total),
  rsh.imm(spare, 16),
  and.imm(total, 0xffff),
  add.reg(total, spare),
];

/** The checksum at `offset` after a change (RFC 1624) of 16 bits in `change`. Loses r1 and `change`. */
export const updateChecksum = (offset: number, change: Register, finish: Fragment = []): Fragment => [
  load(H, R1, PACKET, offset),
  xor.imm(R1, 0xffff),
  add.reg(R1, change),
  fold(R1, change),
  xor.imm(R1, 0xffff),
  finish,
  store(H, PACKET, offset, R1),
];

/** TTL less one, in the lower octet of its word as this machine reads it: a change of -1. */
const TTL_CHANGE = 0xfffe;

export const age = ({ ttl, version }: Family): Fragment => [
  load(B, R1, PACKET, ttl),
  sub.imm(R1, 1),
  store(B, PACKET, ttl, R1),
  version === 4 ? [mov.imm(R2, TTL_CHANGE), updateChecksum(HEADER_CHECKSUM, R2)] : [],
];

/** One packet of r3 octets more (XDP), or what `measure` has left (tc). Loses r1, r2. */
export const count = ({ version }: Family, hook: Hook): Fragment => [
  hook.name === 'xdp'
    ? [loadImm64(R2, 0, 1 << (PACKET_SHIFT - 32)), add.reg(R2, R3)]
    : load(DW, R2, FP, COUNT),
  atomic(DW, ATOMIC_ADD, SLOT_AT, SLOTS[version].counts, R2),
];
