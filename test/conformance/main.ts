/**
 * Plays recordings of the kernel: `conformance PATH...`, files or folders of JSON; after `--cli` they are recordings of
 * ipvsadm's command lines. Exit status 1 when one differs.
 */
import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { readGolden } from '../support/golden.ts';
import { playCli } from './cli-player.ts';
import { play } from './player.ts';

const print = (line: string) => process.stdout.write(`${line}\n`);

const filesOf = (path: string): string[] =>
  statSync(path).isDirectory()
    ? readdirSync(path)
        .filter((file) => file.endsWith('.json'))
        .sort()
        .map((file) => join(path, file))
    : [path];

const words = process.argv.slice(2);
const all = words.includes('--all');
const cli = words.includes('--cli');
const paths = words.filter((word) => word !== '--all' && word !== '--cli');
if (paths.length === 0) {
  print('usage: conformance [--all] [--cli] PATH...');
  process.exit(2);
}
let passed = 0;
let failed = 0;
for (const file of paths.flatMap(filesOf)) {
  if (cli) {
    const score = await playCli(file, print);
    passed += score.passed;
    failed += score.failed;
    continue;
  }
  const golden = readGolden(file);
  const failures = await play(golden, !all);
  if (failures.length === 0) {
    passed++;
    print(`ok ${golden.name}`);
    continue;
  }
  failed++;
  for (const { step, text, what } of failures) print(`FAIL ${golden.name} step ${step} «${text}»: ${what}`);
}
print(`${passed} passed, ${failed} failed`);
process.exitCode = failed > 0 ? 1 : 0;
