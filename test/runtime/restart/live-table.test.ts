/** The table of a director without a kernel path outlives it in files, which the next director never trusts. */
import { execFileSync, spawnSync } from 'node:child_process';
import {
  chmodSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { monotonicClock } from '../../../src/io/pump.ts';
import type { KeptTable } from '../../../src/runtime/restart/kept-table.ts';
import { openLiveTable, removeOrphanedTable } from '../../../src/runtime/restart/live-table.ts';
import { Directed } from '../../support/directed.ts';

const WEB = 'tcp 192.0.2.80:80';
const LIMIT = 2000;
const NO_PINS = '/nonexistent';

let root: string;
let logged: string[];

beforeEach(() => {
  root = join(mkdtempSync('/dev/shm/lvs-test-'), 'lvs-director');
  logged = [];
});
afterEach(() => rmSync(join(root, '..'), { recursive: true, force: true }));

const open = (folder = root) =>
  openLiveTable({
    connections: LIMIT,
    clock: monotonicClock,
    log: (_level, event, fields = {}) => logged.push(`${event} ${fields['reason'] ?? ''}`),
    pins: NO_PINS,
    root: folder,
  });

const directedOn = ({ shared, adopted }: KeptTable) =>
  new Directed({ ...shared, isAdopted: adopted !== undefined });

/** Leaves the files of a director with connections, which does not end properly. Returns their folder. */
async function left(): Promise<string> {
  const kept = (await open())!;
  const director = directedOn(kept);
  director.serve(WEB, ['10.0.0.1:80', '10.0.0.2:80'], { scheduler: 'wrr' });
  for (let client = 0; client < 50; client++)
    director.receive(`203.0.113.${client}:4000 > 192.0.2.80:80 SYN`);
  kept.complete();
  kept.leave(monotonicClock());
  return join(root, readdirSync(root)[0]!);
}

test('connections and rules are those of the former director, in files that no other user can open', async () => {
  const folder = await left();
  for (const path of [root, folder]) expect(statSync(path).mode & 0o7777).toBe(0o700);
  for (const name of readdirSync(folder)) expect(statSync(join(folder, name)).mode & 0o7777).toBe(0o600);
  const next = (await open())!;
  expect(next.adopted?.connections).toBe(50);
  const director = directedOn(next);
  expect(director.connections).toHaveLength(50);
  expect(logged.at(-1)).toMatch(/^table-adopted/);
  director.wait(3);
  expect(director.director.snapshot(director.now).services[0]!.stats.connections).toBe(50);
  next.close();
  expect(readdirSync(root)).toEqual([]);
});

test('all memory of the files is reserved', async () => {
  const folder = await left();
  for (const name of readdirSync(folder)) {
    const { blocks, size } = statSync(join(folder, name));
    expect(blocks * 512).toBeGreaterThanOrEqual(size);
  }
});

test('a second director of the network namespace does not get them', async () => {
  const first = (await open())!;
  expect(await open()).toBeUndefined();
  expect(logged.at(-1)).toMatch(/^memory-files-unavailable .*in use by another director/);
  expect(await removeOrphanedTable(root)).toBeUndefined();
  first!.leave(monotonicClock());
  expect(await removeOrphanedTable(root)).toMatch(/^\/dev\/shm\//);
  expect(readdirSync(root)).toEqual([]);
  expect(await removeOrphanedTable(root)).toBeUndefined();
});

describe('files that this program did not leave so are replaced, with the reason', () => {
  const aside = (path: string) => renameSync(path, join(root, '..', 'aside'));
  const damages: readonly [string, RegExp, (folder: string, path: string) => void][] = [
    ['shortened', /rows: .*bytes: expected|rows: too small/, (_folder, path) => truncateSync(path, 4096)],
    ['empty', /rows: empty/, (_folder, path) => truncateSync(path, 0)],
    ['missing', /rows: missing/, (_folder, path) => rmSync(path)],
    ['open to a group', /rows: accessible to other users/, (_folder, path) => chmodSync(path, 0o660)],
    [
      'linked twice',
      /rows: accessible to other users/,
      (folder, path) => linkSync(path, join(folder, 'other')),
    ],
    [
      'a symbolic link',
      /rows: ELOOP/,
      (_folder, path) => {
        aside(path);
        symlinkSync(join(root, '..', 'aside'), path);
      },
    ],
    [
      'a folder',
      /rows: (EISDIR|not a regular file)/,
      (_folder, path) => {
        rmSync(path);
        mkdirSync(path);
      },
    ],
    [
      'a pipe',
      /rows: not a regular file/,
      (_folder, path) => {
        rmSync(path);
        execFileSync('mkfifo', ['-m', '600', path]);
      },
    ],
    ['of another boot', /another boot/, (folder) => fill(join(folder, 'settings'), 224, 16, 7)],
    ['of another layout', /^layout 99: expected/, (folder) => fill(join(folder, 'settings'), 0, 1, 99)],
  ];
  const fill = (path: string, at: number, count: number, value: number) =>
    writeFileSync(path, readFileSync(path).fill(value, at, at + count));

  test.each(damages)('%s', async (_of, reason, damage) => {
    const folder = await left();
    damage(folder, join(folder, 'rows'));
    const next = (await open())!;
    expect(
      logged.filter((line) => line.startsWith('table-replaced'))[0]!.replace(/^\S+ (array )?/, ''),
    ).toMatch(reason);
    expect(next.adopted).toBeUndefined();
    const director = directedOn(next);
    director.serve(WEB, ['10.0.0.1:80']);
    director.receive('203.0.113.1:4000 > 192.0.2.80:80 SYN');
    expect(director.connections).toHaveLength(1);
    next.close();
  });

  test('holes are filled, because an access without memory would end the process', async () => {
    const folder = await left();
    const path = join(folder, 'lists');
    const { size } = statSync(path);
    truncateSync(path, 4096);
    truncateSync(path, size);
    expect(statSync(path).blocks * 512).toBeLessThan(size);
    const next = (await open())!;
    expect(statSync(path).blocks * 512).toBeGreaterThanOrEqual(size);
    next.close();
  });

  test('garbage in any file, of any length', async () => {
    const folder = await left();
    const whole = new Map(readdirSync(folder).map((name) => [name, readFileSync(join(folder, name))]));
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom(...whole.keys()),
        fc.double({ min: 0, max: 1, noNaN: true }),
        fc.uint8Array({ minLength: 1, maxLength: 64 }),
        fc.boolean(),
        async (name, where, bytes, isShortened) => {
          mkdirSync(folder, { recursive: true, mode: 0o700 });
          for (const [each, content] of whole) {
            const copy = Buffer.from(content);
            const used = Math.min(copy.length, 65_536);
            if (each === name) copy.set(bytes.subarray(0, copy.length), Math.floor(where * (used - 64)));
            const end = each === name && isShortened ? Math.floor(where * copy.length) : copy.length;
            writeFileSync(join(folder, each), copy.subarray(0, end), { mode: 0o600 });
          }
          const next = (await open())!;
          const director = directedOn(next);
          for (let client = 0; client < 60; client++)
            director.receive(`203.0.113.${client}:4000 > 192.0.2.80:80 SYN`);
          director.wait(1000);
          expect(director.director.summary(director.now).table.connections).toBeGreaterThanOrEqual(0);
          next.close();
        },
      ),
      { numRuns: 20 },
    );
  });
});

describe('without files the director uses ordinary memory and logs the reason', () => {
  test('where there is no tmpfs', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'lvs-'));
    expect(await open(join(folder, 'lvs'))).toBeUndefined();
    expect(logged.at(-1)).toMatch(/^memory-files-unavailable .*no tmpfs/);
    rmSync(folder, { recursive: true });
  });

  test('where another user may open the folder', async () => {
    mkdirSync(root, { mode: 0o755 });
    expect(await open()).toBeUndefined();
    expect(logged.at(-1)).toMatch(/^memory-files-unavailable .*not a folder of this user alone/);
  });

  test('where the file system is full', async ({ skip }) => {
    const small = mkdtempSync(join(tmpdir(), 'lvs-small-'));
    const { status } = spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'lvs', small]);
    try {
      skip(status !== 0, 'mounting a tmpfs requires root');
      expect(await open(join(small, 'lvs'))).toBeUndefined();
      expect(logged.at(-1)).toMatch(/^memory-files-unavailable .*ENOSPC/);
      expect(readdirSync(join(small, 'lvs'))).toEqual([]);
      // No memory remains in use.
      expect(execFileSync('df', ['--output=used', small], { encoding: 'utf8' }).split('\n')[1]!.trim()).toBe(
        '0',
      );
    } finally {
      if (status === 0) execFileSync('umount', [small]);
      rmSync(small, { recursive: true });
    }
  });
});
