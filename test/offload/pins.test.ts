/** Where a kernel path can be kept, and why not. */
import { execFileSync } from 'node:child_process';
import { chmodSync, chownSync, existsSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Bpf } from '../../src/ebpf/bpf.ts';
import { BpfMap } from '../../src/ebpf/map.ts';
import { LvsError } from '../../src/model/errors.ts';
import { existingPins, openPins } from '../../src/offload/pins.ts';
import { loadSystem } from '../../src/sys/system.ts';
import { kernel } from '../support/ebpf/kernel.ts';
import { PinsMount, pinsMissing } from '../support/pins.ts';

const why = ('why' in kernel ? kernel.why : undefined) ?? pinsMissing();
test('eBPF and root are available', ({ skip }) => skip(why !== undefined, why));

describe.skipIf(why !== undefined)('pins', () => {
  let bpf: Bpf;
  let mount: PinsMount;
  let ordinary: string;

  beforeAll(async () => {
    bpf = new Bpf(await loadSystem());
    mount = new PinsMount();
    ordinary = mkdtempSync(join(tmpdir(), 'lvs-no-pins-'));
  });
  afterAll(() => {
    mount?.[Symbol.dispose]();
    rmSync(ordinary, { recursive: true, force: true });
  });

  const reasonFor = (root: string): string => {
    try {
      openPins(bpf, root);
    } catch (error) {
      expect(error).toBeInstanceOf(LvsError);
      expect((error as LvsError).code).toBe('UNAVAILABLE');
      return (error as LvsError).message;
    }
    return 'usable';
  };
  const map = () => new BpfMap(bpf, { type: 'array', keySize: 4, valueSize: 8, entries: 1 });

  test('keep an array, find it again, and leave nothing when they are removed', () => {
    const pins = openPins(bpf, mount.root);
    using array = map();
    array.update(new Uint8Array(4), Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8));
    pins.keep('head', array.descriptor);
    const found = existingPins(bpf, mount.root)!;
    using again = new BpfMap(bpf, array.options, 1, found.open('head'));
    expect(again.lookup(new Uint8Array(4))).toEqual(Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8));
    // What others have put there goes, too.
    mkdirSync(pins.pathOf('link-foreign'));
    mkdirSync(pins.pathOf('others'));
    pins.removeAll();
    expect(existsSync(pins.folder)).toBe(false);
    expect(existingPins(bpf, mount.root)).toBeUndefined();
  });

  test('are not kept in another file system, or where none is', () => {
    expect(reasonFor(join(ordinary, 'lvs'))).toMatch(/no bpf file system \(mount -t bpf/);
    expect(reasonFor('/nowhere/at/all')).toMatch(/no bpf file system/);
  });

  test('are not kept in a folder that others can enter', () => {
    const { folder } = openPins(bpf, mount.root);
    chmodSync(folder, 0o755);
    expect(reasonFor(mount.root)).toMatch(/not a folder of this user alone/);
    chmodSync(folder, 0o700);
    chownSync(folder, 65_534, 65_534);
    expect(reasonFor(mount.root)).toMatch(/not a folder of this user alone/);
    chownSync(folder, 0, 0);
    expect(reasonFor(mount.root)).toBe('usable');
  });

  test('are not kept in a read-only file system, also if they were before', () => {
    const { folder } = openPins(bpf, mount.root);
    execFileSync('mount', ['-o', 'remount,ro', join(mount.root, '..')]);
    try {
      expect(reasonFor(mount.root)).toMatch(/EROFS/);
    } finally {
      execFileSync('mount', ['-o', 'remount,rw', join(mount.root, '..')]);
    }
    expect(openPins(bpf, mount.root).folder).toBe(folder);
  });
});
