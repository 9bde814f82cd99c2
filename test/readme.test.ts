import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { DROP_REASONS } from '../src/model/verdict.ts';
import { PROJECT } from './support/project.ts';

const readme = readFileSync(join(PROJECT, 'README.md'), 'utf8');

test('every reason for a drop is there, with what it means', () => {
  const rows = [...readme.matchAll(/^\| `([a-z-]+)` \| (.*) \|$/gm)].map(([, reason, meaning]) => [
    reason,
    meaning,
  ]);
  expect(Object.fromEntries(rows)).toMatchObject(DROP_REASONS);
});
