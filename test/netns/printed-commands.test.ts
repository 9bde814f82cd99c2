/** The commands that README.md and docs/ print do what they promise, on the hosts of README's first service. */
import { chmodSync, copyFileSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { clusterMissing } from '../support/cluster.ts';
import { Lab } from '../support/lab.ts';
import type { LabHost } from '../support/lab-host.ts';
import { startServers } from '../support/lvs-programs.ts';
import { commandsOf, pages, textOf } from '../support/printed-commands.ts';
import { built, PROJECT } from '../support/project.ts';

const why = clusterMissing();
/** Printed commands that this test does not run, and what tries them. */
const EXCLUDED: readonly (readonly [line: RegExp, why: string])[] = [
  [
    /^(?:npm|npx|scripts\/)/,
    'builds or tests the project; scripts/check, scripts/nodes and scripts/package-check do',
  ],
  [
    /^(?:apt|podman|dpkg-divert|ln|rm) /,
    'changes this host; scripts/package-check and scripts/container-check do',
  ],
  [/^systemctl /, 'systemd is not process 1 of a namespace; packaging/units.test.ts checks the units'],
];
const printed = [...new Set(pages.flatMap(commandsOf))];
const isExcluded = (line: string) => EXCLUDED.some(([pattern]) => pattern.test(line));

test('the required programs and privileges are available', ({ skip }) => skip(why !== undefined, why));

test.each(EXCLUDED)('%s is printed', (pattern) =>
  expect(printed.filter((line) => pattern.test(line))).not.toEqual([]),
);

describe.skipIf(why !== undefined)('on the hosts of the first service', () => {
  let lab: Lab;
  let folder: string;

  /** The command as a user types it in `folder`, with the installed names. */
  const typed = (line: string, where = folder): string =>
    `cd ${where} && export PATH=${folder}/bin:$PATH && ${line.replace('/etc/lvs/', `${folder}/`)}`;
  /** Starts what runs until a signal. */
  const start = (host: LabHost, line: string) => host.spawn(['sh', '-c', typed(`exec ${line}`)]);

  beforeAll(async () => {
    lab = await Lab.create({ shape: 'nat' });
    folder = join(lab.folder, 'typed');
    for (const each of ['bin', 'import']) mkdirSync(join(folder, each), { recursive: true });
    for (const [name, path] of [
      ['lvs-director', 'src/cli/director'],
      ['lvs-realserver', 'src/cli/realserver'],
      ['ipvsadm', 'src/cli/ipvsadm'],
    ] as const) {
      const file = join(folder, 'bin', name);
      writeFileSync(file, `#!/bin/sh\nexec ${built(path).join(' ')} "$@"\n`);
      chmodSync(file, 0o755);
    }
    const [, yaml] = /^```yaml\n(.*?)^```$/ms.exec(textOf('README.md'))!;
    writeFileSync(join(folder, 'lvs.yaml'), yaml!);
    copyFileSync(
      join(PROJECT, 'test/fixtures/imports/ldirectord/methods.cf'),
      join(folder, 'import', 'ldirectord.cf'),
    );
    for (const [i, host] of lab.servers.entries()) await startServers(host, i + 1);
    await start(lab.servers[0]!, 'lvs-realserver run --config lvs.yaml').line(/: ready$/);
    await start(lab.director, 'lvs-director run --config lvs.yaml').line(/\bready\b/);
  });
  afterAll(() => lab?.[Symbol.asyncDispose]());

  test.each(printed.filter((line) => !isExcluded(line)))('%s', async (line) => {
    // beforeAll has started both, with these words.
    if (/^lvs-\w+ run /.test(line))
      return expect(line).toMatch(/^lvs-(?:director|realserver) run --config lvs\.yaml$/);
    if (line === 'lvs-director compile lvs.yaml')
      await lab.director.exec(typed('lvs-director import ldirectord.cf > lvs.yaml', join(folder, 'import')));
    const isImport = / import | compile /.test(line);
    // The second server has no agent: `restore` waits for none.
    const server = lab.servers[line.includes(' restore') ? 1 : 0]!;
    const host = line.startsWith('lvs-realserver') ? server : lab.director;
    if (line.includes(' capture ')) {
      const program = start(host, line);
      await program.line(/^capturing /);
      return expect(await program.stop('SIGINT')).toBe(0);
    }
    const { status, stdout, stderr } = await host.run(
      typed(line, isImport ? join(folder, 'import') : folder),
    );
    expect({ status, stdout, stderr }).toMatchObject({ status: 0 });
  });

  test('a client reaches both servers', async () => {
    const answers = await lab.client.exec(
      'for i in 1 2 3 4 5 6; do curl -sS --retry 30 --retry-connrefused --retry-delay 1 --max-time 30 http://vip/; done',
    );
    expect([...new Set(answers.split('\n'))].sort()).toEqual(['I am real server #1', 'I am real server #2']);
  });
});
