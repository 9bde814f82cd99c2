import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { manualPages, plain } from '../../scripts/man.ts';
import { program as director } from '../../src/cli/director/program.ts';
import { program as realserver } from '../../src/cli/realserver/program.ts';
import { DIRECTIVES } from '../../src/config/lvs-conf.ts';
import { schema } from '../../src/config/schema.ts';
import { SPELLINGS } from '../../src/ipvsadm/options.ts';
import { PROJECT } from '../support/project.ts';

const pages = manualPages();
const why = spawnSync('groff', ['--version']).status === 0 ? undefined : 'groff is not installed';

test('groff is installed', ({ skip }) => skip(why !== undefined, why));

describe.each(Object.entries(pages))('%s', (name, text) => {
  test.skipIf(why !== undefined)('is formatted without a warning', () => {
    const { status, stderr } = spawnSync('groff', ['-man', '-ww', '-z', '-Tutf8'], {
      input: text,
      encoding: 'utf8',
    });
    expect(stderr).toBe('');
    expect(status).toBe(0);
  });

  test.skipIf(why !== undefined)('refers only to pages that exist', () => {
    const named = [...text.matchAll(/^\.BR (\S+) \((\d)\)/gm)].map(
      ([, page, number]) => `${page!.replaceAll('\\-', '-')}.${number}`,
    );
    expect(named.length).toBeGreaterThan(1);
    expect(named.filter((page) => !(page in pages))).toEqual([]);
    expect(named).not.toContain(name);
  });
});

test.each([
  ['lvs-director.8', director],
  ['lvs-realserver.8', realserver],
] as const)('%s describes every command and option of the program', (name, program) => {
  const missing = program.commands.flatMap((command) =>
    [command.name(), ...command.options.filter(({ hidden }) => !hidden).map(({ long }) => long!)].filter(
      (word) => !pages[name]!.includes(plain(word)),
    ),
  );
  expect(missing).toEqual([]);
});

test('ipvsadm.8 describes every command and option of the program', () => {
  const spellings = SPELLINGS.flatMap(({ long, short }) => [`--${long}`, ...(short ? [`-${short}`] : [])]);
  const missing = spellings.filter((word) => !pages['ipvsadm.8']!.includes(plain(word)));
  expect(missing.filter((word) => word !== '--ipv6')).toEqual([]);
});

test('the npm package has every page', () => {
  const { man } = JSON.parse(readFileSync(join(PROJECT, 'package.json'), 'utf8')) as { man: string[] };
  expect(man.map((file) => basename(file)).sort()).toEqual(Object.keys(pages).sort());
});

test('lvs.yaml.5 describes every key of the schema', () => {
  const keys = JSON.stringify(schema).match(/"properties":\{.*?\}/g)!.length;
  expect(keys).toBeGreaterThan(5);
  const names: string[] = [];
  const collect = (part: object): void => {
    for (const [key, value] of Object.entries(part)) {
      if (typeof value !== 'object' || value === null) continue;
      if (key === 'properties') names.push(...Object.keys(value));
      collect(value);
    }
  };
  collect(schema);
  expect(names.filter((key) => !pages['lvs.yaml.5']!.includes(`\\fB${plain(key)}\\fR`))).toEqual([]);
});

test('lvs.conf.5 describes every directive', () => {
  expect(DIRECTIVES.filter((name) => !pages['lvs.conf.5']!.includes(plain(name)))).toEqual([]);
});
