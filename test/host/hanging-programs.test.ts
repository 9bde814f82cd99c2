/** Programs of the host that never end, and those that a killed director left behind: stand-ins on PATH. */
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { KernelGuard } from '../../src/host/kernel-guard.ts';
import { restoreAllMerging, stopMerging } from '../../src/host/merge-offloads.ts';
import { outputDrops } from '../../src/host/output-policy.ts';
import { VipAddresses } from '../../src/host/vip-addresses.ts';
import { thisMachine } from '../../src/realserver/machine.ts';

const path = process.env['PATH'];
let folder: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'lvs-stand-ins-'));
  process.env['PATH'] = `${folder}:${path}`;
});
afterEach(() => {
  process.env['PATH'] = path;
  rmSync(folder, { recursive: true });
});

function standIn(name: string, script: string): void {
  writeFileSync(join(folder, name), `#!/bin/sh\n${script}\n`);
  chmodSync(join(folder, name), 0o755);
}

/** Ignores the signals that can be ignored. */
const HANGING = "trap '' TERM INT HUP; exec sleep 1000";
const TEST_TIMEOUT_MS = 60_000;

test('ip that hangs is ended, and the VIPs are reported as failed', {
  timeout: TEST_TIMEOUT_MS,
}, async () => {
  standIn('ip', HANGING);
  const vips = new VipAddresses(() => {});
  await expect(vips.hold([{ address: '192.0.2.1', device: 'lo' }])).rejects.toThrow(/ip: no result within/);
  vips.close();
});

test('nft that hangs is ended at the start', { timeout: TEST_TIMEOUT_MS }, async () => {
  standIn('nft', HANGING);
  await expect(KernelGuard.open(['lo'], () => {})).rejects.toThrow(/nft: no answer within/);
});

test('nft and iptables that hang list no chains', { timeout: TEST_TIMEOUT_MS }, async () => {
  for (const name of ['nft', 'iptables-legacy', 'ip6tables-legacy']) standIn(name, HANGING);
  expect(await outputDrops()).toEqual([]);
});

test('a program of the agent that hangs is ended', { timeout: TEST_TIMEOUT_MS }, async () => {
  standIn('ip', HANGING);
  await expect(thisMachine.run(['ip', 'address'])).rejects.toThrow('ip: cannot run: no result within 10 s');
});

test('ethtool that hangs leaves the interface as it is', { timeout: TEST_TIMEOUT_MS }, async () => {
  standIn('ethtool', HANGING);
  const restore = await stopMerging('lo', folder);
  restore();
  expect(existsSync(join(folder, 'lo.merging'))).toBe(false);
});

test('merging is restored on each interface where a killed director had turned it off', async () => {
  const log = join(folder, 'log');
  standIn('ethtool', `case $1 in -k) echo generic-receive-offload: on ;; *) echo "$@" >> ${log} ;; esac`);
  await stopMerging('eth0', folder);
  await stopMerging('eth1', folder);
  await restoreAllMerging(folder, ['eth1']);
  const calls = () => readFileSync(log, 'utf8').trim().split('\n');
  expect(calls()).toEqual(['-K eth0 gro off', '-K eth1 gro off', '-K eth0 gro on']);
  await restoreAllMerging(folder, []);
  await restoreAllMerging(folder, []);
  expect(calls().slice(3)).toEqual(['-K eth1 gro on']);
});
