import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { notBuilt, PROJECT } from '../support/project.ts';

const why = notBuilt('src/io/native-package');
const folder = mkdtempSync(join(tmpdir(), 'lvs-native-'));
afterAll(() => rmSync(folder, { recursive: true }));

/** Loads a package in an installation that has these files beside its package.json; returns what the program prints. */
function load(files: Readonly<Record<string, string>>, name: string, libraries = ''): string {
  const root = mkdtempSync(join(folder, 'installed-'));
  for (const part of ['io', 'model']) mkdirSync(join(root, 'src', part), { recursive: true });
  writeFileSync(join(root, 'package.json'), '{ "type": "module" }');
  for (const file of ['io/native-package.js', 'model/errors.js'])
    cpSync(join(PROJECT, 'dist/src', file), join(root, 'src', file));
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(join(root, path, '..'), { recursive: true });
    writeFileSync(join(root, path), text);
  }
  const program = `
    import { loadNativePackage } from './src/io/native-package.js';
    try { console.log(await loadNativePackage('${name}', '${libraries}')); } catch (error) { console.log(error.message); }`;
  return spawnSync(process.execPath, ['--input-type=module', '--eval', program], {
    cwd: root,
    encoding: 'utf8',
  }).stdout;
}

test('the build exists', ({ skip }) => skip(why !== undefined, why));

describe.skipIf(why !== undefined)('an installation', () => {
  const { modules: abi, node } = process.versions;

  test('with builds by ABI loads the one of this Node.js', () => {
    const files = {
      [`native/${abi}/node_modules/some/index.js`]: "module.exports = 'built here';",
      'native/1/node_modules/some/index.js': "module.exports = 'built elsewhere';",
    };
    expect(load(files, 'some')).toBe('built here\n');
  });

  test('reports the ABI of a missing build', () => {
    expect(load({ 'native/1/node_modules/some/index.js': '' }, 'some')).toContain(
      `package some: not built for Node.js ${node} (ABI ${abi})`,
    );
  });

  test('reports the commands that install a missing package', () => {
    expect(load({}, 'lvs-none', 'libsome-dev, ')).toBe(
      `package lvs-none: not installed or not built for Node.js ${node} (install libsome-dev, g++, make and python3, then install lvs again: npm ci in a clone, npm install -g elsewhere)\n`,
    );
  });
});
