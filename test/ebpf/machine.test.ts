import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { assemble } from '../../src/ebpf/assemble.ts';
import type { Fragment } from '../../src/ebpf/instruction.ts';
import * as bpf from '../../src/ebpf/instruction.ts';
import { Machine } from '../support/ebpf/machine.ts';
import { Fault, Memory } from '../support/ebpf/memory.ts';

const { R0, R1, R2, R3, FP, W, DW, at, exit } = bpf;
const NOTHING = { helpers: {}, maps: new Map(), values: new Map(), context: () => 0n };
const run = (...program: Fragment[]) => new Machine(assemble([program, exit()]), new Memory(), NOTHING).run();

describe('a program computes what the instruction set defines', () => {
  test.each<[string, Fragment[], number]>([
    ['w0 = -1', [bpf.mov32.imm(R0, -1)], 0xffffffff],
    ['division by zero', [bpf.mov.imm(R0, 7), bpf.div.imm(R0, 0)], 0],
    ['modulo by zero', [bpf.mov.imm(R0, 7), bpf.mod.imm(R0, 0)], 7],
    ['be16', [bpf.mov.imm(R0, 0x1234), bpf.toBig(R0, 16)], 0x3412],
    ['be32', [bpf.mov.imm(R0, 0x12345678), bpf.toBig(R0, 32)], 0x78563412],
    ['s>>=', [bpf.mov.imm(R0, -8), bpf.arsh.imm(R0, 1)], 0xfffffffc],
    ['stack', [bpf.storeImm(W, FP, -4, 77), bpf.load(W, R0, FP, -4)], 77],
    [
      'fetch_add',
      [
        bpf.storeImm(DW, FP, -8, 5),
        bpf.mov.imm(R1, 2),
        bpf.atomic(DW, bpf.ATOMIC_ADD | bpf.FETCH, FP, -8, R1),
        bpf.load(DW, R0, FP, -8),
        bpf.mul.reg(R0, R1),
      ],
      35,
    ],
    [
      'cmpxchg that holds',
      [
        bpf.storeImm(W, FP, -4, 5),
        bpf.mov.imm(R0, 5),
        bpf.mov.imm(R1, 9),
        bpf.atomic(W, bpf.COMPARE_EXCHANGE, FP, -4, R1),
        bpf.load(W, R0, FP, -4),
      ],
      9,
    ],
    [
      'cmpxchg that does not',
      [
        bpf.storeImm(W, FP, -4, 5),
        bpf.mov.imm(R0, 4),
        bpf.mov.imm(R1, 9),
        bpf.atomic(W, bpf.COMPARE_EXCHANGE, FP, -4, R1),
        bpf.load(W, R2, FP, -4),
        bpf.mul.reg(R0, R2),
      ],
      25,
    ],
    [
      'a loop',
      [
        bpf.mov.imm(R0, 0),
        bpf.mov.imm(R1, 10),
        at('again', bpf.add.reg(R0, R1)),
        bpf.sub.imm(R1, 1),
        bpf.jne.imm(R1, 0, 'again'),
      ],
      55,
    ],
    [
      '32-bit compare',
      [
        bpf.mov.imm(R0, 0),
        bpf.loadImm64(R1, 1, 7),
        bpf.jne32.imm(R1, 1, 'out'),
        bpf.mov.imm(R0, 1),
        at('out', bpf.mov.imm(R3, 0)),
      ],
      1,
    ],
    [
      'signed compare',
      [
        bpf.mov.imm(R0, 1),
        bpf.mov.imm(R1, -1),
        bpf.jslt.imm(R1, 0, 'out'),
        bpf.mov.imm(R0, 0),
        at('out', bpf.mov.imm(R3, 0)),
      ],
      1,
    ],
  ])('%s', (_name, program, want) => expect(run(...program)).toBe(want));
});

test("32-bit arithmetic equals the processor's", () => {
  fc.assert(
    fc.property(fc.integer(), fc.integer(), (a, b) => {
      const result = (op: bpf.Arithmetic) => run(bpf.mov32.imm(R0, a), bpf.mov32.imm(R1, b), op.reg(R0, R1));
      expect(result(bpf.add32)).toBe((a + b) >>> 0);
      expect(result(bpf.mul32)).toBe(Math.imul(a, b) >>> 0);
      expect(result(bpf.xor32)).toBe((a ^ b) >>> 0);
      expect(result(bpf.rsh32)).toBe((a >>> (b & 31)) >>> 0);
    }),
  );
});

describe('the machine reports a fault where a kernel would refuse the program', () => {
  test.each<[string, Fragment[], string]>([
    ['a store past the stack', [bpf.storeImm(DW, FP, -4, 0)], 'store of 8 octets at stack+508 of 512'],
    ['a load from nowhere', [bpf.mov.imm(R1, 0), bpf.load(W, R0, R1, 0)], 'load of 4 octets at 0x0'],
    ['an unknown helper', [bpf.call(999)], 'call of helper 999'],
    ['an endless loop', [at('again', bpf.mov.imm(R0, 0)), bpf.jump('again')], 'the program does not end'],
  ])('%s', (_name, program, message) => {
    expect(() => run(...program)).toThrowError(message);
    expect(() => run(...program)).toThrowError(Fault);
  });
});
