/** The parts of the eBPF library that need a kernel and a privilege. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { assemble } from '../../src/ebpf/assemble.ts';
import type { Bpf } from '../../src/ebpf/bpf.ts';
import { probeFeatures } from '../../src/ebpf/features.ts';
import { LOOP } from '../../src/ebpf/helper.ts';
import type { Fragment } from '../../src/ebpf/instruction.ts';
import * as bpf from '../../src/ebpf/instruction.ts';
import { ATTACH_TCX_INGRESS, attachTcx, attachXdp } from '../../src/ebpf/link.ts';
import { BpfMap } from '../../src/ebpf/map.ts';
import { Program, VerifierError } from '../../src/ebpf/program.ts';
import { testRun } from '../../src/ebpf/test-run.ts';
import { SystemCallError } from '../../src/sys/system-call-error.ts';
import { kernel } from '../support/ebpf/kernel.ts';

const { R0, R1, R2, R6, W, DW, B, exit } = bpf;
const why = 'why' in kernel ? kernel.why : undefined;
const it = kernel as Bpf;

test('this kernel can load programs', ({ skip }) => skip(why !== undefined, why));

const xdp = (name: string, ...code: Fragment[]) =>
  new Program(it, { type: 'xdp', name, code: assemble(code) });
const key = (n: number) => Uint8Array.of(n, 0, 0, 0);
const packet = new Uint8Array(64);

describe.skipIf(why !== undefined)('maps', () => {
  test('keep written values until they are deleted', () => {
    using map = new BpfMap(it, { type: 'hash', keySize: 4, valueSize: 3, entries: 8, name: 'words' });
    expect(map.lookup(key(1))).toBeUndefined();
    map.update(key(1), Uint8Array.of(1, 2, 3));
    map.update(key(1), Uint8Array.of(4, 5, 6));
    expect(map.lookup(key(1))).toEqual(Uint8Array.of(4, 5, 6));
    expect([map.delete(key(1)), map.delete(key(1))]).toEqual([true, false]);
    expect(map.lookup(key(1))).toBeUndefined();
  });

  test('refuse more entries than they hold, with an error that names the limit', () => {
    using map = new BpfMap(it, { type: 'hash', keySize: 4, valueSize: 1, entries: 1 });
    map.update(key(1), Uint8Array.of(0));
    expect(() => map.update(key(2), Uint8Array.of(0))).toThrowError(/^bpf\(MAP_UPDATE_ELEM\): E2BIG, /);
    expect(() => map.lookup(new Uint8Array(3))).toThrowError('key: 3 bytes: expected 4');
    expect(() => new BpfMap(it, { type: 'array', keySize: 8, valueSize: 8, entries: 1 })).toThrowError(
      SystemCallError,
    );
  });

  test('are written, read and emptied in batches', () => {
    using map = new BpfMap(it, { type: 'hash', keySize: 4, valueSize: 4, entries: 4096 });
    const all = Uint32Array.from({ length: 3000 }, (_, i) => i);
    map.updateBatch(new Uint8Array(all.buffer), new Uint8Array(all.buffer));
    const seen = new Set<number>();
    map.forEach((k, v) => {
      expect(k).toEqual(v);
      seen.add(new DataView(k.buffer, k.byteOffset).getUint32(0, true));
    });
    expect(seen.size).toBe(3000);
    map.forEach(() => {}, { remove: true });
    let left = 0;
    map.forEach(() => {
      left++;
    });
    expect(left).toBe(0);
  });

  test('share memory with programs, in both directions', () => {
    using map = new BpfMap(it, { type: 'array', keySize: 4, valueSize: 64, entries: 1, mapped: true });
    const { view } = map.mapped();
    view.setUint32(60, 77, true);
    using program = xdp(
      'memory',
      bpf.loadMapValue(R1, map.descriptor, 4),
      bpf.storeImm(W, R1, 0, 1234),
      bpf.load(W, R0, R1, 56),
      exit(),
    );
    expect(testRun(it, program, packet).result).toBe(77);
    expect(view.getUint32(4, true)).toBe(1234);
  });
});

describe.skipIf(why !== undefined)('programs', () => {
  test('run over a packet and change it', () => {
    using program = xdp(
      'write',
      bpf.mov.reg(R6, R1),
      bpf.load(W, R1, R6, 0),
      bpf.load(W, R2, R6, 4),
      bpf.mov.reg(R0, R1),
      bpf.add.imm(R0, 1),
      bpf.jgt.reg(R0, R2, 'out'),
      bpf.storeImm(B, R1, 0, 0xaa),
      bpf.at('out', bpf.mov.imm(R0, 2)),
      exit(),
    );
    const run = testRun(it, program, packet, { repeat: 10 });
    expect(run.result).toBe(2);
    expect([run.packet.length, run.packet[0], run.packet[1]]).toEqual([64, 0xaa, 0]);
  });

  test('have functions that the kernel calls in a loop', () => {
    using program = xdp(
      'loop',
      bpf.storeImm(DW, bpf.FP, -8, 0),
      bpf.mov.imm(R1, 100),
      bpf.loadFunction(R2, 'add'),
      bpf.mov.reg(bpf.R3, bpf.FP),
      bpf.add.imm(bpf.R3, -8),
      bpf.mov.imm(bpf.R4, 0),
      bpf.call(LOOP),
      bpf.load(DW, R0, bpf.FP, -8),
      exit(),
      bpf.at('add', bpf.load(DW, bpf.R3, R2, 0)),
      bpf.add.reg(bpf.R3, R1),
      bpf.store(DW, R2, 0, bpf.R3),
      bpf.mov.imm(R0, 0),
      bpf.jlt.imm(R1, 10, 'on'),
      bpf.mov.imm(R0, 1),
      bpf.at('on', exit()),
    );
    expect(testRun(it, program, packet).result).toBe(55);
  });

  test('that the verifier refuses report its last line and its log', () => {
    let error: unknown;
    try {
      xdp('careless', bpf.load(W, R2, R1, 0), bpf.load(DW, R0, R2, 0), exit());
    } catch (thrown) {
      error = thrown;
    }
    expect(error).toBeInstanceOf(VerifierError);
    const { message, log, cause } = error as VerifierError;
    expect(message).toMatch(/^careless: .*R2 offset is outside of the packet/);
    expect(log.length).toBeGreaterThan(3);
    expect((cause as Error).message).toBe('bpf(PROG_LOAD): EACCES, permission denied');
  });

  test('are attached, replaced and pinned by a link, and detached with it', () => {
    const classifier = (name: string) =>
      new Program(it, {
        type: 'schedulerClassifier',
        name,
        code: assemble([bpf.mov.imm(R0, -1), exit()]),
        attachType: ATTACH_TCX_INGRESS,
      });
    using first = classifier('first');
    using second = classifier('second');
    using link = attachTcx(it, first, it.system.interfaceIndex('lo'));
    link.update(second);
    expect(() => attachTcx(it, second, it.system.interfaceIndex('lo'))).toThrowError(/EEXIST/);
  });

  test('are detached when their interface is deleted, even if another one gets its index', ({ skip }) => {
    const name = `lvs-${process.pid % 100_000}`;
    const index = 70_000 + (process.pid % 10_000);
    const ip = (words: string) => spawnSync('ip', ['link', ...words.split(' ')], { encoding: 'utf8' });
    const add = () => ip(`add name ${name} index ${index} type veth peer name ${name}-peer`);
    const added = add();
    skip(added.status !== 0, `no interface can be made: ${added.stderr}`);
    try {
      using classifier = new Program(it, {
        type: 'schedulerClassifier',
        name: 'classifier',
        code: assemble([bpf.mov.imm(R0, -1), exit()]),
        attachType: ATTACH_TCX_INGRESS,
      });
      using program = xdp('program', bpf.mov.imm(R0, 2), exit());
      const attach = () => [attachTcx(it, classifier, index), attachXdp(it, program, index, 'driver')];
      const links = attach();
      expect(links.map(({ attached }) => attached)).toEqual([true, true]);
      ip(`delete ${name}`);
      add();
      const again = attach();
      expect([...links, ...again].map(({ attached }) => attached)).toEqual([false, false, true, true]);
      for (const link of [...links, ...again]) link[Symbol.dispose]();
    } finally {
      ip(`delete ${name}`);
    }
  });

  test('stay attached while their link is pinned', ({ skip }) => {
    const folder = mkdtempSync(join(tmpdir(), 'lvs-bpf-'));
    try {
      const mounted = spawnSync('mount', ['-t', 'bpf', 'bpf', folder], { encoding: 'utf8' });
      skip(mounted.status !== 0, `no bpf file system can be mounted: ${mounted.stderr}`);
      using program = xdp('pinned', bpf.mov.imm(R0, 2), exit());
      const link = attachXdp(it, program, it.system.interfaceIndex('lo'), 'generic');
      const attached = () =>
        spawnSync('ip', ['link', 'show', 'lo'], { encoding: 'utf8' }).stdout.includes('xdp');
      link.pin(join(folder, 'link'));
      link[Symbol.dispose]();
      expect(attached()).toBe(true);
      rmSync(join(folder, 'link'));
      expect(attached()).toBe(false);
    } finally {
      spawnSync('umount', [folder]);
      rmdirSync(folder);
    }
  });
});

test.skipIf(why !== undefined)(
  'the kernel probe reports which features are available, and why others are missing',
  async () => {
    const features = await probeFeatures(it);
    for (const { name, missing } of Object.values(features)) {
      expect(name).not.toBe('');
      if (missing !== undefined) expect(missing).toMatch(/^\S+.*: /);
    }
    expect(features.maps.missing).toBeUndefined();
  },
);
