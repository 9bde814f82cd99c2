/**
 * eBPF instructions as values (RFC 9669). A program is a fragment: instructions and fragments in a list, so that
 * pieces of programs concatenate; labels are names that the assembler resolves.
 *
 *   octet 0   1         2-3      4-7
 *   +--------+----+----+--------+----------------+
 *   | opcode |src |dst | offset | immediate      |    a 64-bit immediate takes a second slot
 *   +--------+----+----+--------+----------------+
 */

/** r0 result; r1 to r5 arguments, lost in a call; r6 to r9 kept; r10 the frame, read-only. */
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
/** Frame pointer: the end of 512 octets of stack. */
export const FP: Register = 10;

/** A place in a program. A symbol is unique to the call of the function that made it, so that fragments can be reused. */
export type Label = string | symbol;

export interface Instruction {
  readonly opcode: number;
  readonly dst: number;
  readonly src: number;
  /** Signed 16 bits; of a jump without a target: instructions to skip. */
  readonly offset: number;
  /** Signed 32 bits. */
  readonly imm: number;
  /** Upper 32 bits of a 64-bit immediate, which takes two slots; missing: an ordinary instruction. */
  readonly upper?: number;
  /** Where a jump goes. */
  readonly target?: Label;
  /** Names of this place. */
  readonly labels?: readonly Label[];
}

/** A piece of a program. */
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

/** Sizes of loads and stores: 1, 2, 4 and 8 octets. */
export type Size = 0x00 | 0x08 | 0x10 | 0x18;
export const W: Size = 0x00;
export const H: Size = 0x08;
export const B: Size = 0x10;
export const DW: Size = 0x18;

/** Modes of loads and stores. */
export const IMM = 0x00;
export const MEM = 0x60;
/** Sign-extending load. Requires kernel 6.6. */
export const MEMSX = 0x80;
export const ATOMIC = 0xc0;

const plain = (opcode: number, dst: number, src: number, offset: number, imm: number): Instruction => ({
  opcode,
  dst,
  src,
  offset,
  imm,
});

/** An operation on a register, by a register or by an immediate (sign-extended to 64 bits). */
export interface Arithmetic {
  reg(dst: Register, src: Register): Instruction;
  imm(dst: Register, imm: number): Instruction;
}
const arithmetic = (cls: number, op: number): Arithmetic => ({
  reg: (dst, src) => plain(op | REGISTER_SOURCE | cls, dst, src, 0, 0),
  imm: (dst, imm) => plain(op | cls, dst, 0, 0, imm),
});

/** 64-bit arithmetic; division by zero gives 0, modulo by zero leaves the destination. */
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

/** Between the machine's byte order and big-endian, for the lowest 16, 32 or 64 bits; the rest becomes 0. */
export const toBig = (dst: Register, bits: 16 | 32 | 64): Instruction =>
  plain(0xd0 | REGISTER_SOURCE | ALU, dst, 0, 0, bits);
/** Between the machine's byte order and little-endian. */
export const toLittle = (dst: Register, bits: 16 | 32 | 64): Instruction =>
  plain(0xd0 | ALU, dst, 0, 0, bits);

/** A comparison of a register with another or with an immediate, and a jump where it holds. */
export interface Branch {
  reg(dst: Register, src: Register, target: Label): Instruction;
  imm(dst: Register, imm: number, target: Label): Instruction;
}
const branch = (cls: number, op: number): Branch => ({
  reg: (dst, src, target) => ({ ...plain(op | REGISTER_SOURCE | cls, dst, src, 0, 0), target }),
  imm: (dst, imm, target) => ({ ...plain(op | cls, dst, 0, 0, imm), target }),
});

/** Comparisons of 64 bits; s: signed; set: any of these bits. */
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
/** Calls a helper of the kernel by its number (enum bpf_func_id in include/uapi/linux/bpf.h). */
export const call = (helper: number): Instruction => plain(0x80 | JMP, 0, 0, 0, helper);
export const exit = (): Instruction => plain(0x90 | JMP, 0, 0, 0, 0);

/** dst = what stands at src + offset, zero-extended. */
export const load = (size: Size, dst: Register, src: Register, offset: number): Instruction =>
  plain(MEM | size | LDX, dst, src, offset, 0);
/** What stands at dst + offset = src. */
export const store = (size: Size, dst: Register, offset: number, src: Register): Instruction =>
  plain(MEM | size | STX, dst, src, offset, 0);
export const storeImm = (size: Size, dst: Register, offset: number, imm: number): Instruction =>
  plain(MEM | size | ST, dst, 0, offset, imm);

/** Kinds of atomic operations, in the immediate. */
export const ATOMIC_ADD = 0x00;
export const ATOMIC_OR = 0x40;
export const ATOMIC_AND = 0x50;
export const ATOMIC_XOR = 0xa0;
/** Also returns the old value in src. Requires kernel 5.12. */
export const FETCH = 0x01;
export const EXCHANGE = 0xe0 | FETCH;
/** Compares with r0, where the old value comes to. Requires kernel 5.12. */
export const COMPARE_EXCHANGE = 0xf0 | FETCH;
/** Requires kernel 6.15. */
export const LOAD_ACQUIRE = 0x100;
/** Requires kernel 6.15. */
export const STORE_RELEASE = 0x110;

/** An atomic operation on W or DW at dst + offset. */
export const atomic = (size: Size, kind: number, dst: Register, offset: number, src: Register): Instruction =>
  plain(ATOMIC | size | STX, dst, src, offset, kind);

/** src of a 64-bit immediate: what it stands for. */
export const MAP_FD = 1;
export const MAP_VALUE = 2;

/** dst = 64 bits, given as two halves. */
export const loadImm64 = (dst: Register, lower: number, upper: number): Instruction => ({
  ...plain(IMM | DW | LD, dst, 0, 0, lower | 0),
  upper: upper | 0,
});
/** dst = the map behind a descriptor. */
export const loadMap = (dst: Register, fd: number): Instruction => ({
  ...plain(IMM | DW | LD, dst, MAP_FD, 0, fd),
  upper: 0,
});
/** dst = the address, `offset` octets into it, of the only value of an array map. Requires kernel 5.2. */
export const loadMapValue = (dst: Register, fd: number, offset = 0): Instruction => ({
  ...plain(IMM | DW | LD, dst, MAP_VALUE, 0, fd),
  upper: offset,
});

/** Names the place where `fragment` begins. */
export function at(label: Label, fragment: Fragment): Fragment {
  if ('opcode' in fragment) return { ...fragment, labels: [label, ...(fragment.labels ?? [])] };
  const [first, ...rest] = fragment;
  if (first === undefined) throw new RangeError(`label ${String(label)} stands before nothing`);
  return [at(label, first), ...rest];
}
