import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { parseYaml } from '../../../src/config/yaml/parse-yaml.ts';
import { writeYaml } from '../../../src/config/yaml/write-yaml.ts';
import { changedLists, readAccessLists } from '../../../src/runtime/configuration/access-files.ts';
import { labNames } from '../../support/documents.ts';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'lvs-lists-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

const path = (name: string) => join(folder, name);
const parsed = (text: string) => parseYaml(text, 'lvs.yaml', labNames, ['wlc']);
const yaml = (service: string, top = '') =>
  `${top}\nservices: [{ tcp: '192.168.0.101:80', destinations: [rs1], ${service} }]`;

test('lists of services and of all have what the file and its files have', async () => {
  writeFileSync(
    path('deny'),
    '\uFEFF# addresses\r\n198.51.100.7\r\n  198.51.100.0/24  # a network\r\n\r\n; more\r\n2001:db8::/32;x\r\n198.51.100.7',
  );
  writeFileSync(path('empty'), '');
  const { document, problems } = await parsed(
    yaml(
      `deny: ['::/0', '2001:DB8::/32'], allow: [{ file: ${path('empty')} }]`,
      `deny: [203.0.113.1/32, { file: ${path('deny')} }]\nallow: ['203.0.113.1', 203.0.113.1]`,
    ),
  );
  expect(problems).toEqual([]);
  const { entries, digests, warnings } = await readAccessLists(document, true);
  const service = { protocol: 'tcp', address: '192.168.0.101', port: 80 };
  expect(entries).toEqual([
    { list: 'deny', prefix: '203.0.113.1' },
    { list: 'deny', prefix: '198.51.100.7', file: path('deny') },
    { list: 'deny', prefix: '198.51.100.0/24', file: path('deny') },
    { list: 'deny', prefix: '2001:db8::/32', file: path('deny') },
    { list: 'allow', prefix: '203.0.113.1' },
    { list: 'deny', service, prefix: '::/0' },
    { list: 'deny', service, prefix: '2001:db8::/32' },
  ]);
  expect(warnings).toEqual([]);
  expect(Object.entries(digests).map(([name, { entries: number }]) => `${name}: ${number}`)).toEqual([
    'deny list of all services: 4',
    'allow list of all services: 1',
    'deny list of tcp 192.168.0.101:80: 2',
    'allow list of tcp 192.168.0.101:80: 0',
  ]);
  // A file in the canonical form says the same.
  expect((await parsed(writeYaml(document))).document).toEqual(document);
  // A plan compares the lists.
  writeFileSync(path('deny'), '198.51.100.8\n');
  const after = (await readAccessLists(document, true)).digests;
  expect(changedLists(digests, after)).toEqual(['deny list of all services: 2 entries (4 now)']);
  expect(changedLists(digests, {})).toHaveLength(4);
});

test('errors name the file, the line and the remedy, and none is lost', async () => {
  const { problems } = await parsed(yaml('deny: [198.51.100.7/24, example.net, { file: relative }]'));
  expect(problems.map(({ message }) => message)).toContainEqual(
    expect.stringContaining("invalid value 'relative': expected An absolute path"),
  );
  const own = await parsed(yaml('deny: [198.51.100.7/24, example.net]'));
  expect(own.problems.map(({ line, column, message }) => `${line}:${column}: ${message}`)).toEqual([
    "2:67: invalid prefix '198.51.100.7/24': bits are set behind the prefix: expected 198.51.100.0/24, or 198.51.100.7 alone",
    "2:84: invalid prefix 'example.net': expected an address, or a prefix such as 198.51.100.0/24 or 2001:db8::/32",
  ]);
  const { document } = await parsed(yaml(`deny: [{ file: ${path('deny')} }]`));
  writeFileSync(path('deny'), '198.51.100.7\n\tnothing # here\n198.51.100.0/33');
  await expect(readAccessLists(document, true)).rejects.toThrow(
    `${path('deny')}:2:2: error: invalid prefix 'nothing': expected an address`,
  );
  await expect(readAccessLists(document, true)).rejects.toThrow(
    `${path('deny')}:3:1: error: invalid prefix '198.51.100.0/33': expected at most 32 bits`,
  );
  rmSync(path('deny'));
  await expect(readAccessLists(document, true)).rejects.toThrow(
    `list ${path('deny')}: cannot be read: ENOENT`,
  );
  // A check on another host warns.
  expect((await readAccessLists(document, false)).warnings).toEqual([
    expect.stringContaining('cannot be read: ENOENT'),
  ]);
  writeFileSync(
    path('deny'),
    Array.from({ length: 500_001 }, (_, i) => `10.${i >> 16}.${(i >> 8) & 255}.${i & 255}`).join('\n'),
  );
  await expect(readAccessLists(document, true)).rejects.toThrow(
    'deny and allow lists: more than 500000 entries',
  );
});
