import { execFileSync, spawnSync } from 'node:child_process';
import { readFileSync, statSync, unlinkSync, writeFileSync } from 'node:fs';
import { pathToFileURL } from 'node:url';
import { expect, test } from 'vitest';
import { ReadyFile } from '../../src/host/ready-file.ts';
import { TemporaryFolder } from '../support/director-apis.ts';
import { PROJECT } from '../support/project.ts';

const contentOf = (file: string) => readFileSync(file, 'utf8').trim();
const unexpected = (reason: string) => expect.unreachable(reason);

test('a ready file is 1 until the director is ready, and after its end', () => {
  using folder = new TemporaryFolder();
  const path = folder.file('ready');
  // As keepalived creates it, with other permissions.
  writeFileSync(path, '0\n', { mode: 0o600 });
  const file = new ReadyFile(path, unexpected);
  expect(contentOf(path)).toBe('1');
  expect(statSync(path).mode & 0o777).toBe(0o644);
  file.set(true);
  expect(contentOf(path)).toBe('0');
  file.set(false);
  expect(contentOf(path)).toBe('1');
  file.set(true);
  file.close();
  expect(contentOf(path)).toBe('1');
});

test('a ready file becomes 1 when the director is killed', () => {
  using folder = new TemporaryFolder();
  const path = folder.file('ready');
  const module = pathToFileURL(`${PROJECT}/dist/src/host/ready-file.js`).href;
  const script = `const { ReadyFile } = await import('${module}');
    new ReadyFile('${path}', console.error).set(true);
    process.stdout.write(await import('node:fs').then((fs) => fs.readFileSync('${path}', 'utf8')));
    process.kill(process.pid, 'SIGKILL');`;
  const { stdout, signal } = spawnSync(process.execPath, ['--input-type=module', '-e', script], {
    encoding: 'utf8',
  });
  expect([stdout, signal]).toEqual(['0\n', 'SIGKILL']);
  execFileSync('sh', ['-c', 'until grep -q 1 "$0"; do sleep 0.01; done', path], { timeout: 60_000 });
});

test('a killed director does not write the ready file of the next one', () => {
  using folder = new TemporaryFolder();
  const path = folder.file('ready');
  const first = new ReadyFile(path, unexpected);
  const second = new ReadyFile(path, unexpected);
  second.set(true);
  first.close();
  expect(contentOf(path)).toBe('0');
  second.close();
});

test('a ready file that cannot be written is reported', () => {
  using folder = new TemporaryFolder();
  expect(() => new ReadyFile(folder.file('none/ready'), unexpected)).toThrow(/^ready file: ENOENT/);
  const reasons: string[] = [];
  const file = new ReadyFile(folder.file('ready'), (reason) => reasons.push(reason));
  unlinkSync(folder.file('ready'));
  file.set(true);
  expect(reasons).toEqual([expect.stringContaining('ENOENT')]);
  file.close();
});
