import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { rulesOfFile } from '../../support/imported-rules.ts';
import { digests, recordedDigests, recordedImports } from '../../support/recorded-imports.ts';

/** The rules beside each file are those of the kernel (Linux 6.1) after the real program had loaded it. */
describe('a file of keepalived or ldirectord leads to the rules that the program makes of it', () => {
  test.each(recordedImports().map(({ name, ...rest }) => [name, rest] as const))(
    '%s',
    async (_, { program, path, rulesPath }) => {
      expect(await rulesOfFile(program, path)).toBe(readFileSync(rulesPath, 'utf8'));
    },
  );

  test('every file is as it was when its rules were recorded (else: RECORD_RULES, test/netns/imported-rules)', () => {
    expect(digests()).toEqual(recordedDigests());
  });
});
