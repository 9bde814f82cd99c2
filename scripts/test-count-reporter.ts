/** A vitest reporter: writes the number of passed tests, and the failed and skipped ones, to the file in LVS_TEST_COUNT. */
import { writeFileSync } from 'node:fs';
import type { Reporter, TestModule } from 'vitest/node';

/** The counts of a test run, which scripts/count-tests.ts adds up. */
export interface TestCount {
  passed: number;
  readonly failed: { readonly name: string; readonly why: string }[];
  readonly skipped: { readonly name: string; readonly why: string }[];
}

// biome-ignore lint/style/noDefaultExport: vitest loads reporters by their default export
export default class TestCountReporter implements Reporter {
  onTestRunEnd(modules: readonly TestModule[]): void {
    const count: TestCount = { passed: 0, failed: [], skipped: [] };
    for (const module of modules) add(module, count);
    const file = process.env['LVS_TEST_COUNT'];
    if (file !== undefined) writeFileSync(file, JSON.stringify(count));
  }
}

function add(module: TestModule, count: TestCount): void {
  const tests = [...module.children.allTests()];
  // A file that cannot be read, or whose setup fails, counts as one failure.
  const [error] = module.errors();
  if (error !== undefined)
    count.failed.push({ name: module.relativeModuleId, why: firstLine(error.message) });
  // If a whole file is skipped, only its first test has the reason.
  let why = '';
  for (const test of tests) {
    const result = test.result();
    if (result.state === 'passed') count.passed++;
    else {
      const name = `${module.relativeModuleId} > ${test.fullName}`;
      if (result.state === 'failed') {
        count.failed.push({ name, why: firstLine(result.errors[0]?.message ?? '') });
      } else {
        if (result.state === 'skipped') why = result.note ?? why;
        count.skipped.push({ name, why });
      }
    }
  }
}

const firstLine = (text: string) => text.split('\n', 1)[0] ?? '';
