import { spawnSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { PROJECT } from '../support/project.ts';

test('the npm package has the script and the style sheet of the status page', () => {
  const { stdout } = spawnSync('npm', ['pack', '--dry-run', '--json', '--ignore-scripts'], {
    cwd: PROJECT,
    encoding: 'utf8',
  });
  const [{ files }] = JSON.parse(stdout) as [{ files: readonly { path: string }[] }];
  const assets = readdirSync(join(PROJECT, 'src/web/assets')).map((name) => `src/web/assets/${name}`);
  expect(files.map(({ path }) => path)).toEqual(expect.arrayContaining(assets));
  expect(assets.sort()).toEqual(['src/web/assets/page.css', 'src/web/assets/page.js']);
});
