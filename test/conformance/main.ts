/** Plays recordings of the kernel: `conformance PATH...`, files or folders of JSON; exit status 1 when one differs. */
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import type { Golden } from '../support/golden.ts';
import { playCli } from './cli-player.ts';
import { play } from './player.ts';

const print = (line: string) => process.stdout.write(`${line}\n`);

/** A path that does not exist stays, and so does a folder without recordings: playing it tells. */
function filesOf(path: string): string[] {
  if (!statSync(path, { throwIfNoEntry: false })?.isDirectory()) return [path];
  const files = readdirSync(path, { recursive: true, encoding: 'utf8' }).filter((file) =>
    file.endsWith('.json'),
  );
  return files.length === 0 ? [path] : files.sort().map((file) => join(path, file));
}

function contentOf(file: string): unknown {
  if (statSync(file, { throwIfNoEntry: false })?.isDirectory())
    throw new Error('a folder without recordings');
  const text = readFileSync(file, 'utf8');
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new Error(`not JSON: ${(error as Error).message.split('\n')[0]}`);
  }
}

/** The scenarios of a file, one or several; undefined for recorded command lines. Throws for what is no recording. */
function scenariosOf(file: string): readonly Golden[] | undefined {
  const items = [contentOf(file)].flat();
  const has = (item: unknown, name: string) => typeof item === 'object' && item !== null && name in item;
  if (items.length > 0 && items.every((item) => has(item, 'cmd'))) return undefined;
  const isPlayed = (item: unknown) => {
    const { steps } = item as Partial<Golden>;
    return Array.isArray(steps) && steps.length > 0 && steps.every((step) => has(step, 'step'));
  };
  if (items.length > 0 && items.every((item) => has(item, 'steps') && isPlayed(item)))
    return items as readonly Golden[];
  throw new Error('no recording: neither command lines (cmd, rc) nor scenarios (steps with their answers)');
}

async function playScenario(golden: Golden): Promise<boolean> {
  const failures = await play(golden, !all);
  if (failures.length === 0) print(`ok ${golden.name}`);
  for (const { step, text, what } of failures) print(`FAIL ${golden.name} step ${step} «${text}»: ${what}`);
  return failures.length === 0;
}

const words = process.argv.slice(2);
const all = words.includes('--all');
const paths = words.filter((word) => !['--all', '--cli'].includes(word));
if (paths.length === 0 || paths.some((path) => path.startsWith('-'))) {
  process.stderr.write('usage: conformance [--all] [--cli] PATH...\n');
  process.exit(2);
}
let passed = 0;
let failed = 0;
for (const file of paths.flatMap(filesOf)) {
  try {
    const scenarios = scenariosOf(file);
    if (scenarios === undefined) {
      const score = await playCli(file, print);
      passed += score.passed;
      failed += score.failed;
    }
    for (const golden of scenarios ?? []) {
      if (await playScenario(golden)) passed++;
      else failed++;
    }
  } catch (error) {
    failed++;
    print(`FAIL ${file}: ${error instanceof Error ? error.message : String(error)}`);
  }
}
print(`${passed} passed, ${failed} failed`);
process.exitCode = failed > 0 || passed === 0 ? 1 : 0;
