/** Emits the hash that selects the home of a connection, as src/table/homes.ts computes it. */
import {
  add,
  type Fragment,
  load,
  loadImm64,
  lsh,
  mov,
  mul,
  mul32,
  R0,
  R1,
  R4,
  R5,
  type Register,
  rsh,
  rsh32,
  W,
  xor,
} from '../ebpf/instruction.ts';
import { ROW_SHIFT } from '../table/layout.ts';
import { PACKET } from './hooks.ts';
import type { Family } from './parse.ts';

/** Words of an address, and the word of port and protocol behind them. */
const ADDRESS_WORDS = 4;
const SHIFT = 15;
/** Bits of the hash that choose among the places. */
const PLACE_BITS = 25;

/** How a table places connections: the arguments of Homes. */
export interface Placing {
  readonly places: number;
  readonly secrets: Uint32Array;
}

/** Returns a secret as the argument of `loadImm64`. */
const secret = ({ secrets }: Placing, i: number): [lower: number, upper: number] => [
  secrets[2 * i]! | 0,
  secrets[2 * i + 1]! | 0,
];

/**
 * Loads into r0 the hash of five words, 32 bits, not finished. `loads`: load words into r1; those before them are left out.
 * Clobbers r1 and r4.
 */
export function sum(loads: readonly Fragment[], placing: Placing): Fragment {
  const first = ADDRESS_WORDS + 1 - loads.length;
  return [
    loadImm64(R0, ...secret(placing, ADDRESS_WORDS + 1)),
    loads.map((word, i) => [
      word,
      loadImm64(R4, ...secret(placing, first + i)),
      mul.reg(R1, R4),
      add.reg(R0, R1),
    ]),
    rsh.imm(R0, 32),
  ];
}

/**
 * Loads into r0 the byte offset of the home of the client whose address is at `address` of `from`: four words, of IPv4 one.
 * r5: its port and, above it, the protocol. Clobbers r1 and r4.
 */
export function home(
  { version }: Pick<Family, 'version'>,
  address: number,
  placing: Placing,
  from: Register = PACKET,
): Fragment {
  const { places, secrets } = placing;
  const words = version === 4 ? 1 : ADDRESS_WORDS;
  const loads = Array.from({ length: words }, (_, i) => load(W, R1, from, address + 4 * i));
  return [
    sum([...loads, mov.reg(R1, R5)], placing),
    mov.reg(R1, R0),
    rsh.imm(R1, SHIFT),
    xor.reg(R0, R1),
    mul32.imm(R0, secrets[2 * (ADDRESS_WORDS + 2)]! | 1),
    rsh32.imm(R0, 32 - PLACE_BITS),
    mul.imm(R0, places),
    rsh.imm(R0, PLACE_BITS),
    lsh.imm(R0, ROW_SHIFT),
  ];
}
