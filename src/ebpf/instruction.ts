/**
 * eBPF instructions as values (RFC 9669). A program is a fragment: a list of instructions and fragments, so that
 * parts of programs concatenate. The assembler resolves labels.
 *
 *   octet 0   1         2-3      4-7
 *   +--------+----+----+--------+----------------+
 *   | opcode |src |dst | offset | immediate      |    a 64-bit immediate takes a second slot
 *   +--------+----+----+--------+----------------+
 */

/** r0: result; r1 to r5: arguments, clobbered by calls; r6 to r9: preserved; r10: frame pointer, read-only. */
export type Register = 0 | 1 | 2 | 3 | 4 | 5 | 6 | 7 | 8 | 9 | 10;
export const R0: Register = 0;
export const R1: Register = 1;
export const R2: Register = 2;
export const R3: Register = 3;
export const R4: Register = 4;
export const R5: Register = 5;
export const R6: Register = 6;
export const R7: Register = 7;
export const R8: Register = 8;
export const R9: Register = 9;
/** Frame pointer: the end of the stack of 512 bytes. */
export const FP: Register = 10;

/** A place in a program. Symbols are unique, so that a fragment which has one can occur several times. */
export type Label = string | symbol;

export interface Instruction {
  readonly opcode: number;
  readonly dst: number;
  readonly src: number;
  /** Signed 16 bits; in a jump without a target: slots to skip. */
  readonly offset: number;
  /** Signed 32 bits. */
  readonly imm: number;
  /** Upper 32 bits of a 64-bit immediate, which takes two slots; undefined in other instructions. */
  readonly upper?: number;
  /** Target of a jump, or of `loadFunction`. */
  readonly target?: Label;
  /** Labels of this instruction. */
  readonly labels?: readonly Label[];
}

/** A part of a program. */
export type Fragment = Instruction | readonly Fragment[];

/**
 * Opcode:
 *   msb          lsb          msb            lsb
 *   +------+--+-----+         +----+--+-----+
 *   | op   |s | cls | arith.  |mode|sz| cls |  load, store
 *   +------+--+-----+ jump    +----+--+-----+
 *    4      1  3               3    2  3          s: 0 immediate, 1 register
 */
export const LD = 0x00;
export const LDX = 0x01;
export const ST = 0x02;
export const STX = 0x03;
export const ALU = 0x04;
export const JMP = 0x05;
export const JMP32 = 0x06;
export const ALU64 = 0x07;
export const REGISTER_SOURCE = 0x08;

/** Sizes of loads and stores: 4, 2, 1 and 8 bytes. */
export type Size = 0x00 | 0x08 | 0x10 | 0x18;
export const W: Size = 0x00;
export const H: Size = 0x08;
export const B: Size = 0x10;
export const DW: Size = 0x18;

/** Modes of loads and stores. */
export const IMM = 0x00;
export const MEM = 0x60;
/** Sign-extending load. Requires Linux 6.6. */
export const MEMSX = 0x80;
export const ATOMIC = 0xc0;

const plain = (opcode: number, dst: number, src: number, offset: number, imm: number): Instruction => ({
  opcode,
  dst,
  src,
  offset,
  imm,
});

/** An operation on a register; the operand is a register or an immediate (sign-extended to 64 bits). */
export interface Arithmetic {
  reg(dst: Register, src: Register): Instruction;
  imm(dst: Register, imm: number): Instruction;
}
const arithmetic = (cls: number, op: number): Arithmetic => ({
  reg: (dst, src) => plain(op | REGISTER_SOURCE | cls, dst, src, 0, 0),
  imm: (dst, imm) => plain(op | cls, dst, 0, 0, imm),
});

/** 64-bit arithmetic; division by zero results in 0, modulo by zero leaves the destination unchanged. */
export const add = arithmetic(ALU64, 0x00);
export const sub = arithmetic(ALU64, 0x10);
export const mul = arithmetic(ALU64, 0x20);
export const div = arithmetic(ALU64, 0x30);
export const or = arithmetic(ALU64, 0x40);
export const and = arithmetic(ALU64, 0x50);
export const lsh = arithmetic(ALU64, 0x60);
export const rsh = arithmetic(ALU64, 0x70);
export const mod = arithmetic(ALU64, 0x90);
export const xor = arithmetic(ALU64, 0xa0);
export const mov = arithmetic(ALU64, 0xb0);
export const arsh = arithmetic(ALU64, 0xc0);

/** 32-bit arithmetic; clears the destination's upper half. */
export const add32 = arithmetic(ALU, 0x00);
export const sub32 = arithmetic(ALU, 0x10);
export const mul32 = arithmetic(ALU, 0x20);
export const div32 = arithmetic(ALU, 0x30);
export const or32 = arithmetic(ALU, 0x40);
export const and32 = arithmetic(ALU, 0x50);
export const lsh32 = arithmetic(ALU, 0x60);
export const rsh32 = arithmetic(ALU, 0x70);
export const mod32 = arithmetic(ALU, 0x90);
export const xor32 = arithmetic(ALU, 0xa0);
export const mov32 = arithmetic(ALU, 0xb0);
export const arsh32 = arithmetic(ALU, 0xc0);

export const neg = (dst: Register): Instruction => plain(0x80 | ALU64, dst, 0, 0, 0);
export const neg32 = (dst: Register): Instruction => plain(0x80 | ALU, dst, 0, 0, 0);

/** Converts the lowest 16, 32 or 64 bits between the machine's byte order and big-endian; clears the others. */
export const toBig = (dst: Register, bits: 16 | 32 | 64): Instruction =>
  plain(0xd0 | REGISTER_SOURCE | ALU, dst, 0, 0, bits);
/** Converts as `toBig` does, between the machine's byte order and little-endian. */
export const toLittle = (dst: Register, bits: 16 | 32 | 64): Instruction =>
  plain(0xd0 | ALU, dst, 0, 0, bits);

/** A jump that is taken when a comparison of a register with a register or an immediate is true. */
export interface Branch {
  reg(dst: Register, src: Register, target: Label): Instruction;
  imm(dst: Register, imm: number, target: Label): Instruction;
}
const branch = (cls: number, op: number): Branch => ({
  reg: (dst, src, target) => ({ ...plain(op | REGISTER_SOURCE | cls, dst, src, 0, 0), target }),
  imm: (dst, imm, target) => ({ ...plain(op | cls, dst, 0, 0, imm), target }),
});

/** 64-bit comparisons; s: signed; set: any of these bits is set. */
export const jeq = branch(JMP, 0x10);
export const jgt = branch(JMP, 0x20);
export const jge = branch(JMP, 0x30);
export const jset = branch(JMP, 0x40);
export const jne = branch(JMP, 0x50);
export const jsgt = branch(JMP, 0x60);
export const jsge = branch(JMP, 0x70);
export const jlt = branch(JMP, 0xa0);
export const jle = branch(JMP, 0xb0);
export const jslt = branch(JMP, 0xc0);
export const jsle = branch(JMP, 0xd0);

/** Comparisons of the lower 32 bits. */
export const jeq32 = branch(JMP32, 0x10);
export const jgt32 = branch(JMP32, 0x20);
export const jge32 = branch(JMP32, 0x30);
export const jset32 = branch(JMP32, 0x40);
export const jne32 = branch(JMP32, 0x50);
export const jlt32 = branch(JMP32, 0xa0);
export const jle32 = branch(JMP32, 0xb0);

export const jump = (target: Label): Instruction => ({ ...plain(JMP, 0, 0, 0, 0), target });
/** Calls one of the kernel's helper functions by number (helper.ts). Clobbers r0 to r5. */
export const call = (helper: number): Instruction => plain(0x80 | JMP, 0, 0, 0, helper);
export const exit = (): Instruction => plain(0x90 | JMP, 0, 0, 0, 0);

/** dst = value at src + offset, zero-extended. */
export const load = (size: Size, dst: Register, src: Register, offset: number): Instruction =>
  plain(MEM | size | LDX, dst, src, offset, 0);
/** Value at dst + offset = src. */
export const store = (size: Size, dst: Register, offset: number, src: Register): Instruction =>
  plain(MEM | size | STX, dst, src, offset, 0);
export const storeImm = (size: Size, dst: Register, offset: number, imm: number): Instruction =>
  plain(MEM | size | ST, dst, 0, offset, imm);

/** Kinds of atomic operations, in the immediate. */
export const ATOMIC_ADD = 0x00;
export const ATOMIC_OR = 0x40;
export const ATOMIC_AND = 0x50;
export const ATOMIC_XOR = 0xa0;
/** Loads the old value into src as well. Requires Linux 5.12. */
export const FETCH = 0x01;
export const EXCHANGE = 0xe0 | FETCH;
/** Compares with r0 and loads the old value into r0. Requires Linux 5.12. */
export const COMPARE_EXCHANGE = 0xf0 | FETCH;
/** Requires Linux 6.15. */
export const LOAD_ACQUIRE = 0x100;
/** Requires Linux 6.15. */
export const STORE_RELEASE = 0x110;

/** An atomic operation on W or DW at dst + offset. */
export const atomic = (size: Size, kind: number, dst: Register, offset: number, src: Register): Instruction =>
  plain(ATOMIC | size | STX, dst, src, offset, kind);

/** Values of src in a 64-bit immediate: what the immediate stands for. */
export const MAP_FD = 1;
export const MAP_VALUE = 2;
export const FUNCTION = 4;

/** dst = 64-bit immediate, given as two halves. */
export const loadImm64 = (dst: Register, lower: number, upper: number): Instruction => ({
  ...plain(IMM | DW | LD, dst, 0, 0, lower | 0),
  upper: upper | 0,
});
/** dst = the map of a descriptor. */
export const loadMap = (dst: Register, fd: number): Instruction => ({
  ...plain(IMM | DW | LD, dst, MAP_FD, 0, fd),
  upper: 0,
});
/** dst = the address of the byte at `offset` in the only value of an array map. Requires Linux 5.2. */
export const loadMapValue = (dst: Register, fd: number, offset = 0): Instruction => ({
  ...plain(IMM | DW | LD, dst, MAP_VALUE, 0, fd),
  upper: offset,
});
/**
 * dst = the function at the label, as an argument of a helper that calls it. Functions come after the main one, and end
 * with `exit`. Requires Linux 5.13.
 */
export const loadFunction = (dst: Register, target: Label): Instruction => ({
  ...plain(IMM | DW | LD, dst, FUNCTION, 0, 0),
  upper: 0,
  target,
});

/** Labels the first instruction of `fragment`. Throws RangeError for an empty fragment. */
export function at(label: Label, fragment: Fragment): Fragment {
  if ('opcode' in fragment) return { ...fragment, labels: [label, ...(fragment.labels ?? [])] };
  const [first, ...rest] = fragment;
  if (first === undefined) throw new RangeError(`label ${String(label)}: expected an instruction behind it`);
  return [at(label, first), ...rest];
}
