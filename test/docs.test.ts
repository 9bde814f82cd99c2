/** README.md and docs/ agree with the code, and with each other. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { compile } from '../src/config/compile.ts';
import { parseYaml } from '../src/config/yaml/parse-yaml.ts';
import { DROP_REASONS } from '../src/model/verdict.ts';
import { schedulers } from '../src/schedulers/index.ts';
import { labNames } from './support/documents.ts';
import { PROJECT } from './support/project.ts';

const pages = [
  'README.md',
  'bench/README.md',
  'conf/README.md',
  'test/scenarios/README.md',
  ...readdirSync(join(PROJECT, 'docs'))
    .filter((name) => name.endsWith('.md'))
    .map((name) => `docs/${name}`),
];
const textOf = (page: string): string => readFileSync(join(PROJECT, page), 'utf8');

test('docs/observability.md describes every drop reason with the text of the source code', () => {
  const rows = [...textOf('docs/observability.md').matchAll(/^\| `([a-z-]+)` \| (.*) \|$/gm)].map(
    ([, reason, meaning]) => [reason, meaning],
  );
  expect(Object.fromEntries(rows)).toMatchObject(DROP_REASONS);
});

test('docs/observability.md names only log events that exist', () => {
  const section = textOf('docs/observability.md').split('## Log')[1]!.split('## ')[0]!;
  const rows = [...section.matchAll(/^\| (`.*) \| /gm)].flatMap(([, names]) => names!.match(/[a-z-]+/g)!);
  // The runtime composes the names of these.
  const literal = rows.filter((name) => !/^(?:check|destination|vrrp)-/.test(name));
  const source = ['src/runtime', 'src/cli/director']
    .flatMap((folder) =>
      readdirSync(join(PROJECT, folder), { recursive: true, encoding: 'utf8' })
        .filter((name) => name.endsWith('.ts'))
        .map((name) => textOf(`${folder}/${name}`)),
    )
    .join('');
  expect(literal.length).toBeGreaterThan(3);
  expect(literal.filter((name) => !source.includes(`', '${name}'`))).toEqual([]);
});

test('docs/architecture.md describes every directory of src', () => {
  const rooms = readdirSync(join(PROJECT, 'src')).map((name) => `src/${name}`);
  const described = [...textOf('docs/architecture.md').matchAll(/^\| (src\/[a-z]+) \|/gm)].map(
    ([, room]) => room,
  );
  expect(described.sort()).toEqual(rooms.sort());
});

test('the first service of the README is valid and has 12 lines', async () => {
  const yaml = /^```yaml\n(.*?)^```$/ms.exec(textOf('README.md'))?.[1] ?? '';
  const names = { ...labNames, port: () => undefined };
  const { document, problems } = await parseYaml(yaml, 'lvs.yaml', names, Object.keys(schedulers));
  expect(problems).toEqual([]);
  expect(compile(document)).not.toHaveLength(0);
  expect(yaml.trimEnd().split('\n')).toHaveLength(12);
});

describe.each(pages)('%s', (page) => {
  test('links only to files and headings that exist', () => {
    const links = [...textOf(page).matchAll(/\]\((?!https?:)([^)\s]+)\)/g)].map(([, link]) => link!);
    const broken = links.filter((link) => {
      const [path, anchor] = link.split('#') as [string, string | undefined];
      const target = path === '' ? page : join(dirname(page), path);
      if (!existsSync(join(PROJECT, target))) return true;
      return anchor !== undefined && !anchorsOf(textOf(target)).includes(anchor);
    });
    expect(broken).toEqual([]);
  });

  test('names only files that exist', () => {
    const names = [...textOf(page).matchAll(/(?<![\w./-])(?:src|test|docs|conf|scripts|bench)\/[\w./-]+\w/g)];
    const missing = names.map(([name]) => name).filter((name) => !existsSync(join(PROJECT, name)));
    // A template such as src/schedulers/NAME.ts names a file to be written.
    expect(missing.filter((name) => !name.includes('NAME'))).toEqual([]);
  });
});

/** Anchors of a page's headings, as GitHub makes them. */
const anchorsOf = (text: string): string[] =>
  [...text.matchAll(/^#+ (.*)$/gm)].map(([, heading]) =>
    heading!
      .toLowerCase()
      .replace(/[^\w\s-]/g, '')
      .replaceAll(' ', '-'),
  );
