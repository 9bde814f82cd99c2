import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { AssemblerError, assemble } from '../../src/ebpf/assemble.ts';
import { functionsOf } from '../../src/ebpf/functions.ts';
import type { Fragment, Instruction, Register } from '../../src/ebpf/instruction.ts';
import * as bpf from '../../src/ebpf/instruction.ts';
import { disassemble, listing, print } from '../support/ebpf/disassemble.ts';

const { at, exit, jump, R0, R1, R2, FP, W, H, B, DW } = bpf;
const hex = (octets: Uint8Array) => Buffer.from(octets).toString('hex');

describe('the assembler emits the bytes that the kernel expects', () => {
  test.each<[string, Fragment, string]>([
    ['exit', exit(), '9500000000000000'],
    ['r0 = 2', bpf.mov.imm(R0, 2), 'b700000002000000'],
    ['r1 = r10', bpf.mov.reg(R1, FP), 'bfa1000000000000'],
    ['w1 = -1', bpf.mov32.imm(R1, -1), 'b4010000ffffffff'],
    ['r2 += r1', bpf.add.reg(R2, R1), '0f12000000000000'],
    ['w2 ^= 255', bpf.xor32.imm(R2, 255), 'a4020000ff000000'],
    ['r1 >>= 16', bpf.rsh.imm(R1, 16), '7701000010000000'],
    ['r1 = -r1', bpf.neg(R1), '8701000000000000'],
    ['r1 = be16 r1', bpf.toBig(R1, 16), 'dc01000010000000'],
    ['r1 = le32 r1', bpf.toLittle(R1, 32), 'd401000020000000'],
    ['r1 = *(u32 *)(r10 -4)', bpf.load(W, R1, FP, -4), '61a1fcff00000000'],
    ['r1 = *(u16 *)(r2 +12)', bpf.load(H, R1, R2, 12), '69210c0000000000'],
    ['*(u8 *)(r1 +22) = r2', bpf.store(B, R1, 22, R2), '7321160000000000'],
    ['*(u64 *)(r10 -8) = 1', bpf.storeImm(DW, FP, -8, 1), '7a0af8ff01000000'],
    ['lock add *(u64 *)(r1 +8), r2', bpf.atomic(DW, bpf.ATOMIC_ADD, R1, 8, R2), 'db21080000000000'],
    ['lock cmpxchg *(u32 *)(r1 +0), r2', bpf.atomic(W, bpf.COMPARE_EXCHANGE, R1, 0, R2), 'c3210000f1000000'],
    ['call #1', bpf.call(1), '8500000001000000'],
    ['r1 = map[fd:7]', bpf.loadMap(R1, 7), '18110000070000000000000000000000'],
    ['r1 = map[fd:7][0]+64', bpf.loadMapValue(R1, 7, 64), '18210000070000000000000040000000'],
    ['r1 = 0x2ffffffff', bpf.loadImm64(R1, 0xffffffff, 2), '18010000ffffffff0000000002000000'],
  ])('%s', (text, fragment, want) => {
    expect(hex(assemble(fragment))).toBe(want);
    expect(print(disassemble(assemble(fragment))[0]!)).toBe(text);
  });
});

describe('labels', () => {
  test('resolve forwards and backwards, over instructions of two slots', () => {
    const program = [
      at('again', bpf.jne.imm(R1, 1, 'out')),
      bpf.loadMap(R2, 3),
      jump('again'),
      at('out', exit()),
    ];
    expect(listing(disassemble(assemble(program)))).toBe(
      ['   0: if r1 != 1 goto +3', '   1: r2 = map[fd:3]', '   3: goto -4', '   4: exit'].join('\n'),
    );
  });

  test('resolve to functions behind the main one', () => {
    const program = [
      bpf.loadFunction(R2, 'visit'),
      exit(),
      at('other', exit()),
      at('visit', bpf.mov.imm(R0, 0)),
      exit(),
    ];
    const code = assemble(program);
    expect(listing(disassemble(code)).split('\n')[0]).toBe('   0: r2 = func +3');
    expect(functionsOf(code)).toEqual([0, 4]);
    expect(functionsOf(assemble(exit()))).toEqual([0]);
  });

  test('that are symbols do not collide when a fragment occurs twice', () => {
    const skip = (): Fragment => {
      const done = Symbol('done');
      return [bpf.jeq.imm(R1, 0, done), bpf.mov.imm(R0, 1), at(done, bpf.mov.imm(R2, 0))];
    };
    expect(disassemble(assemble([skip(), skip(), exit()])).map((each) => each.offset)).toEqual([
      1, 0, 0, 1, 0, 0, 0,
    ]);
  });

  test.each<[string, Fragment, string]>([
    ['nowhere', [jump('out'), exit()], 'label out not found'],
    ['twice', [at('a', exit()), at('a', exit())], 'label a already exists'],
    [
      'too far',
      [jump('out'), Array.from({ length: 32_768 }, exit), at('out', exit())],
      '32768 does not fit in 16 bits',
    ],
  ])('%s', (_what, program, message) => {
    expect(() => assemble(program)).toThrowError(new RegExp(message));
    expect(() => assemble(program)).toThrowError(AssemblerError);
  });

  test('the assembler rejects a number that is out of range', () =>
    expect(() => assemble(bpf.mov.imm(R0, 2 ** 32))).toThrowError('4294967296 does not fit in 32 bits'));
});

const register = fc.integer({ min: 0, max: 9 }) as fc.Arbitrary<Register>;
const imm = fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 });
const offset = fc.integer({ min: -(2 ** 15), max: 2 ** 15 - 1 });
const size = fc.constantFrom(W, H, B, DW);
const instruction: fc.Arbitrary<Instruction> = fc.oneof(
  fc
    .tuple(fc.constantFrom(bpf.add, bpf.sub32, bpf.mov, bpf.arsh), register, imm)
    .map(([op, dst, n]) => op.imm(dst, n)),
  fc
    .tuple(fc.constantFrom(bpf.xor, bpf.mul32, bpf.mod), register, register)
    .map(([op, dst, src]) => op.reg(dst, src)),
  fc.tuple(size, register, register, offset).map(([s, dst, src, o]) => bpf.load(s, dst, src, o)),
  fc.tuple(size, register, offset, imm).map(([s, dst, o, n]) => bpf.storeImm(s, dst, o, n)),
  fc.tuple(register, imm, imm).map(([dst, lower, upper]) => bpf.loadImm64(dst, lower, upper)),
  fc.tuple(register, fc.nat(100)).map(([dst, fd]) => bpf.loadMap(dst, fd)),
  fc.constant(exit()),
);

test('the disassembler returns the instructions that were assembled', () => {
  fc.assert(
    fc.property(fc.array(instruction, { minLength: 1 }), (program) => {
      expect(disassemble(assemble(program))).toEqual(program);
    }),
  );
});

test('the disassembler prints any bytes, or rejects them as truncated', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 64 }), (octets) => {
      let instructions: Instruction[];
      try {
        instructions = disassemble(Uint8Array.from(octets));
      } catch (error) {
        expect(error).toBeInstanceOf(RangeError);
        return;
      }
      expect(listing(instructions).split('\n')).toHaveLength(Math.max(1, instructions.length));
    }),
  );
});
