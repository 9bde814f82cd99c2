/** An eBPF interpreter: what a program does is tested without a kernel and without a privilege. Plain, not fast. */

import type { Instruction } from '../../../src/ebpf/instruction.ts';
import * as bpf from '../../../src/ebpf/instruction.ts';
import { disassemble } from './disassemble.ts';
import { Fault, type Memory } from './memory.ts';

/** What a helper of the kernel does with r1 to r5. */
export type Helper = (machine: Machine, ...args: [bigint, bigint, bigint, bigint, bigint]) => bigint;

/** What the program is given besides its context: helpers by number, and where maps are by their descriptor. */
export interface Surroundings {
  readonly helpers: Readonly<Record<number, Helper>>;
  /** The pseudo address of a map, for helpers. */
  readonly maps: ReadonlyMap<number, bigint>;
  /** The address of the only value of an array map. */
  readonly values: ReadonlyMap<number, bigint>;
  /** A load from the context: the kernel turns its 32-bit fields into pointers. */
  context(offset: number, size: number): bigint;
}

const STACK = 512;
/** The context's address: loads from it go to `Surroundings.context`. */
export const CONTEXT = 1n << 60n;
/** The address of the function in the first slot. */
const FUNCTIONS = 1n << 61n;
/** Instructions after which a program counts as endless. */
const LIMIT = 1_000_000;
const MASK64 = (1n << 64n) - 1n;
const MASK32 = (1n << 32n) - 1n;
const SIZES: Readonly<Record<number, number>> = { 0: 4, 8: 2, 16: 1, 24: 8 };

/** Programs taken apart: they are run again and again. */
const known = new WeakMap<Uint8Array, (Instruction | undefined)[]>();

/** A jump counts slots, so the second slot of a 64-bit immediate has a place too. */
function slotsOf(program: Uint8Array<ArrayBuffer>): (Instruction | undefined)[] {
  const slots =
    known.get(program) ??
    disassemble(program).flatMap((each) => (each.upper === undefined ? [each] : [each, undefined]));
  known.set(program, slots);
  return slots;
}

/** What a helper throws that replaces the program by another one. */
export class TailCall extends Error {
  readonly program: Uint8Array<ArrayBuffer>;

  constructor(program: Uint8Array<ArrayBuffer>) {
    super('tail call');
    this.program = program;
  }
}

export class Machine {
  readonly memory: Memory;
  readonly #slots: (Instruction | undefined)[];
  readonly #surroundings: Surroundings;

  constructor(program: Uint8Array<ArrayBuffer>, memory: Memory, surroundings: Surroundings) {
    this.memory = memory;
    this.#surroundings = surroundings;
    this.#slots = slotsOf(program);
  }

  /** Runs the program and returns r0, 32 bits. Throws Fault where a kernel would not have let it run. */
  run(): number {
    return this.#execute(0, CONTEXT);
  }

  /** Runs the function at an address that the program loaded, as a helper does. Returns and throws as `run` does. */
  call(address: bigint, first: bigint, second: bigint): number {
    return this.#execute(Number(address - FUNCTIONS), first, second);
  }

  #execute(slot: number, first: bigint, second = 0n): number {
    const r: bigint[] = Array(11).fill(0n);
    const stack = this.memory.map('stack', new Uint8Array(STACK));
    r[bpf.R1] = first;
    r[bpf.R2] = second;
    r[bpf.FP] = stack.base + BigInt(STACK);
    let pc = slot;
    for (let steps = 0; steps < LIMIT; steps++) {
      const each = this.#slots[pc];
      if (!each) throw new Fault(`jump to slot ${pc}`);
      const cls = each.opcode & 7;
      const is64 = cls === bpf.ALU64 || cls === bpf.JMP;
      pc += each.upper === undefined ? 1 : 2;
      switch (cls) {
        case bpf.LD:
          r[each.dst] =
            each.src === bpf.FUNCTION ? FUNCTIONS + BigInt(pc - 1 + each.imm) : this.#immediate(each);
          break;
        case bpf.LDX:
          r[each.dst] = this.#load(r[each.src]! + BigInt(each.offset), SIZES[each.opcode & 0x18]!, each);
          break;
        case bpf.ST:
          this.memory.store(r[each.dst]! + BigInt(each.offset), SIZES[each.opcode & 0x18]!, BigInt(each.imm));
          break;
        case bpf.STX:
          if ((each.opcode & 0xe0) === bpf.ATOMIC) this.#atomic(r, each);
          else
            this.memory.store(r[each.dst]! + BigInt(each.offset), SIZES[each.opcode & 0x18]!, r[each.src]!);
          break;
        case bpf.ALU:
        case bpf.ALU64:
          r[each.dst] = arithmetic(r, each, is64);
          break;
        default: {
          const operation = each.opcode & 0xf0;
          if (operation === 0x90) return Number(r[0]! & MASK32);
          if (operation === 0x80) {
            const helper = this.#surroundings.helpers[each.imm];
            if (!helper) throw new Fault(`call of helper ${each.imm}, which is not there`);
            r[0] = helper(this, r[1]!, r[2]!, r[3]!, r[4]!, r[5]!) & MASK64;
            // The kernel leaves these undefined: a program that still reads them goes wrong here.
            for (let i = 1; i <= 5; i++) r[i] = 0xdead_beef_dead_beefn;
          } else if (operation === 0x00 || holds(r, each, is64)) pc += each.offset;
        }
      }
    }
    throw new Fault('the program does not end');
  }

  #immediate({ src, imm, upper = 0 }: Instruction): bigint {
    if (src === bpf.MAP_FD) return this.#of(this.#surroundings.maps, imm);
    if (src === bpf.MAP_VALUE) return this.#of(this.#surroundings.values, imm) + BigInt(upper);
    return ((BigInt(upper) & MASK32) << 32n) | (BigInt(imm) & MASK32);
  }

  #of(addresses: ReadonlyMap<number, bigint>, fd: number): bigint {
    const address = addresses.get(fd);
    if (address === undefined) throw new Fault(`map ${fd} is not there`);
    return address;
  }

  #load(address: bigint, size: number, { opcode }: Instruction): bigint {
    if (address >= CONTEXT && address < CONTEXT + 4096n)
      return this.#surroundings.context(Number(address - CONTEXT), size);
    const value = this.memory.load(address, size);
    return (opcode & 0xe0) === bpf.MEMSX ? BigInt.asIntN(8 * size, value) & MASK64 : value;
  }

  #atomic(r: bigint[], { opcode, dst, src, offset, imm }: Instruction): void {
    const size = SIZES[opcode & 0x18]!;
    if (imm === bpf.LOAD_ACQUIRE) {
      r[dst] = this.memory.load(r[src]! + BigInt(offset), size);
      return;
    }
    const address = r[dst]! + BigInt(offset);
    if (imm === bpf.STORE_RELEASE) {
      this.memory.store(address, size, r[src]!);
      return;
    }
    if (size < 4) throw new Fault('an atomic operation on less than 4 octets');
    const old = this.memory.load(address, size);
    const operand = BigInt.asUintN(8 * size, r[src]!);
    if (imm === bpf.COMPARE_EXCHANGE) {
      if (old === BigInt.asUintN(8 * size, r[0]!)) this.memory.store(address, size, operand);
      r[0] = old;
      return;
    }
    if (imm === bpf.EXCHANGE) this.memory.store(address, size, operand);
    else this.memory.store(address, size, BigInt.asUintN(8 * size, combine(imm & ~bpf.FETCH, old, operand)));
    if (imm & bpf.FETCH) r[src] = old;
  }
}

function combine(kind: number, old: bigint, operand: bigint): bigint {
  switch (kind) {
    case bpf.ATOMIC_ADD:
      return old + operand;
    case bpf.ATOMIC_OR:
      return old | operand;
    case bpf.ATOMIC_AND:
      return old & operand;
    case bpf.ATOMIC_XOR:
      return old ^ operand;
    default:
      throw new Fault(`atomic operation 0x${kind.toString(16)}`);
  }
}

function arithmetic(r: readonly bigint[], each: Instruction, is64: boolean): bigint {
  const { opcode, dst, src, imm } = each;
  const bits = is64 ? 64 : 32;
  const mask = is64 ? MASK64 : MASK32;
  const a = r[dst]! & mask;
  const b = (opcode & bpf.REGISTER_SOURCE ? r[src]! : BigInt(imm)) & mask;
  switch (opcode & 0xf0) {
    case 0x00:
      return (a + b) & mask;
    case 0x10:
      return (a - b) & mask;
    case 0x20:
      return (a * b) & mask;
    case 0x30:
      return b === 0n ? 0n : a / b;
    case 0x40:
      return a | b;
    case 0x50:
      return a & b;
    case 0x60:
      return (a << (b % BigInt(bits))) & mask;
    case 0x70:
      return a >> (b % BigInt(bits));
    case 0x80:
      return -a & mask;
    case 0x90:
      return b === 0n ? a : a % b;
    case 0xa0:
      return a ^ b;
    case 0xb0:
      return b;
    case 0xc0:
      return (BigInt.asIntN(bits, a) >> (b % BigInt(bits))) & mask;
    case 0xd0:
      return swapped(r[dst]!, imm, Boolean(opcode & bpf.REGISTER_SOURCE));
    default:
      throw new Fault(`opcode 0x${opcode.toString(16)}`);
  }
}

/** The lowest bits in big-endian order: the machine is little-endian. */
function swapped(value: bigint, bits: number, big: boolean): bigint {
  if (!big) return BigInt.asUintN(bits, value);
  let out = 0n;
  for (let i = 0; i < bits; i += 8) out = (out << 8n) | ((value >> BigInt(i)) & 0xffn);
  return out;
}

function holds(r: readonly bigint[], { opcode, dst, src, imm }: Instruction, is64: boolean): boolean {
  const bits = is64 ? 64 : 32;
  const a = BigInt.asUintN(bits, r[dst]!);
  const b = BigInt.asUintN(bits, opcode & bpf.REGISTER_SOURCE ? r[src]! : BigInt(imm));
  const [sa, sb] = [BigInt.asIntN(bits, a), BigInt.asIntN(bits, b)];
  switch (opcode & 0xf0) {
    case 0x10:
      return a === b;
    case 0x20:
      return a > b;
    case 0x30:
      return a >= b;
    case 0x40:
      return (a & b) !== 0n;
    case 0x50:
      return a !== b;
    case 0x60:
      return sa > sb;
    case 0x70:
      return sa >= sb;
    case 0xa0:
      return a < b;
    case 0xb0:
      return a <= b;
    case 0xc0:
      return sa < sb;
    case 0xd0:
      return sa <= sb;
    default:
      throw new Fault(`opcode 0x${opcode.toString(16)}`);
  }
}
