import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Ajv } from 'ajv';
import { describe, expect, test } from 'vitest';
import { compile } from '../../src/config/compile.ts';
import { DIRECTIVES, parseLvsConf } from '../../src/config/lvs-conf.ts';
import { schema } from '../../src/config/schema.ts';
import { parseYaml } from '../../src/config/yaml/parse-yaml.ts';
import { Director } from '../../src/director/director.ts';
import { FINDINGS } from '../../src/realserver/doctor/finding.ts';
import { schedulers } from '../../src/schedulers/index.ts';
import { labNames } from '../support/documents.ts';
import { PROJECT } from '../support/project.ts';
import { publishedSchema } from '../support/published-schema.ts';

const CONF = join(PROJECT, 'conf');
const files = [
  ...readdirSync(CONF).filter((name) => /\.(conf|yaml)$/.test(name)),
  // The .conf files there are those of other programs.
  ...['ha', 'bgp'].flatMap((folder) =>
    readdirSync(join(CONF, folder))
      .filter((name) => name.endsWith('.yaml'))
      .map((name) => `${folder}/${name}`),
  ),
];
const index = readFileSync(join(CONF, 'README.md'), 'utf8');
const reference = readFileSync(join(PROJECT, 'docs', 'configuration.md'), 'utf8');
const troubleshooting = readFileSync(join(PROJECT, 'docs', 'troubleshooting.md'), 'utf8');
const names = {
  ...labNames,
  port: (name: string) => ({ telnet: 23, www: 80, echo: 7 })[name],
};

describe('the examples', () => {
  test('exist', () => expect(files.length).toBeGreaterThanOrEqual(12));

  test.each(files)(
    'include %s, which is valid, applied by a director, and listed in conf/README.md',
    async (name) => {
      const parse = name.endsWith('.yaml') ? parseYaml : parseLvsConf;
      const text = readFileSync(join(CONF, name), 'utf8');
      const { document, problems } = await parse(text, name, names, Object.keys(schedulers));
      expect(problems).toEqual([]);
      expect(text).toMatch(/^#/);
      const host = { transmit: () => true, route: () => undefined, isLocal: () => false };
      const director = new Director({ host, maxConnections: 16 });
      for (const command of compile(document)) director.apply(command, 0);
      expect(director.snapshot(0).services).toHaveLength(document.services.length);
      expect(document.services.length + (document.cluster?.rules.length ?? 0)).toBeGreaterThan(0);
      expect(index).toContain(`(${name})`);
    },
  );

  test('show every key of the schema', () => {
    const all = files.map((name) => readFileSync(join(CONF, name), 'utf8')).join('\n');
    const shown = (key: string) => new RegExp(`\\b${key}:\\s`).test(all);
    // What only standbys and hosts with several ways need.
    const rare = ['active', 'gateway', 'family', 'from'];
    expect([...keysOf(schema)].filter((key) => !rare.includes(key) && !shown(key))).toEqual([]);
  });
});

/** Names of all properties at any depth. */
function keysOf(part: object, into = new Set<string>()): Set<string> {
  for (const [key, value] of Object.entries(part)) {
    if (typeof value !== 'object' || value === null) continue;
    if (key === 'properties') for (const name of Object.keys(value)) into.add(name);
    keysOf(value, into);
  }
  return into;
}

describe('docs/configuration.md', () => {
  test.each([...keysOf(schema)])('explains the key %s', (key) => expect(reference).toContain(`\`${key}\``));
  test.each(DIRECTIVES)('explains the directive %s', (name) => expect(reference).toContain(`\`${name}\``));
  test.each(Object.keys(schedulers))('names the scheduler %s, as the schema does', (name) => {
    const word = new RegExp(`\\b${name}\\b`);
    expect(reference).toMatch(word);
    expect(schema.properties.defaults.properties.scheduler.description).toMatch(word);
  });
});

test.each(Object.keys(FINDINGS))('docs/troubleshooting.md explains the finding %s', (name) =>
  expect(troubleshooting).toContain(`\`${name}\``),
);

test('the schema is a valid JSON Schema, which the program does not examine', () => {
  const ajv = new Ajv({ strict: false });
  expect(ajv.validateSchema(schema), ajv.errorsText()).toBe(true);
});

test('lvs.schema.json is the schema used for validation', async () => {
  const published = publishedSchema();
  await expect(`${JSON.stringify(published, null, 2)}\n`).toMatchFileSnapshot(join(CONF, 'lvs.schema.json'));
  const { definitions, ...rest } = published as { definitions: Record<string, unknown> };
  const expanded = (value: unknown): unknown => {
    if (typeof value !== 'object' || value === null) return value;
    if (Array.isArray(value)) return value.map(expanded);
    if ('$ref' in value) return expanded(definitions[String(value.$ref).replace('#/definitions/', '')]);
    return Object.fromEntries(Object.entries(value).map(([key, each]) => [key, expanded(each)]));
  };
  expect(expanded(rest)).toEqual(schema);
});
