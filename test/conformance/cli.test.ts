/** ipvsadm answers as ipvsadm 1.31 on a Linux 6.1 did, command line by command line. */
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { cliFailures, readCli } from './cli-player.ts';

const steps = readCli(join(import.meta.dirname, 'golden-cli.json'));

test.each([...new Set(steps.map(({ group }) => group))])('%s', async (group) => {
  const failures = await cliFailures(steps.filter((step) => step.group === group));
  expect(failures.map(({ step, cmd, what }) => `${step} «${cmd}»: ${what}`)).toEqual([]);
});
