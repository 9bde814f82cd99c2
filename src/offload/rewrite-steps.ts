/** Emits the steps of every rewriting: checksums, time to live, counters. */
import {
  add,
  and,
  B,
  type Fragment,
  H,
  jeq,
  jne,
  type Label,
  load,
  mov,
  R1,
  R2,
  type Register,
  rsh,
  store,
  sub,
  xor,
} from '../ebpf/instruction.ts';
import { UDP, UDP_CHECKSUM } from '../wire/udp.ts';
import { HEADER_CHECKSUM } from './header-fields.ts';
import { PACKET } from './hooks.ts';
import type { Family } from './parse.ts';

/** Adds the carries of a sum of 16-bit words to it; after three times a sum of up to 40 bits has 16. Clobbers `spare`. */
export const fold = (total: Register, spare: Register): Fragment => [
  mov.reg(spare, total),
  rsh.imm(spare, 16),
  and.imm(total, 0xffff),
  add.reg(total, spare),
];

/** Updates the checksum at `offset` by the change in `change`, of up to 40 bits (RFC 1624). Clobbers r1 and `change`. */
export const updateChecksum = (offset: number, change: Register, finish: Fragment = []): Fragment => [
  load(H, R1, PACKET, offset),
  xor.imm(R1, 0xffff),
  add.reg(R1, change),
  fold(R1, change),
  fold(R1, change),
  fold(R1, change),
  xor.imm(R1, 0xffff),
  finish,
  store(H, PACKET, offset, R1),
];

/** Jumps to `miss` if the packet is a UDP datagram without a checksum, and to `other` if it is no UDP datagram. Clobbers r1. */
export const unlessUdpChecksum = ({ protocol, transport }: Family, other: Label, miss: Label): Fragment => [
  load(B, R1, PACKET, protocol),
  jne.imm(R1, UDP, other),
  load(H, R1, PACKET, transport + UDP_CHECKSUM),
  jeq.imm(R1, 0, miss),
];

/** The change of the checksum when the TTL, the lower byte of its word as loaded, decreases by 1. */
export const TTL_CHANGE = 0xfffe;

/** Decreases the time to live by 1. Clobbers r1 and, with IPv4, r2. */
export const age = ({ ttl, version }: Family): Fragment => [
  load(B, R1, PACKET, ttl),
  sub.imm(R1, 1),
  store(B, PACKET, ttl, R1),
  version === 4 ? [mov.imm(R2, TTL_CHANGE), updateChecksum(HEADER_CHECKSUM, R2)] : [],
];
