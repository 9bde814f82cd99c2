/**
 * Runs the checks under the kernel of this machine, as root, and prints a result a line: what the virtual machine
 * executes. An argument selects checks by a part of their names.
 */
import { spawnSync } from 'node:child_process';
import { conf, director } from '../support/lvs-programs.ts';
import { type Check, PLAN, RESULT, resultOf, sharing } from './check.ts';
import { clusterFilterCheck } from './cluster-filter.ts';
import { decapsulationChecks, downloadChecks, dummyCheck, refusalOnVlan, vlanCheck } from './downloads.ts';
import { featureChecks } from './features.ts';
import { programChecks } from './load-programs.ts';
import { Site } from './site.ts';
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
  // In an order that needs few starts of a director; XDP is last, because it needs changed interfaces.
  ...sharing(Site.open, [
    { name: 'laboratory: agent and server are ready', run: async ({ lab }) => `${lab.hosts.length} hosts` },
    ...downloadChecks('live'),
    dummyCheck,
    vlanCheck('live'),
    ...downloadChecks('tc'),
    vlanCheck('tc'),
    ...tcLifetimeChecks(),
    clusterFilterCheck,
    ...decapsulationChecks,
    refusalOnVlan,
    ...downloadChecks('xdp'),
  ]),
];
readFiles();
const [part = ''] = process.argv.slice(2);
const selected = checks.filter(({ name }) => name.includes(part));
process.stdout.write(`${PLAN}${JSON.stringify(selected.map(({ name }) => name))}\n`);
for (const check of selected) process.stdout.write(`${RESULT}${JSON.stringify(await resultOf(check))}\n`);
// A program that a failed check left behind does not keep this process.
process.exit();
