/** The key file of synchronization. */
import { chmodSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { LvsError } from '../../../src/model/errors.ts';
import { loadConfiguration } from '../../../src/runtime/configuration/configuration.ts';
import { readKeyFile } from '../../../src/runtime/host/key-file.ts';
import { TemporaryFolder } from '../../support/director-apis.ts';

const KEY = '0123456789abcdef'.repeat(4);
const problem = async (path: string): Promise<string> =>
  readKeyFile(path).then(
    () => 'none',
    (error: LvsError) => `${error.code} ${error.message.replace(path, 'FILE')}`,
  );

test('a key file has one key, or two while keys are changed, and comments', async () => {
  using folder = new TemporaryFolder();
  const path = folder.file('sync.key');
  writeFileSync(path, `# of 2026\n${KEY}\n\n`, { mode: 0o600 });
  expect((await readKeyFile(path)).map((key) => Buffer.from(key).toString('hex'))).toEqual([KEY]);
  writeFileSync(path, `${KEY}\n${KEY.toUpperCase()}`);
  expect(await readKeyFile(path)).toHaveLength(2);
});

test('a file that others may read, or that is no key file, is refused', async () => {
  using folder = new TemporaryFolder();
  const path = folder.file('sync.key');
  expect(await problem(path)).toMatch(/^UNAVAILABLE key file FILE: cannot be read: ENOENT/);
  writeFileSync(path, KEY);
  for (const mode of [0o640, 0o604, 0o620, 0o666]) {
    chmodSync(path, mode);
    expect(await problem(path)).toMatch(/^CONFIG key file FILE: mode 06\d\d: expected 0600 \(chmod 0600 /);
  }
  for (const [text, expected] of [
    ['', '0 keys: expected one, or two while keys are changed'],
    [`${KEY}\n${KEY}\n${KEY}`, '3 keys: expected one, or two while keys are changed'],
    [`# key\n${KEY}0`, 'line 2: expected 32 to 256 hexadecimal digits (openssl rand -hex 32)'],
    ['secret', 'line 1: expected 32 to 256 hexadecimal digits (openssl rand -hex 32)'],
    [KEY.repeat(100), 'larger than 4096 bytes'],
  ] as const) {
    writeFileSync(path, text);
    chmodSync(path, 0o600);
    expect(await problem(path)).toBe(`CONFIG key file FILE: ${expected}`);
  }
  const folderPath = folder.file('folder');
  mkdirSync(folderPath, { mode: 0o700 });
  expect(await problem(folderPath)).toBe('CONFIG key file FILE: not a regular file');
  const link = folder.file('link');
  symlinkSync('/dev/zero', link);
  expect(await problem(link)).toBe('CONFIG key file FILE: not a regular file');
});

test('a configuration names its key file: one that is missing is a warning of check, and an error of run', async () => {
  using folder = new TemporaryFolder();
  const [path, key] = [folder.file('lvs.yaml'), folder.file('sync.key')];
  writeFileSync(path, `sync: { interface: eth1, key-file: ${key} }\nservices: []\n`);
  const { warnings, sync } = await loadConfiguration(path);
  expect(warnings).toEqual([expect.stringContaining(`key file ${key}: cannot be read`)]);
  expect(sync).toMatchObject({ interface: 'eth1', secrets: [] });
  const missing = loadConfiguration(path, { isRun: true });
  await expect(missing).rejects.toThrow(LvsError);
  writeFileSync(key, KEY, { mode: 0o644 });
  await expect(loadConfiguration(path)).rejects.toThrow(/mode 0644: expected 0600/);
  chmodSync(key, 0o600);
  expect((await loadConfiguration(path)).sync?.secrets).toHaveLength(1);
});
