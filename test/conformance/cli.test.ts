/** ipvsadm answers as ipvsadm 1.31 on a Linux 6.1 did, command line by command line. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { TemporaryFolder } from '../support/director-apis.ts';
import { cliFailures, readCli } from './cli-player.ts';

describe.each(['golden-cli.json', 'golden-cli-options.json', 'golden-cli-edges.json'])('%s', (file) => {
  const steps = readCli(join(import.meta.dirname, file));

  test.each([...new Set(steps.map(({ group }) => group))])('%s', async (group) => {
    const failures = await cliFailures(steps.filter((step) => step.group === group));
    expect(failures.map(({ step, cmd, what }) => `${step} «${cmd}»: ${what}`)).toEqual([]);
  });
});

describe('a file of command lines', () => {
  const read = (content: unknown) => {
    using folder = new TemporaryFolder();
    writeFileSync(folder.file('cli.json'), JSON.stringify(content));
    return readCli(folder.file('cli.json'));
  };

  test('may omit its groups and the output that is not compared', async () => {
    const steps = read([
      { cmd: 'ipvsadm -A -t 10.9.0.1:80', rc: 0 },
      { cmd: 'ipvsadm -D -t 10.9.0.1:81', rc: 255, stderr: 'No such service\n' },
    ]);
    expect(await cliFailures(steps)).toEqual([]);
  });

  test.each([{ cmd: 5, rc: 0 }, { cmd: 'ipvsadm' }, { cmd: 'ipvsadm', rc: 0, stdin: 7 }, null, 'ipvsadm'])(
    'is refused for %j, with its place',
    (step) => expect(() => read([{ cmd: 'ipvsadm', rc: 0 }, step])).toThrow(/^command line 1: /),
  );
});
