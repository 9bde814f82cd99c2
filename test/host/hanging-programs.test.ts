/** Programs of the host that never end, and those that a killed director left behind: stand-ins on PATH. */
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { KernelGuard } from '../../src/host/kernel-guard.ts';
import { restoreAllMerging, stopMerging } from '../../src/host/merge-offloads.ts';
import { outputDrops } from '../../src/host/output-policy.ts';
import { VipAddresses } from '../../src/host/vip-addresses.ts';
import { thisMachine } from '../../src/realserver/machine.ts';

const path = process.env['PATH'];
let folder: string;

const setPath = () => {
  folder = mkdtempSync(join(tmpdir(), 'lvs-stand-ins-'));
  process.env['PATH'] = `${folder}:${path}`;
};
const restorePath = () => {
  process.env['PATH'] = path;
  rmSync(folder, { recursive: true });
};
beforeEach(setPath);
afterEach(restorePath);

function standIn(name: string, script: string): void {
  writeFileSync(join(folder, name), `#!/bin/sh\n${script}\n`);
  chmodSync(join(folder, name), 0o755);
}

/** Ignores the signals that can be ignored. */
const HANGING = "trap '' TERM INT HUP; exec sleep 1000";

/** All at once: each waits for its timeout. */
const CASES: Readonly<Record<string, () => Promise<void>>> = {
  'ip is ended, and the VIPs are reported as failed': async () => {
    const vips = new VipAddresses(() => {});
    await expect(vips.hold([{ address: '192.0.2.1', device: 'lo' }])).rejects.toThrow(/ip: no result within/);
    vips.close();
  },
  'nft is ended at the start': () =>
    expect(KernelGuard.open(['lo'], () => {})).rejects.toThrow(/nft: no answer within/),
  'nft and iptables list no chains': async () => expect(await outputDrops()).toEqual([]),
  'a program of the agent is ended': () =>
    expect(thisMachine.run(['ip', 'address'])).rejects.toThrow('ip: cannot run: no result within 10 s'),
  'ethtool leaves the interface as it is': async () => {
    const restore = await stopMerging('lo', folder);
    restore();
    expect(existsSync(join(folder, 'lo.merging'))).toBe(false);
  },
};

describe('of programs that hang', () => {
  let results: Map<string, PromiseSettledResult<void>>;

  beforeAll(async () => {
    setPath();
    for (const name of ['ip', 'nft', 'iptables-legacy', 'ip6tables-legacy', 'ethtool'])
      standIn(name, HANGING);
    const settled = await Promise.allSettled(Object.values(CASES).map((each) => each()));
    results = new Map(Object.keys(CASES).map((name, i) => [name, settled[i]!]));
    restorePath();
  });

  test.each(Object.keys(CASES))('%s', (name) => {
    const result = results.get(name)!;
    if (result.status === 'rejected') throw result.reason;
  });
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
