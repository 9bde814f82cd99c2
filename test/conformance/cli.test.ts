/** ipvsadm answers as ipvsadm 1.31 on a Linux 6.1 did, command line by command line. */
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { cliFailures, readCli } from './cli-player.ts';

describe.each(['golden-cli.json', 'golden-cli-options.json'])('%s', (file) => {
  const steps = readCli(join(import.meta.dirname, file));

  test.each([...new Set(steps.map(({ group }) => group))])('%s', async (group) => {
    const failures = await cliFailures(steps.filter((step) => step.group === group));
    expect(failures.map(({ step, cmd, what }) => `${step} «${cmd}»: ${what}`)).toEqual([]);
  });
});
