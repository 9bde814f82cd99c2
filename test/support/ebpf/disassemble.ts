/** Octets of a program back into instructions, and instructions as the text that the kernel's verifier prints. */
import { SLOT } from '../../../src/ebpf/assemble.ts';
import {
  ALU,
  ALU64,
  ATOMIC,
  FUNCTION,
  type Instruction,
  JMP,
  JMP32,
  LD,
  LDX,
  MAP_FD,
  MAP_VALUE,
  REGISTER_SOURCE,
  ST,
  STX,
} from '../../../src/ebpf/instruction.ts';

/** Class, size and mode of an opcode. */
const CLASS = 0x07;
const SIZE = 0x18;
const MODE = 0xe0;
const OPERATION = 0xf0;
/** A load of a 64-bit immediate, which takes two slots. */
const WIDE = 0x18;

/** The instructions; jumps have offsets and no target. Throws RangeError where a slot is cut. */
export function disassemble(octets: Uint8Array<ArrayBuffer>): Instruction[] {
  if (octets.length % SLOT !== 0)
    throw new RangeError(`${octets.length} octets are no whole number of instructions`);
  const view = new DataView(octets.buffer, octets.byteOffset, octets.length);
  const instructions: Instruction[] = [];
  for (let at = 0; at < octets.length; at += SLOT) {
    const opcode = view.getUint8(at);
    const registers = view.getUint8(at + 1);
    const instruction: Instruction = {
      opcode,
      dst: registers & 15,
      src: registers >> 4,
      offset: view.getInt16(at + 2, true),
      imm: view.getInt32(at + 4, true),
    };
    if (opcode !== WIDE) instructions.push(instruction);
    else {
      at += SLOT;
      if (at >= octets.length) throw new RangeError('a 64-bit immediate is cut');
      instructions.push({ ...instruction, upper: view.getInt32(at + 4, true) });
    }
  }
  return instructions;
}

const SYMBOLS: Readonly<Record<number, string>> = {
  0: '+=',
  16: '-=',
  32: '*=',
  48: '/=',
  64: '|=',
  80: '&=',
  96: '<<=',
  112: '>>=',
  144: '%=',
  160: '^=',
  176: '=',
  192: 's>>=',
};
const COMPARISONS: Readonly<Record<number, string>> = {
  16: '==',
  32: '>',
  48: '>=',
  64: '&',
  80: '!=',
  96: 's>',
  112: 's>=',
  160: '<',
  176: '<=',
  192: 's<',
  208: 's<=',
};
const SIZES: Readonly<Record<number, string>> = { 0: 'u32', 8: 'u16', 16: 'u8', 24: 'u64' };
const ATOMICS: Readonly<Record<number, string>> = {
  0: 'add',
  1: 'fetch_add',
  64: 'or',
  65: 'fetch_or',
  80: 'and',
  81: 'fetch_and',
  160: 'xor',
  161: 'fetch_xor',
  225: 'xchg',
  241: 'cmpxchg',
  256: 'load_acquire',
  272: 'store_release',
};

/** One instruction as text, such as `if r1 != 1 goto +2`. */
export function print({ opcode, dst, src, offset, imm, upper }: Instruction): string {
  const cls = opcode & CLASS;
  const signed = (value: number) => (value < 0 ? `${value}` : `+${value}`);
  const place = (register: number) =>
    `*(${SIZES[opcode & SIZE]} *)(r${register} ${offset < 0 ? '-' : '+'}${Math.abs(offset)})`;
  switch (cls) {
    case LD:
      if (src === MAP_FD) return `r${dst} = map[fd:${imm}]`;
      if (src === MAP_VALUE) return `r${dst} = map[fd:${imm}][0]+${upper}`;
      if (src === FUNCTION) return `r${dst} = func ${signed(imm)}`;
      return `r${dst} = 0x${(((BigInt(upper ?? 0) & 0xffffffffn) << 32n) | (BigInt(imm) & 0xffffffffn)).toString(16)}`;
    case LDX:
      return `r${dst} = ${place(src)}`;
    case ST:
      return `${place(dst)} = ${imm}`;
    case STX:
      if ((opcode & MODE) !== ATOMIC) return `${place(dst)} = r${src}`;
      return `lock ${ATOMICS[imm] ?? `atomic_0x${imm.toString(16)}`} ${place(dst)}, r${src}`;
    case JMP:
    case JMP32: {
      const operation = opcode & OPERATION;
      const register = cls === JMP32 ? 'w' : 'r';
      if (operation === 0x00) return `goto ${signed(offset)}`;
      if (operation === 0x80) return `call #${imm}`;
      if (operation === 0x90) return 'exit';
      const right = opcode & REGISTER_SOURCE ? `${register}${src}` : `${imm}`;
      return `if ${register}${dst} ${COMPARISONS[operation] ?? '?'} ${right} goto ${signed(offset)}`;
    }
    case ALU:
    case ALU64: {
      const operation = opcode & OPERATION;
      const register = cls === ALU ? 'w' : 'r';
      if (operation === 0x80) return `${register}${dst} = -${register}${dst}`;
      if (operation === 0xd0) return `r${dst} = ${opcode & REGISTER_SOURCE ? 'be' : 'le'}${imm} r${dst}`;
      const right = opcode & REGISTER_SOURCE ? `${register}${src}` : `${imm}`;
      return `${register}${dst} ${SYMBOLS[operation] ?? '?'} ${right}`;
    }
    default:
      return `opcode 0x${opcode.toString(16)}`;
  }
}

/** A program as text, a line an instruction, with its slot in front. */
export function listing(instructions: readonly Instruction[]): string {
  let slot = 0;
  const lines: string[] = [];
  for (const each of instructions) {
    lines.push(`${String(slot).padStart(4)}: ${print(each)}`);
    slot += each.upper === undefined ? 1 : 2;
  }
  return lines.join('\n');
}
