/** Adds up what the test runs wrote; the files are named on the command line, the last line printed is the sum. */
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
