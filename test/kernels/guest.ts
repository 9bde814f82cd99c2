/**
 * Runs the checks under the kernel of this machine, as root, and prints a result a line: what the virtual machine
 * executes. An argument selects checks by a part of their names.
 */
import { spawnSync } from 'node:child_process';
import { conf, director } from '../support/lvs-programs.ts';
import { type Check, PLAN, RESULT, resultOf } from './check.ts';
import { deviceChecks } from './devices.ts';
import { decapsulationChecks, downloadChecks } from './downloads.ts';
import { featureChecks } from './features.ts';
import { programChecks } from './load-programs.ts';
import { tcLifetimeChecks } from './tc-lifetime.ts';

/**
 * Starts the director once: the first start reads its files through the host's file system, which can take longer than
 * a director waits for its configuration. Its outcome does not matter.
 */
function readFiles(): void {
  spawnSync(director[0]!, [...director.slice(1), 'check', conf('nat.yaml')]);
}

const checks: readonly Check[] = [
  ...featureChecks(),
  ...(await programChecks()),
  ...downloadChecks(),
  ...tcLifetimeChecks(),
  ...deviceChecks(),
  ...decapsulationChecks(),
];
readFiles();
const [part = ''] = process.argv.slice(2);
const selected = checks.filter(({ name }) => name.includes(part));
process.stdout.write(`${PLAN}${JSON.stringify(selected.map(({ name }) => name))}\n`);
for (const check of selected) process.stdout.write(`${RESULT}${JSON.stringify(await resultOf(check))}\n`);
// A program that a failed check left behind does not keep this process.
process.exit();
