/**
 * The hash that places flows, the same in TypeScript and in the program: a multiplication and a shift a word. The seed
 * keeps strangers from aiming; who finds collisions nevertheless gains that a few flows stay with the director.
 */
import { type Fragment, mov32, mul32, type Register, rsh32, xor32 } from '../ebpf/instruction.ts';

/** 2^32 / golden ratio, odd (Knuth, The Art of Computer Programming 3, section 6.4). */
const MULTIPLIER = 0x9e3779b1;
const SHIFT = 15;

/** One word more. */
export function mix(hash: number, word: number): number {
  const product = Math.imul(hash ^ word, MULTIPLIER);
  return product ^ (product >>> SHIFT);
}

/** The same in a program: `hash` takes in the lower 32 bits of `word`; `spare` is lost. */
export const mixing = (hash: Register, word: Register, spare: Register): Fragment => [
  xor32.reg(hash, word),
  mul32.imm(hash, MULTIPLIER),
  mov32.reg(spare, hash),
  rsh32.imm(spare, SHIFT),
  xor32.reg(hash, spare),
];
