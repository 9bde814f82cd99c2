/** Plays recordings of the kernel: `conformance PATH...`, files or folders of JSON; exit status 1 when one differs. */
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { readGolden } from '../support/golden.ts';
import { playCli } from './cli-player.ts';
import { play } from './player.ts';

const print = (line: string) => process.stdout.write(`${line}\n`);

/** A path that does not exist stays: playing it tells. */
const filesOf = (path: string): string[] =>
  statSync(path, { throwIfNoEntry: false })?.isDirectory()
    ? readdirSync(path, { recursive: true, encoding: 'utf8' })
        .filter((file) => file.endsWith('.json'))
        .sort()
        .map((file) => join(path, file))
    : [path];

/** True for recorded command lines, false for a scenario; throws for what is no recording. */
function holdsCommandLines(file: string): boolean {
  const content: unknown = JSON.parse(readFileSync(file, 'utf8'));
  if (Array.isArray(content)) return true;
  if (!Array.isArray((content as { steps?: unknown } | null)?.steps))
    throw new Error('no recording: it has no steps');
  return false;
}

const words = process.argv.slice(2);
const all = words.includes('--all');
const paths = words.filter((word) => !word.startsWith('--'));
if (paths.length === 0) {
  print('usage: conformance [--all] PATH...');
  process.exit(2);
}
let passed = 0;
let failed = 0;
for (const file of paths.flatMap(filesOf)) {
  try {
    if (holdsCommandLines(file)) {
      const score = await playCli(file, print);
      passed += score.passed;
      failed += score.failed;
      continue;
    }
    const golden = readGolden(file);
    const failures = await play(golden, !all);
    if (failures.length === 0) print(`ok ${golden.name}`);
    for (const { step, text, what } of failures) print(`FAIL ${golden.name} step ${step} «${text}»: ${what}`);
    if (failures.length === 0) passed++;
    else failed++;
  } catch (error) {
    failed++;
    print(`FAIL ${file}: ${error instanceof Error ? error.message : String(error)}`);
  }
}
print(`${passed} passed, ${failed} failed`);
process.exitCode = failed > 0 ? 1 : 0;
