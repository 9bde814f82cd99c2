/** Adds up the counts of test runs. The arguments are the files; the last printed line is the sum. */
import { existsSync, readFileSync } from 'node:fs';
import type { TestCount } from './test-count-reporter.ts';

const counts = process.argv
  .slice(2)
  .filter((file) => existsSync(file))
  .map((file) => JSON.parse(readFileSync(file, 'utf8')) as TestCount);
const passed = counts.reduce((total, count) => total + count.passed, 0);
const failed = counts.flatMap((count) => count.failed);
const skipped = counts.flatMap((count) => count.skipped);
const print = (state: string, tests: TestCount['failed']) => {
  for (const { name, why } of tests) console.log(`${state}: ${name}${why === '' ? '' : ` [${why}]`}`);
};
print('skipped', skipped);
print('failed', failed);
console.log(`${passed} passed, ${failed.length} failed, ${skipped.length} skipped`);
