import { execFileSync } from 'node:child_process';
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import type { GuardChange } from '../../src/host/guard-script.ts';
import { KernelGuard } from '../../src/host/kernel-guard.ts';
import type { LvsError } from '../../src/model/errors.ts';

const folder = mkdtempSync(join(tmpdir(), 'lvs-guard-'));
const log = join(folder, 'log');
const path = process.env['PATH'];

/** Records its input and HOME, and prints the given answer. Ignores the deletion of the table at the end. */
const NFT = `#!/bin/sh
[ "$1" = -i ] || exit 0
echo "$$ started with $HOME" >> ${log}
while read -r line; do
  case "$line" in describe*) echo 'meta expression, datatype mark' ;; *) echo "$$ $line" >> ${log} ;; esac
done
`;

beforeAll(() => {
  const file = join(folder, 'nft');
  writeFileSync(file, NFT);
  chmodSync(file, 0o755);
  process.env['PATH'] = `${folder}:${path}`;
});
afterAll(() => {
  process.env['PATH'] = path;
  rmSync(folder, { recursive: true });
});

const added = (port: number): GuardChange => ({
  added: [{ service: { protocol: 'tcp', address: '192.0.2.1', port } }],
  removed: [],
  marks: [],
});
const web = added(80);
const told = () => readFileSync(log, 'utf8').trim().split('\n');

test('when its nft is killed another nft creates another table, and deletes the one before', async () => {
  const lost: LvsError[] = [];
  const guard = await KernelGuard.open(['lo'], (error) => lost.push(error));
  await guard.withhold(web);
  const before = told();
  const pid = before[0]!.split(' ')[0]!;
  execFileSync('kill', ['-9', pid]);
  await vi.waitFor(() => expect(told().at(-1)).toMatch(/delete table /), 60_000);
  await vi.waitFor(() => expect(told().length).toBeGreaterThan(before.length + 2), 60_000);
  guard.close();
  expect(lost.map(({ message }) => message)).toEqual([expect.stringContaining('SIGKILL')]);
  const [started, restored, filled, deleted] = told().slice(before.length);
  expect(started).toMatch(/started with \/dev\/null$/);
  expect(restored).toMatch(/add table .*add chain /);
  expect(filled).toMatch(/192\.0\.2\.1 \. 6 \. 80/);
  expect(restored!.split(' ')[0]).not.toBe(pid);
  const [, first] = /add table netdev (\w+)/.exec(before[1]!)!;
  const [, second] = /add table netdev (\w+)/.exec(restored!)!;
  expect(second).not.toBe(first);
  expect(deleted).toContain(`delete table netdev ${first}`);
});

test('a signal to the process group of the director does not reach nft', async () => {
  const from = told().length;
  const guard = await KernelGuard.open(['lo'], () => {});
  const pid = told()[from]!.split(' ')[0]!;
  const group = execFileSync('ps', ['-o', 'pgid=', '-p', pid], { encoding: 'utf8' }).trim();
  guard.close();
  expect(group).toBe(pid);
});

test('a second change writes only what is new', async () => {
  const guard = await KernelGuard.open(['lo'], () => {});
  await guard.withhold(web);
  await guard.withhold(added(443));
  guard.close();
  expect(told().at(-1)).toMatch(/^\d+ add element netdev \w+ requests4 \{ 192\.0\.2\.1 \. 6 \. 443 \}$/);
});
