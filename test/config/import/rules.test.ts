import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { type ImportedProgram, rulesOfFile } from '../../support/imported-rules.ts';

const FOLDER = join(import.meta.dirname, '../../fixtures/imports');

/** The rules beside each file are those of the kernel (Linux 6.1) after the real program had loaded it. */
describe.each<[ImportedProgram, string]>([
  ['keepalived', '.conf'],
  ['ldirectord', '.cf'],
])('a file of %s leads to the rules that the program makes of it', (program, extension) => {
  const files = readdirSync(join(FOLDER, program)).filter((name) => name.endsWith(extension));
  test.each(files)('%s', async (name) => {
    const path = join(FOLDER, program, name);
    expect(await rulesOfFile(program, path)).toBe(readFileSync(`${path}.rules`, 'utf8'));
  });
});
