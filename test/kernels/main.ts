/**
 * Runs the project under the kernels that Debian's users have, in virtual machines: `npm run kernels -- [SERIES...] [PART]`.
 * SERIES is one such as 6.1. PART selects checks by a part of their names.
 * Prints a line for each check, a table, and as the last line `N passed, N failed, N skipped`; exit status 1 when a
 * check failed. Checks that a slow machine does not reach in time count as skipped. With LVS_TEST_COUNT the counts are written to that file as well (scripts/count-tests.ts adds them up).
 */
import { writeFileSync } from 'node:fs';
import type { TestCount } from '../../scripts/test-count-reporter.ts';
import { PROJECT } from '../support/project.ts';
import { PLAN, RESULT, type Result } from './check.ts';
import { debianKernel, Unavailable } from './debian-kernel.ts';
import { initialRamdisk } from './initial-ramdisk.ts';
import { table } from './table.ts';
import { requireEmulation, runUnder } from './virtual-machine.ts';

/** Debian 12 and its newer kernel, which is Debian 13's. */
const SERIES = ['6.1', '6.12'];
/** ms for all kernels together. */
const LIMIT_MS = 15 * 60_000;
const MAX_BOOTS = 3;

const print = (line: string) => process.stdout.write(`${line}\n`);

/** Runs the checks under one kernel. `limit`: ms. */
async function check(series: string, part: string, limit: number): Promise<readonly Result[]> {
  const started = performance.now();
  const seconds = () => Math.round((performance.now() - started) / 1000);
  const results: Result[] = [];
  let planned: readonly string[] = [];
  const add = (result: Result) => {
    results.push(result);
    print(`  ${result.state.padEnd(8)}${result.name}: ${result.detail} (${result.seconds} s)`);
  };
  try {
    requireEmulation();
    const kernel = debianKernel(series);
    print(`Linux ${kernel.version}`);
    const ramdisk = initialRamdisk(kernel);
    const run = () =>
      runUnder({
        kernel,
        ramdisk,
        shellCommand: `cd '${PROJECT}' && '${process.execPath}' dist/test/kernels/guest.js '${part}'`,
        limit: limit - (performance.now() - started),
        print: (line) => {
          if (line.startsWith(PLAN)) planned = JSON.parse(line.slice(PLAN.length)) as string[];
          else if (line.startsWith(RESULT)) add(JSON.parse(line.slice(RESULT.length)) as Result);
          else print(`  ${line}`);
        },
      });
    let status = await run();
    // An emulated kernel sometimes panics while it boots, before anything of this project runs.
    for (let boots = 1; status === 'boot' && boots < MAX_BOOTS; boots++) {
      print('  the kernel did not boot: once more');
      status = await run();
    }
    if (status === 'limit' && planned.length > 0) {
      const detail = `not reached within ${seconds()} s`;
      for (const name of planned.slice(results.length)) add({ name, state: 'skipped', detail, seconds: 0 });
    } else if (status !== 0) {
      const detail = typeof status === 'number' ? `exit status ${status}` : 'ended without a result';
      add({ name: 'the virtual machine', state: 'failed', detail, seconds: seconds() });
    }
  } catch (error) {
    if (!(error instanceof Unavailable)) throw error;
    print(`Linux ${series}`);
    add({ name: 'the virtual machine', state: 'skipped', detail: error.message, seconds: seconds() });
  }
  return results;
}

const words = process.argv.slice(2);
const isSeries = (word: string) => /^\d+\.\d+$/.test(word);
const wanted = words.some(isSeries) ? words.filter(isSeries) : SERIES;
const part = words.find((word) => !isSeries(word)) ?? '';
const deadline = performance.now() + LIMIT_MS;
const columns = new Map<string, readonly Result[]>();
for (const [i, series] of wanted.entries())
  columns.set(series, await check(series, part, (deadline - performance.now()) / (wanted.length - i)));

for (const line of table(columns)) print(line);
const all = [...columns].flatMap(([series, results]) =>
  results.map((result) => ({ ...result, name: `Linux ${series}: ${result.name}` })),
);
const those = (state: Result['state']) => all.filter((result) => result.state === state);
const file = process.env['LVS_TEST_COUNT'];
if (file !== undefined) {
  const reasons = (state: Result['state']) => those(state).map(({ name, detail }) => ({ name, why: detail }));
  const count: TestCount = {
    passed: those('passed').length,
    failed: reasons('failed'),
    skipped: reasons('skipped'),
  };
  writeFileSync(file, JSON.stringify(count));
}
print(
  `${those('passed').length} passed, ${those('failed').length} failed, ${those('skipped').length} skipped`,
);
process.exitCode = those('failed').length > 0 ? 1 : 0;
