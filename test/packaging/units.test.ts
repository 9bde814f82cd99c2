import { spawnSync } from 'node:child_process';
import { chmodSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { PROJECT } from '../support/project.ts';

const UNITS = join(PROJECT, 'conf/systemd');
/** Exposure of `systemd-analyze security`, in tenths: 0 is sandboxed, 100 is not. A bound against loosening. */
const MAX_EXPOSURE = 40;

const folder = mkdtempSync(join(tmpdir(), 'lvs-units-'));
afterAll(() => rmSync(folder, { recursive: true }));
const why =
  spawnSync('systemd-analyze', ['--version']).status === 0 ? undefined : 'systemd-analyze is not installed';

test('systemd-analyze is installed', ({ skip }) => skip(why !== undefined, why));

describe.each(readdirSync(UNITS).filter((name) => name.endsWith('.service')))('%s', (name) => {
  const text = readFileSync(join(UNITS, name), 'utf8');

  test.skipIf(why !== undefined)('is accepted by systemd-analyze verify without a warning', () => {
    // The programs are not installed here.
    const program = join(folder, 'program');
    writeFileSync(program, '#!/bin/sh\n');
    chmodSync(program, 0o755);
    const file = join(folder, name);
    writeFileSync(file, text.replace(/\/usr\/bin\/lvs-\w+/g, program).replace(/^Documentation=.*$/m, ''));
    const { stdout, stderr } = spawnSync('systemd-analyze', ['verify', '--man=no', file], {
      encoding: 'utf8',
    });
    expect(`${stdout}${stderr}`.split('\n').filter((line) => line.includes('lvs-'))).toEqual([]);
  });

  test.skipIf(why !== undefined)('is sandboxed', () => {
    const { status, stdout } = spawnSync(
      'systemd-analyze',
      ['security', '--offline=true', `--threshold=${MAX_EXPOSURE}`, '--no-pager', join(UNITS, name)],
      { encoding: 'utf8' },
    );
    expect(stdout).toMatch(/Overall exposure level/);
    expect(status).toBe(0);
  });

  test('has the capabilities of all datapaths, and leaves what they need visible', () => {
    for (const capability of ['CAP_NET_ADMIN', 'CAP_NET_RAW', 'CAP_BPF', 'CAP_PERFMON'])
      expect(text).toMatch(new RegExp(`^CapabilityBoundingSet=.*\\b${capability}\\b`, 'm'));
    expect(text).toMatch(/^DeviceAllow=\/dev\/net\/tun rw$/m);
    expect(text).not.toMatch(
      /^(?:PrivateDevices|ProtectKernelTunables|MemoryDenyWriteExecute|PrivateNetwork)=yes/m,
    );
  });

  test('restarts after failures, and not after an invalid file', () => {
    expect(text).toMatch(/^Type=notify$/m);
    expect(text).toMatch(/^Restart=always$/m);
    expect(text).toMatch(/^RestartPreventExitStatus=2$/m);
  });
});
