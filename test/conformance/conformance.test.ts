/** The director answers as the kernel did, recording by recording. */
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { readGolden } from '../support/golden.ts';
import { play } from './player.ts';

const GOLDEN = join(import.meta.dirname, 'golden');

test.each(readdirSync(GOLDEN).filter((file) => file.endsWith('.json')))('%s', async (file) => {
  const failures = await play(readGolden(join(GOLDEN, file)));
  const told = failures.map(({ step, text, what }) => `step ${step} «${text}»: ${what}`);
  expect(told).toEqual([]);
});
