/** mode: nlb in lvs.yaml. */
import { describe, expect, test } from 'vitest';
import { parseYaml } from '../../../src/config/yaml/parse-yaml.ts';
import { labNames } from '../../support/documents.ts';

const parse = (text: string) => parseYaml(text, 'lvs.yaml', labNames, ['wlc']);
const problems = async (text: string) =>
  (await parse(text)).problems.map((each) => `${each.line}:${each.column}: ${each.message}`);

/** A valid file but for what the test is about. */
const cluster = (...lines: string[]) =>
  [
    'mode: nlb',
    'cluster:',
    '  interface: eth0',
    '  addresses: [192.168.0.101]',
    '  key: sixteen characters',
    ...(lines.some((line) => line.startsWith('hosts:'))
      ? []
      : ['  hosts: [{ server: rs1, id: 1 }, { server: rs2, id: 2 }]']),
    ...lines.map((line) => `  ${line}`),
  ].join('\n');

describe('a cluster', () => {
  test('has defaults, rules by weights and priorities, and the default rule', async () => {
    const text = cluster(
      'affinity: network',
      'rules:',
      '  - { tcp: 80-81, weights: { rs2: 10 } }',
      '  - { udp: 53, affinity: single, stickiness: 60 }',
      '  - { tcp: 25, hosts: single, priorities: [rs2], check: { type: tcp, interval: 1 } }',
    );
    const { document, problems: found } = await parse(text);
    expect(found).toEqual([]);
    const { rules, ...rest } = document.cluster!;
    expect(rest).toEqual({
      device: 'eth0',
      addresses: ['192.168.0.101'],
      mac: 'unicast',
      period: 200,
      missed: 5,
      key: 'sixteen characters',
      followsLoad: false,
      hosts: [
        { id: 1, name: 'rs1', address: '192.168.0.3' },
        { id: 2, name: 'rs2', address: '192.168.0.4' },
      ],
    });
    expect(rules.map((each) => ({ ...each, weights: [...each.weights] }))).toMatchObject([
      {
        protocol: 'tcp',
        first: 80,
        last: 81,
        hosts: 'multiple',
        affinity: 'network',
        weights: [
          [1, 50],
          [2, 10],
        ],
      },
      { protocol: 'udp', first: 53, last: 53, affinity: 'single', stickiness: 60 },
      {
        protocol: 'tcp',
        first: 25,
        hosts: 'single',
        priorities: [2, 1],
        stickiness: 0,
        check: { type: 'tcp', interval: 1, fall: 2 },
      },
      { protocol: 'any', hosts: 'single', priorities: [1, 2] },
    ]);
  });

  test.each([
    [
      'two hosts with one id',
      cluster('hosts: [{ server: rs1, id: 1 }, { server: rs2, id: 1 }]'),
      ['6:54: duplicate id 1 (first on line 6): priorities of hosts must differ'],
    ],
    [
      'a host twice',
      cluster('hosts: [{ server: rs1, id: 1 }, { server: rs1, id: 2 }]'),
      ['6:45: duplicate host 192.168.0.3 (first on line 6)'],
    ],
    [
      'an unknown host',
      cluster('hosts: [{ server: rs9, id: 1 }]'),
      ["6:21: 'rs9' has no address: expected an address, or a name in /etc/hosts"],
    ],
    [
      'an address of the cluster as a host',
      cluster('hosts: [{ server: 192.168.0.101, id: 1 }]'),
      [
        "6:21: invalid host 192.168.0.101: it is an address of the cluster; expected the server's own address",
      ],
    ],
    [
      'affinity none for UDP',
      cluster('rules: [{ udp: 53, affinity: none }]'),
      ['7:32: affinity none is not supported for udp: fragments have no ports (use single or network)'],
    ],
    [
      'stickiness of single connections',
      cluster('rules: [{ tcp: 80, affinity: none, stickiness: 60 }]'),
      ['7:50: stickiness requires affinity single or network: with none, each connection is another client'],
    ],
    [
      'a check of several ports',
      cluster('rules: [{ tcp: 80-90, check: { type: tcp } }]'),
      ['7:32: check of several ports: expected the key port'],
    ],
    [
      'overlapping rules',
      cluster('rules: [{ tcp: 80-90 }, { tcp: 90 }]'),
      ['7:27: the ports of this rule overlap those of another one: 80-90'],
    ],
    [
      'a misspelt host',
      cluster('rules: [{ tcp: 80, weights: { rs3: 1 } }]'),
      ["7:31: unknown host 'rs3'; did you mean 'rs1'?"],
    ],
    [
      'ports in the wrong order',
      cluster('rules: [{ tcp: 90-80 }]'),
      ["7:18: invalid ports '90-80': expected a port or first-last, from 1 to 65535"],
    ],
    [
      'a rule without a protocol',
      cluster('rules: [{ affinity: single }]'),
      ['7:11: a rule has exactly one of tcp and udp'],
    ],
    [
      'a foreign address',
      cluster('rules: [{ tcp: 80, address: 10.0.0.1 }]'),
      ['7:31: 10.0.0.1 is not among the addresses of the cluster'],
    ],
    [
      'weights of a single host',
      cluster('rules: [{ tcp: 80, hosts: single, weights: { rs1: 1 } }]'),
      ['7:46: weights require hosts: multiple, not single'],
    ],
    [
      'a short key',
      cluster().replace('sixteen characters', 'short'),
      ["5:8: invalid value 'short': must NOT have fewer than 16 characters"],
    ],
    ['no section', 'mode: nlb', ['1:7: mode nlb requires the section cluster']],
    ['no mode', cluster().replace('mode: nlb\n', ''), ['2:3: cluster requires mode: nlb']],
    [
      'sections of a director',
      `${cluster()}\nservices:\n  - { tcp: '192.168.0.101:80', destinations: [rs1] }`,
      ['8:3: services belongs to a director: not supported together with mode: nlb'],
    ],
    [
      'IGMP without IPv4',
      cluster('mac: igmp').replace('192.168.0.101', "'fd00::1'"),
      [
        '7:8: mac igmp requires an IPv4 address of the cluster: the group and the MAC address have its last two bytes',
      ],
    ],
  ])('with %s is refused', async (_what, text, expected) => {
    expect(await problems(text)).toEqual(expected);
  });
});
