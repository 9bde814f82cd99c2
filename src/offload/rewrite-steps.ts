/** Emits the steps of every rewriting: checksums, time to live, counters. */
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

/** Stack offset of the number that is added to the slot's counts (tc). */
export const COUNT = -16;
/** Folds a sum of two 16-bit words (three: fold twice) into 16 bits. Clobbers `spare`. */
export const fold = (total: Register, spare: Register): Fragment => [
  mov.reg(spare, total),
  rsh.imm(spare, 16),
  and.imm(total, 0xffff),
  add.reg(total, spare),
];

/** Updates the checksum at `offset` by the 16-bit change in `change` (RFC 1624). Clobbers r1 and `change`. */
export const updateChecksum = (offset: number, change: Register, finish: Fragment = []): Fragment => [
  load(H, R1, PACKET, offset),
  xor.imm(R1, 0xffff),
  add.reg(R1, change),
  fold(R1, change),
  xor.imm(R1, 0xffff),
  finish,
  store(H, PACKET, offset, R1),
];

/** The change of the checksum when the TTL, the lower byte of its word as loaded, decreases by 1. */
const TTL_CHANGE = 0xfffe;

/** Decreases the time to live by 1. Clobbers r1 and, with IPv4, r2. */
export const age = ({ ttl, version }: Family): Fragment => [
  load(B, R1, PACKET, ttl),
  sub.imm(R1, 1),
  store(B, PACKET, ttl, R1),
  version === 4 ? [mov.imm(R2, TTL_CHANGE), updateChecksum(HEADER_CHECKSUM, R2)] : [],
];

/** Counts one packet of r3 bytes (XDP), or what `measure` stored (tc). Clobbers r2. */
export const count = ({ version }: Family, hook: Hook): Fragment => [
  hook.name === 'xdp'
    ? [loadImm64(R2, 0, 1 << (PACKET_SHIFT - 32)), add.reg(R2, R3)]
    : load(DW, R2, FP, COUNT),
  atomic(DW, ATOMIC_ADD, SLOT_AT, SLOTS[version].counts, R2),
];
