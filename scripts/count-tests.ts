/** Adds up the counts of test runs. The arguments are the files; the last printed line is the sum. */
import { existsSync, readFileSync } from 'node:fs';
import type { TestCount } from './test-count-reporter.ts';

const counts = process.argv
  .slice(2)
  .filter((file) => existsSync(file))
  .map((file) => JSON.parse(readFileSync(file, 'utf8')) as TestCount);
const skipped = counts.flatMap((count) => count.skipped);
for (const { name, why } of skipped) console.log(`skipped: ${name}${why === '' ? '' : ` [${why}]`}`);
const sum = (of: 'passed' | 'failed') => counts.reduce((total, count) => total + count[of], 0);
console.log(`${sum('passed')} passed, ${sum('failed')} failed, ${skipped.length} skipped`);
