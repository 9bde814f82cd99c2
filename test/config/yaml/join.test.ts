/** Servers that join, in lvs.yaml. */
import { describe, expect, test } from 'vitest';
import { parseYaml } from '../../../src/config/yaml/parse-yaml.ts';
import { writeYaml } from '../../../src/config/yaml/write-yaml.ts';
import { labNames } from '../../support/documents.ts';

const parse = (text: string) => parseYaml(text, 'lvs.yaml', labNames, ['rr', 'wlc']);
const problems = async (text: string) =>
  (await parse(text)).problems.map((each) => `${each.severity} ${each.line}:${each.column}: ${each.message}`);

const SECTION = 'join: { interface: eth1, key-file: /etc/lvs/join.key }\n';
const services = (...lines: string[]) =>
  `services:\n${lines.map((line) => `  - { tcp: 192.168.0.101:80, ${line} }\n`).join('')}`;

test('the section and a service have defaults', async () => {
  const { document, problems } = await parse(`${SECTION}${services('join: true, destinations: []')}`);
  expect(problems).toEqual([]);
  expect(document.join).toEqual({
    ...{ device: 'eth1', keyFile: '/etc/lvs/join.key', group: '224.0.0.81', port: 8850 },
    ...{ period: 500, timeout: 3000, maxServers: 256 },
  });
  expect(document.services[0]?.join).toEqual({
    ...{ maxServers: 256, maxWeight: 100, slowStart: 10, options: { method: 'dr' } },
  });
});

test('a service inherits limits, method, tunnel and checks, and can refuse servers', async () => {
  const { document, problems } = await parse(`${SECTION}
defaults: { method: tunnel, tunnel: { type: gre }, check: { type: tcp }, join: { max-weight: 5, slow-start: 0 } }
services:
  - { tcp: 192.168.0.101:80, destinations: [] }
  - { tcp: 192.168.0.101:81, join: false, destinations: [rs1] }
`);
  expect(problems).toEqual([]);
  const [first, second] = document.services;
  expect(first?.join).toMatchObject({
    ...{ maxWeight: 5, slowStart: 0, checks: [{ type: 'tcp' }] },
    options: { method: 'tunnel', tunnel: { type: 'gre', port: 0, checksum: 'none' } },
  });
  expect(second?.join).toBeUndefined();
});

test('what is written is read as the same document', async () => {
  const { document } = await parse(`method: nat
join:
  { interface: eth1, key-file: /k, group: 'ff02::81', port: 9, heartbeat: 0.2, timeout: 1, networks: [10.0.0.0/8, '2001:db8::/32'], max-servers: 9 }
services:
  - { tcp: 192.168.0.101:80, method: dr, check: { type: tcp }, join: { max-servers: 3 }, destinations: [{ server: rs1, weight: 100, check: none }, { server: rs2, method: nat, weight: 90 }] }
  - { tcp: 192.168.0.101:81, method: tunnel, tunnel: { type: gue, port: 6080 }, join: true, destinations: [] }
`);
  const again = await parse(writeYaml(document));
  expect(again.problems).toEqual([]);
  expect(again.document).toEqual(document);
});

describe('the check of a file', () => {
  test.each([
    ['timeout: 1, heartbeat: 0.5', 'invalid timeout 1: expected at least 4 heartbeats, 2 s'],
    [
      'group: 10.0.0.1',
      "invalid group '10.0.0.1': expected a multicast address such as 224.0.0.81 or ff02::81",
    ],
    ['networks: [10.0.0.1/8]', "invalid prefix '10.0.0.1/8'"],
  ])('rejects %s', async (part, message) => {
    const text = `join: { interface: eth1, key-file: /k, ${part} }\n${services('join: true, destinations: []')}`;
    expect(await problems(text)).toEqual([expect.stringContaining(message)]);
  });

  test('rejects a service that servers join without the section, and a section in mode nlb', async () => {
    expect(await problems(services('join: true, destinations: []'))).toEqual([
      'error 2:36: servers that join need the section join: with interface and key-file for heartbeats, or with networks for etcd',
    ]);
    const nlb = `mode: nlb
cluster: { interface: eth0, addresses: [192.168.0.101], key: sixteen characters, hosts: [{ server: rs1, id: 1 }] }
${SECTION}`;
    expect(await problems(nlb)).toEqual([expect.stringContaining('join belongs to a director')]);
  });

  test('accepts a section without heartbeats, with the networks of servers that join by etcd', async () => {
    const section = 'join: { networks: [10.0.0.0/8], max-servers: 9 }\n';
    const text = `${section}${services('join: true, destinations: []')}`;
    expect(await problems(text)).toEqual([]);
    const { document } = await parse(text);
    expect(document.join).toEqual({
      ...{ group: '224.0.0.81', port: 8850, period: 500, timeout: 3000, maxServers: 9 },
      networks: ['10.0.0.0/8'],
    });
    expect((await parse(writeYaml(document))).document).toEqual(document);
  });

  test.each([
    ['interface: eth1', 'key-file is missing: heartbeats need interface and key-file'],
    ['key-file: /k, networks: [10.0.0.0/8]', 'interface is missing: heartbeats need interface and key-file'],
    ['max-servers: 9', 'networks is missing: expected the networks of servers that join by etcd'],
    [
      'networks: [10.0.0.0/8], timeout: 9',
      'timeout belongs to heartbeats: expected interface and key-file, too',
    ],
  ])('rejects the section { %s }', async (part, message) => {
    const text = `join: { ${part} }\n${services('join: true, destinations: []')}`;
    expect(await problems(text)).toEqual([expect.stringContaining(message)]);
  });

  test('warns of a section that no service uses, and of weights of another scale', async () => {
    expect(await problems(`${SECTION}${services('destinations: [rs1]')}`)).toEqual([
      'warning 1:7: no service allows servers to join: add join: true to services or defaults',
    ]);
    expect(await problems(`${SECTION}${services('join: true, destinations: [rs1]')}`)).toEqual([
      expect.stringContaining('destinations of weight 1 get few connections beside servers that join'),
    ]);
    expect(await problems(`${SECTION}${services('join: { max-weight: 5 }, destinations: [rs1]')}`)).toEqual(
      [],
    );
  });
});
