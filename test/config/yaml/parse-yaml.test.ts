import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { compile } from '../../../src/config/compile.ts';
import { listedOf } from '../../../src/config/listed.ts';
import { parseLvsConf } from '../../../src/config/lvs-conf.ts';
import { parseYaml } from '../../../src/config/yaml/parse-yaml.ts';
import { writeYaml } from '../../../src/config/yaml/write-yaml.ts';
import { Director } from '../../../src/director/director.ts';
import { documents, labNames } from '../../support/documents.ts';

const SCHEDULERS = ['rr', 'wrr', 'lc', 'wlc', 'sh', 'mh'];
const parse = (text: string) => parseYaml(text, 'lvs.yaml', labNames, SCHEDULERS);
const told = async (text: string) =>
  (await parse(text)).problems.map((each) => `${each.line}:${each.column}: ${each.message}`);

/** A file that is right but for what the test is about. */
const withService = (...lines: string[]) =>
  [
    'services:',
    '  - tcp: 192.168.0.101:80',
    '    destinations: [rs1]',
    ...lines.map((line) => `    ${line}`),
  ].join('\n');

describe('a YAML file supports', () => {
  test('groups, defaults, port ranges and marks', async () => {
    const { document, problems } = await parse(`
method: nat
vips:
  - { interface: eth0, address: 192.168.0.101 }
settings: { conn_reuse_mode: 0 }
timeouts: { tcp: 600 }
marks:
  - { mark: 7, to: 10.8.0.0/16, protocol: tcp, port: 8000-8010 }
groups:
  web: [rs1:8080, { server: rs2, weight: 3, upper-threshold: 100 }]
defaults: { scheduler: wrr, persistent: 60 }
services:
  - { tcp: '192.168.0.101:80-81', destinations: web }
  - { mark: 7, scheduler: sh, flags: [sh-port], destinations: web }
`);
    expect(problems).toEqual([]);
    expect(document.services.map(({ service, options }) => ({ ...service, ...options }))).toEqual([
      { protocol: 'tcp', address: '192.168.0.101', port: 80, scheduler: 'wrr', persistent: 60 },
      { protocol: 'tcp', address: '192.168.0.101', port: 81, scheduler: 'wrr', persistent: 60 },
      { mark: 7, family: 4, scheduler: 'sh', persistent: 60, schedulerFlags: 2 },
    ]);
    expect(document.services[1]!.destinations).toEqual([
      {
        server: 'rs1',
        destination: { address: '192.168.0.3', port: 8080 },
        options: { method: 'nat', weight: 1 },
      },
      {
        server: 'rs2',
        destination: { address: '192.168.0.4', port: 81 },
        options: { method: 'nat', weight: 3, upperThreshold: 100 },
      },
    ]);
    expect(compile(document).slice(0, 3)).toEqual([
      { op: 'set', name: 'conn_reuse_mode', value: 0 },
      { op: 'set-timeouts', timeouts: { tcp: 600, tcpFin: 0, udp: 0 } },
      { op: 'set-marks', rules: [{ mark: 7, to: '10.8.0.0/16', protocol: 'tcp', port: [8000, 8010] }] },
    ]);
  });

  test('IPv6, with a tunnel to an IPv4 server', async () => {
    const { document, problems } = await parse(`
services:
  - tcp: '[fd09::1]:80'
    destinations:
      - '[fd01::11]'
      - { server: 10.1.0.11, method: tunnel, tunnel: { type: gue, port: 6080, checksum: remcsum } }
`);
    expect(problems).toEqual([]);
    expect(document.services[0]!.destinations.map((each) => each.destination.address)).toEqual([
      'fd01::11',
      '10.1.0.11',
    ]);
    expect(document.services[0]!.destinations[1]!.options).toEqual({
      method: 'tunnel',
      weight: 1,
      tunnel: { type: 'gue', port: 6080, checksum: 'remcsum' },
    });
  });
});

test('names of services and servers are kept, and a range of ports has one for each port', async () => {
  const { document, problems } = await parse(`
method: nat
services:
  - tcp: 192.168.0.101:8000-8001
    name: web
    destinations: [{ server: 192.168.0.3, name: web.1 }, rs2]
  - { tcp: '192.168.0.101:443', name: tls, destinations: [{ server: '192.168.0.3:80', name: web.1 }], sorry: [192.168.0.9] }
`);
  expect(problems).toEqual([]);
  const names = listedOf(document).map(({ name, destinations }) => [
    name,
    ...destinations.map((each) => `${each.name} ${each.destination.port}`),
  ]);
  expect(names).toEqual([
    ['web-8000', 'web.1 8000', 'rs2 8000'],
    ['web-8001', 'web.1 8001', 'rs2 8001'],
    ['tls', 'web.1 80', 'undefined 443'],
  ]);
  expect((await parse(writeYaml(document))).document).toEqual(document);
});

test.each([
  ['of two services', 'name: a, destinations: [rs1] }', 'duplicate service name a (first on line 2)'],
  [
    'of two servers',
    'destinations: [{ server: rs2, name: s }] }',
    'duplicate server name s: it names 192.168.0.4, and 192.168.0.3 on line 2',
  ],
  [
    'of two servers of a service',
    'destinations: [{ server: "rs2:1", name: t }, { server: "rs2:2", name: t }] }',
    'duplicate server name t in this service: expected one per destination',
  ],
  [
    'that is the host name of another server',
    'destinations: [{ server: rs1, name: rs2 }, rs2] }',
    'duplicate server name rs2: it names 192.168.0.4, and 192.168.0.3 on line 3',
  ],
])('a name %s is an error', async (_, rest, message) => {
  const first = "  - { tcp: '192.168.0.101:80', name: a, destinations: [{ server: rs1, name: s }] }";
  const { problems } = await parse(`services:\n${first}\n  - { tcp: '192.168.0.101:81', ${rest}\n`);
  expect(problems.map((problem) => problem.message)).toContain(message);
});

test.each(['10.0.0.1', '7', '', 'a b', '<b>', 'a"b', '-x', 'x'.repeat(64), 'é', 'a\tb'])(
  'the name %j is an error',
  async (name) => {
    const { problems } = await parse(withService(`name: ${JSON.stringify(name)}`));
    expect(problems.map(({ severity, line }) => `${severity} ${line}`)).toEqual(['error 4']);
    expect(problems[0]!.message).toMatch(
      /^invalid value '.*': expected a name of at most 63 letters, digits/s,
    );
  },
);

test('anchors, aliases and merge keys may occur any number of times', async () => {
  const { document, problems } = await parse(
    [
      'services:',
      '  - &web { tcp: 192.168.0.101:80, scheduler: rr, destinations: &servers [rs1, rs2] }',
      '  - { <<: *web, tcp: 192.168.0.101:81 }',
      ...Array.from({ length: 500 }, (_, i) => `  - { udp: 192.168.0.101:${i + 1}, destinations: *servers }`),
    ].join('\n'),
  );
  expect(problems).toEqual([]);
  expect(document.services).toHaveLength(502);
  expect(document.services[1]).toMatchObject({ service: { port: 81 }, options: { scheduler: 'rr' } });
});

describe('all errors of a file are reported at once, each with its place:', () => {
  test.each<[string, string, string[]]>([
    [
      'a misspelt key',
      withService('schedler: rr'),
      ["4:5: unknown key 'schedler'; did you mean 'scheduler'?"],
    ],
    [
      'a device that a shell would run',
      `real-servers: { vip-device: "lo;reboot", net-device: "$(reboot)" }\n${withService()}`,
      [
        "1:29: invalid value 'lo;reboot': expected a device such as lo, lo:0 or dummy0, which has the VIP with dr and tunnel",
        "1:54: invalid value '$(reboot)': expected a device such as eth0, in the network of the director",
      ],
    ],
    [
      'a page that HTTP has no words for',
      withService('check: { type: http, path: "/a b" }'),
      [
        "4:32: invalid value '/a b': expected a path such as /alive, without blanks, that http and https request",
      ],
    ],
    [
      'a misspelt top key',
      `servics: []\n${withService()}`,
      ["1:1: unknown key 'servics'; did you mean 'services'?"],
    ],
    [
      'a misspelt key that has to be there',
      'servics: []\nvips: [{ interfac: eth0, address: 192.168.0.101 }]',
      ["1:1: unknown key 'servics'", "2:10: unknown key 'interfac'; did you mean 'interface'?"],
    ],
    [
      'synchronization that no director can do',
      `sync: { interface: eth1, role: slave, syncid: 256 }\n${withService()}`,
      [
        "1:32: invalid value 'slave': expected one of master, backup, both",
        "1:47: invalid value '256': expected 0 to 255",
      ],
    ],
    [
      'a group that is not multicast',
      `sync: { interface: eth1, group: 10.0.0.1 }\n${withService()}`,
      ["1:33: invalid group '10.0.0.1': expected a multicast address such as 224.0.0.81 or ff02::81"],
    ],
    [
      'announcements that cannot be',
      `announce: { vips: [ff02::1, 10.9.9.9, 10.9.9.9], bird: { socket: 'a b' } }\n${withService()}`,
      ["1:66: invalid value 'a b'"],
    ],
    [
      'announced addresses that are none, or twice there',
      `announce: { vips: [ff02::1, 10.0.0.9, 10.0.0.9] }\n${withService()}`,
      [
        "1:20: invalid VIP 'ff02::1': expected an IPv4 or IPv6 address that is not link-local",
        '1:39: duplicate VIP 10.0.0.9',
      ],
    ],
    [
      'groups of VIPs that cannot be',
      `announce: { groups: [{ name: a, active: 0 }, { name: 'b c', active: 1 }, { vips: [10.0.0.9] }] }\n${withService()}`,
      [
        "1:41: invalid value '0': expected 1 to 64",
        "1:54: invalid value 'b c': expected a name of at most 63 letters",
        "1:74: missing key 'name'",
        "1:74: missing key 'active'",
      ],
    ],
    [
      'groups of VIPs that have something in common',
      `announce: { groups: [{ name: a, active: 1, vips: [10.0.0.9] }, { name: a, active: 1 }, { name: b, active: 1 }, { name: c, active: 1, vips: [10.0.0.9] }] }\n${withService()}`,
      [
        '1:64: duplicate group a',
        '1:88: group b: vips are missing: one group may have the VIPs of no other group',
        '1:141: duplicate VIP 10.0.0.9',
      ],
    ],
    [
      'a group with an address that is not announced',
      `announce: { vips: [10.0.0.9], groups: [{ name: a, active: 1, vips: [10.0.0.9, 10.9.9.9] }] }\n${withService()}`,
      [
        '1:11: announce: 10.0.0.9 is the address of no service, so it is never ready',
        '1:40: group a: 10.9.9.9 is not in vips of announce, so it is never announced',
      ],
    ],
    [
      'an announced address that no service has',
      `announce: { vips: [10.9.9.9] }\n${withService()}`,
      ['1:11: announce: 10.9.9.9 is the address of no service, so it is never ready'],
    ],
    [
      'peers that are no addresses',
      `sync: { interface: eth1, key-file: /k, peers: [10.0.0.1, director2, ff02::1] }\n${withService()}`,
      [
        "1:58: invalid peer 'director2': expected an IPv4 or IPv6 address of a director",
        "1:69: invalid peer 'ff02::1': expected an IPv4 or IPv6 address of a director",
      ],
    ],
    [
      'a destination that messages cannot carry',
      `sync: { interface: eth1, key-file: /k }\n${withService()}\n  - { tcp: '[fd00::1]:80', method: tunnel, destinations: [10.0.0.1] }`,
      ['5:59: 10.0.0.1 has another address family than tcp [fd00::1]:80: not supported together with sync'],
    ],
    [
      'a misspelt scheduler',
      withService('scheduler: wlcc'),
      ["4:16: unknown scheduler 'wlcc'; did you mean 'wlc'?"],
    ],
    [
      'a setting that does not exist',
      `settings: { conn_reuse: 1 }\n${withService()}`,
      ["1:13: invalid value 'conn_reuse': expected one of am_droprate"],
    ],
    [
      'a setting that has fewer values',
      `settings: { drop_entry: 4, amemthresh: 4, sloppy_tcp: -1 }\n${withService()}`,
      ["1:55: invalid value '-1': expected 0 to 2147483647", "1:25: invalid value '4': expected 0 to 3"],
    ],
    [
      'a method that does not exist',
      withService('method: dsr'),
      ["4:13: invalid value 'dsr': expected one of nat, dr, tunnel; did you mean 'dr'?"],
    ],
    [
      'a weight that is a word',
      withService('weight: heavy'),
      ["4:13: invalid value 'heavy': expected a whole number"],
    ],
    ['a weight below 0', withService('weight: -1'), ["4:13: invalid value '-1': expected 0 to 2147483647"]],
    ['no services', 'method: nat', ["1:1: missing key 'services'"]],
    [
      'neither address nor mark',
      'services: [{ destinations: [rs1] }]',
      ['1:12: a service has exactly one of tcp, udp, sctp and mark'],
    ],
    [
      'two addresses',
      withService('udp: 192.168.0.101:53'),
      ['2:5: a service has exactly one of tcp, udp, sctp and mark'],
    ],
    [
      'an unknown group',
      'services: [{ tcp: 1.2.3.4:80, destinations: wbe }]\ngroups: { web: [] }',
      ["1:45: group 'wbe' not found; did you mean 'web'?", "2:16: group 'web' is not used"],
    ],
    [
      'a server that does not resolve',
      'services: [{ tcp: 1.2.3.4:80, destinations: [rs9] }]',
      ["1:46: 'rs9' has no IPv4 address"],
    ],
    [
      'a destination that is a number',
      'services: [{ tcp: 1.2.3.4:80, destinations: [80] }]',
      ["1:46: invalid value '80': expected a string or a map"],
    ],
    [
      'a family that needs a tunnel',
      "services: [{ tcp: 1.2.3.4:80, destinations: ['[fd01::11]'] }]",
      ['1:46: an IPv6 server of an IPv4 service requires the tunnel method'],
    ],
    [
      'a range that runs backwards',
      'services: [{ tcp: 1.2.3.4:90-80, destinations: [] }]',
      ["1:19: invalid port '90-80': expected 0 to 65535"],
    ],
    [
      'port 0 without persistence',
      'services: [{ tcp: 1.2.3.4:0, destinations: [] }]',
      ['1:12: port 0 (every port) requires a persistent service'],
    ],
    [
      'a flag of another scheduler',
      withService('flags: [sh-port]', 'scheduler: mh'),
      ['4:12: invalid flag sh-port: expected a flag of the scheduler mh'],
    ],
    [
      'a service said twice',
      `${withService()}\n  - { tcp: '192.168.0.101:80', destinations: [] }`,
      ['4:5: duplicate service tcp 192.168.0.101:80 (first on line 2)'],
    ],
    ['a key said twice', `method: nat\nmethod: dr\n${withService()}`, ['2:1: Map keys must be unique']],
    ['broken YAML', 'services: [', ['1:12: Flow sequence in block collection must']],
    [
      'a VIP named twice',
      `vips: [{ interface: a, address: fd00::1 }, { interface: b, address: 'fd00:0::1' }]\n${withService()}`,
      [
        '1:69: duplicate VIP (first on line 1)',
        '3:5: 192.168.0.101 is not among the VIPs',
        '4:20: rs1 (192.168.0.3) is not in a network',
      ],
    ],
    [
      'a label that no address can have',
      `vips: [{ interface: enp0s31f6, alias: internet, address: 192.168.0.101, prefix: 24 }]\n${withService()}`,
      ['1:39: invalid label enp0s31f6:internet: expected at most 15 characters (IFNAMSIZ - 1)'],
    ],
    [
      'a VIP that no host can have',
      `vips: [{ interface: a, address: 224.0.0.1 }]\n${withService()}`,
      [
        "1:33: invalid address 224.0.0.1: expected an address of a host's interface",
        '3:5: 192.168.0.101 is not among the VIPs',
        '4:20: rs1 (192.168.0.3) is not in a network',
      ],
    ],
    [
      'an address with a zone',
      "services: [{ tcp: '[fe80::1%eth0]:80', destinations: [] }, { tcp: 1.2.3.4:80, destinations: ['fe80::1%eth0'] }]",
      [
        "1:19: invalid endpoint '[fe80::1%eth0]:80': expected address:port",
        "1:94: invalid server 'fe80::1%eth0': expected server[:port], without a zone",
      ],
    ],
    [
      'destinations that are no one host',
      'services: [{ tcp: 1.2.3.4:80, destinations: [224.0.0.1, 0.0.0.0] }]',
      ['1:46: invalid destination 224.0.0.1', '1:57: invalid destination 0.0.0.0'],
    ],
    [
      'a lower threshold alone',
      'services: [{ tcp: 1.2.3.4:80, destinations: [{ server: rs1, lower-threshold: 5 }] }]',
      ['1:56: invalid lower-threshold 5: expected at most the upper-threshold (which is missing)'],
    ],
    [
      'a tunnel of a destination without one',
      'services: [{ tcp: 1.2.3.4:80, destinations: [{ server: rs1, tunnel: { type: gre } }] }]',
      ['1:69: a tunnel requires the method tunnel, not dr'],
    ],
    [
      'a check that is no check',
      withService('check: off'),
      [
        "4:12: invalid value 'off': expected a check such as { type: tcp }, or none for servers that are not checked",
      ],
    ],
    ['a command that is missing', withService('check: { type: command }'), ["4:12: missing key 'command'"]],
    [
      'a list for a word',
      withService('method: [dr]'),
      ['4:13: invalid value a list: expected one of nat, dr, tunnel'],
    ],
    ['a number for another', withService('family: 5'), ["4:13: invalid value '5': expected one of 4, 6"]],
    [
      'a mistake in what services inherit, at its own place',
      `defaults: { scheduler: wrrr }\n${withService()}\n  - { udp: '1.2.3.4:53', destinations: [] }`,
      ["1:24: unknown scheduler 'wrrr'; did you mean 'wrr'?"],
    ],
    [
      'an alias of nothing',
      `drain: *nothing\n${withService()}`,
      ['1:8: anchor &nothing not found before this alias'],
    ],
    [
      'a key that is a list',
      `? [a]\n: b\n${withService()}`,
      ['1:3: invalid key: expected text, not a list or a map'],
    ],
    ['a second document', `${withService()}\n---\nmethod: nat`, ['4:1: a second document: expected one']],
    ['too deep a list', `services: ${'['.repeat(20_000)}`, ['nesting is too deep']],
    [
      'several mistakes',
      withService('schedler: rr', 'weight: heavy'),
      ["4:5: unknown key 'schedler'", "5:13: invalid value 'heavy': expected a whole number"],
    ],
  ])('%s', async (_what, text, expected) => {
    expect(await told(text)).toEqual(expected.map((each) => expect.stringContaining(each)));
  });

  test('errors of the schema do not hide other errors', async () => {
    expect(
      await told(
        [
          'vips: [{ interface: eth0 }, { interface: eth0, address: nowhere }]',
          'groups: { web: [rs1, 5], mail: [rs9] }',
          'services:',
          '  - { tcp: 192.168.0.101:80, schedler: rr, destinations: [rs9] }',
          '  - { tcp: 192.168.0.101:81, scheduler: rrr, destinations: web }',
          '  - { tcp: 192.168.0.101:82, destinations: mail }',
        ].join('\n'),
      ),
    ).toEqual([
      "1:8: missing key 'address'",
      "2:22: invalid value '5': expected a string or a map",
      "4:30: unknown key 'schedler'; did you mean 'scheduler'?",
      "1:57: invalid address 'nowhere': expected an IPv4 or IPv6 address",
      "5:41: unknown scheduler 'rrr'; did you mean 'rr'?",
      "2:33: 'rs9' has no IPv4 address: expected an address, or a name in /etc/hosts",
    ]);
  });

  test('refused defaults do not hide other errors, and are not repeated for each service', async () => {
    expect(
      await told(
        [
          'defaults: { schedular: mh, persistent: no }',
          'groups: [a]',
          'services:',
          '  - { tcp: 192.168.0.101:0, flags: [mh-port], destinations: web }',
          '  - { tcp: 192.168.0.101:81, destinations: [rs9] }',
          '  - { tcp: 192.168.0.101:81, destinations: [rs1] }',
        ].join('\n'),
      ),
    ).toEqual([
      '2:9: invalid value a list: expected a map',
      "1:13: unknown key 'schedular'; did you mean 'scheduler'?",
      "1:40: invalid value 'no': expected a whole number",
      "5:45: 'rs9' has no IPv4 address: expected an address, or a name in /etc/hosts",
      '6:5: duplicate service tcp 192.168.0.101:81 (first on line 5)',
    ]);
  });

  test('a setting that has no effect as written is a warning', async () => {
    const { problems } = await parse(`
vips: [{ interface: eth0, address: 192.168.0.101, prefix: 24 }]
director: { inside: { interface: eth0, address: 192.168.0.101, prefix: 24 } }
groups: { spare: [rs1] }
services:
  - { tcp: '192.168.0.101:80', destinations: ['rs1:8080', 10.1.0.11] }
  - { tcp: '192.168.0.102:80', destinations: [rs1] }
  - { tcp: '192.168.0.101:81', destinations: [rs1], check: { type: tcp, path: /x }, tunnel: { type: gre } }
`);
    expect(problems.map((each) => `${each.severity} ${each.line}: ${each.message}`).sort()).toEqual([
      "warning 3: the director's inside address 192.168.0.101 is also a VIP: use another address",
      "warning 4: group 'spare' is not used",
      'warning 6: 10.1.0.11 (10.1.0.11) is not in a network of the director: direct routing cannot reach it',
      'warning 6: dr cannot change the port: uses 80, not 8080',
      'warning 7: 192.168.0.102 is not among the VIPs, so the director does not add it',
      "warning 8: 'path' is for checks of type http and https: tcp ignores it",
      'warning 8: no destination uses the tunnel method',
    ]);
  });

  test('synchronization without a key is a warning, and with one that messages cannot have an error', async () => {
    const { problems } = await parse(`sync: { interface: eth1 }\n${withService()}`);
    expect(problems.map((each) => `${each.severity} ${each.line}: ${each.message}`)).toEqual([
      'warning 1: sync without key-file: every host on the network of eth1 can change connections',
    ]);
    expect(
      await told(`settings: { sync_version: 0 }\nsync: { interface: eth1, key-file: /k }\n${withService()}`),
    ).toEqual([expect.stringContaining('messages of sync_version 0 cannot be authenticated')]);
  });

  test('one-packet scheduling with nat is a warning, as replies are not translated', async () => {
    const { problems } = await parse(`
services:
  - { udp: '192.168.0.101:53', one-packet: true, method: nat, destinations: [rs1, { server: rs2, method: dr }] }
  - { mark: 7, one-packet: true, method: nat, destinations: [rs1] }
  - { udp: '192.168.0.101:5060', one-packet: true, persistence-engine: sip, method: nat, destinations: [rs1] }
`);
    const rest = 'are not translated, because no connection is kept (use dr or tunnel)';
    expect(problems.map((each) => `${each.severity} ${each.line}: ${each.message}`)).toEqual([
      `warning 3: one-packet with nat: replies of rs1 ${rest}`,
      `warning 4: one-packet with nat: replies of rs1 ${rest}`,
    ]);
  });

  test('the helper of FTP can be switched off, and is an error at another port', async () => {
    const { document, problems } = await parse(`
services:
  - { tcp: '192.168.0.101:21', helper: none, method: nat, destinations: [rs1] }
  - { tcp: '192.168.0.102:21', helper: ftp, method: nat, destinations: [rs1] }
  - { tcp: '192.168.0.101:2121', helper: ftp, method: nat, destinations: [rs1] }
`);
    expect(document.services.map(({ options }) => options.helper)).toEqual(['none', undefined, undefined]);
    expect(problems.map((each) => `${each.severity} ${each.line}: ${each.message}`)).toEqual([
      'error 5: the helper ftp is supported for TCP and port 21 only',
    ]);
  });

  test('a sorry server may be the director itself, and no server of the same service', async () => {
    const { problems } = await parseYaml(
      `vips: [{ interface: eth0, address: 192.168.0.101, prefix: 24 }]
services:
  - { tcp: '192.168.0.101:80', destinations: [rs1], sorry: [127.0.0.1] }
  - { tcp: '192.168.0.101:81', destinations: [rs1], sorry: [rs1], hysteresis: 1 }
`,
      'lvs.yaml',
      labNames,
      ['wlc'],
    );
    expect(problems.map(({ line, message }) => `${line}: ${message}`)).toEqual([
      '4: invalid hysteresis 1: expected less than the quorum 1',
      '4: duplicate destination rs1 of this service',
    ]);
  });

  test('a destination has the check of its service, another, or none', async () => {
    const { document, problems } = await parseYaml(
      `defaults: { check: { type: tcp } }
groups: { g: [rs1, { server: rs2, check: { type: https, sni: a.b, redirects: 2 } }, { server: rs3, check: none }] }
services:
  - { tcp: '192.168.0.101:80', destinations: g }
  - { tcp: '192.168.0.101:81', destinations: [rs1], check: none }
`,
      'lvs.yaml',
      labNames,
      ['wlc'],
    );
    expect(problems).toEqual([]);
    const checks = document.services.map(({ destinations }) => destinations.map(({ checks }) => checks?.[0]));
    expect(checks).toMatchObject([
      [{ type: 'tcp' }, { type: 'https', sni: 'a.b', redirects: 2, interval: 5 }, undefined],
      [undefined],
    ]);
  });

  test('a destination may have several checks, which must all pass', async () => {
    const { document, problems } = await parseYaml(
      `services:
  - tcp: 192.168.0.101:80
    check:
      - { type: tcp, port: 81 }
      - { type: http, digest: 9B3A0C85A887A256D6939DA88AABD8CD }
      - { type: command, command: [/bin/true], user: 'nobody:adm', dynamic: true }
    destinations: [rs1]
`,
      'lvs.yaml',
      labNames,
      ['wlc'],
    );
    expect(problems).toEqual([]);
    expect(document.services[0]!.destinations[0]!.checks).toMatchObject([
      { type: 'tcp', port: 81, interval: 5 },
      { type: 'http', digest: '9b3a0c85a887a256d6939da88aabd8cd' },
      { type: 'command', command: ['/bin/true'], user: 'nobody:adm', dynamic: true },
    ]);
    const written = await parseYaml(writeYaml(document), 'lvs.yaml', labNames, ['wlc']);
    expect(written.document).toEqual(document);
  });

  test('a mistake in one of several checks is reported at its place', async () => {
    expect(
      await told(`services:
  - tcp: 192.168.0.101:80
    check:
      - { type: tcp, user: nobody }
      - { type: http, digest: 9b3a }
      - { type: command, command: [x], user: 'no body' }
    destinations: [rs1]
  - { tcp: '192.168.0.101:81', destinations: [rs1], check: [] }
`),
    ).toEqual([
      "5:31: invalid value '9b3a': expected 32 hexadecimal digits",
      "6:46: invalid value 'no body': expected a user, or user:group, by names",
      '8:60: invalid value a list: must NOT have fewer than 1 items',
    ]);
  });

  test('a check with an invalid status or regular expression is refused', async () => {
    expect(
      await told(`services:
  - { tcp: '192.168.0.101:80', destinations: [], check: { type: http, status: 299-200 } }
  - { tcp: '192.168.0.101:81', destinations: [], check: { type: http, match: 'a(b' } }
  - { tcp: '192.168.0.101:82', destinations: [], check: { type: http, status: 99-200 } }
`),
    ).toEqual([
      "4:79: invalid value '99-200': expected a whole number or a list",
      "4:79: invalid value '99-200': expected first-last",
      '2:79: invalid status range 299-200: expected first-last',
      '3:78: Invalid regular expression: /a(b/: Unterminated group',
    ]);
  });

  test('an alias bomb is refused', async () => {
    const bomb = [
      'a: &a [x,x,x,x,x,x,x,x,x]',
      ...'bcdefgh'
        .split('')
        .map((key, i) => `${key}: &${key} [${Array(9).fill(`*${'abcdefgh'[i]}`).join(',')}]`),
    ];
    expect(await told(bomb.join('\n'))).toEqual([
      expect.stringContaining('2:8: aliases stand for more than'),
    ]);
  });

  test('any file content yields problems, never an exception', async () => {
    const part = fc.constantFrom(
      'services',
      ': ',
      '- ',
      '\n',
      '  ',
      'tcp',
      '1.2.3.4:80',
      '[',
      ']',
      '{',
      '}',
      '&a',
      '*a',
      '#',
      '0',
      "'",
    );
    const soup = fc.oneof(
      fc.string(),
      fc.array(part).map((parts) => parts.join('')),
      fc.json(),
    );
    await fc.assert(
      fc.asyncProperty(soup, async (text) => {
        const { document, problems } = await parse(text);
        expect(problems.length > 0 || document.services.length > 0).toBe(true);
      }),
    );
  });
});

test('a valid file with some values replaced has errors with places, or a director applies it', async () => {
  const junk = fc.constantFrom(
    '',
    '5',
    '-1',
    'x',
    '[]',
    '{}',
    '[1, {}]',
    '{ a: b }',
    'null',
    '1.5',
    "'[::'",
    '*a',
    '0',
    '70000',
    '0.0.0.0',
    "'fe80::1'",
    "'[fd00::1]:80'",
    'rs1',
    'true',
    'dr',
    'sh',
  );
  const spoiled = fc
    .tuple(documents, fc.array(fc.tuple(fc.nat(), junk), { minLength: 1, maxLength: 4 }))
    .map(([document, changes]) => {
      const lines = writeYaml(document).trimEnd().split('\n');
      for (const [n, value] of changes) {
        const i = n % lines.length;
        lines[i] = lines[i]!.replace(
          /: .*$|:$|- [^:]*$/,
          (end) => `${end.startsWith('-') ? '-' : ':'} ${value}`,
        );
      }
      return lines.join('\n');
    });
  await fc.assert(
    fc.asyncProperty(spoiled, async (text) => {
      const { document, problems } = await parse(text);
      const lines = text.split('\n').length;
      for (const { line, column } of problems)
        expect(line >= 1 && line <= lines + 1 && column >= 1).toBe(true);
      if (problems.some(({ severity }) => severity === 'error')) return;
      const host = { transmit: () => true, route: () => undefined, isLocal: () => false };
      const director = new Director({ host, random: () => 0, maxConnections: 16 });
      for (const command of compile(document)) director.apply(command, 0);
    }),
    { numRuns: 200 },
  );
});

test('a document written as YAML is read back as the same document', async () => {
  await fc.assert(
    fc.asyncProperty(documents, async (document) => {
      const { document: read, problems } = await parse(writeYaml(document));
      expect(problems.filter((each) => each.severity === 'error')).toEqual([]);
      expect(read).toEqual(document);
    }),
  );
});

/** Words of a classic file that is right. */
const classicFiles = fc
  .record({
    type: fc.constantFrom('VS_NAT', 'VS_DR', 'VS_TUN'),
    state: fc.constantFrom('on', 'off'),
    vips: fc.uniqueArray(fc.integer({ min: 100, max: 120 }), { minLength: 1, maxLength: 3 }),
    alias: fc.constantFrom('', ':101', ':web'),
    mask: fc.constantFrom('255.255.255.0', '255.255.0.0', '255.255.255.255'),
    inside: fc.boolean(),
    gateway: fc.constantFrom(
      '',
      'SERVER_GW=192.168.0.254\n',
      'SERVER_GW=client\n',
      'DIRECTOR_GW=192.168.0.254\n',
    ),
    device: fc.constantFrom(
      '',
      'SERVER_VIP_DEVICE=lo:0\n',
      'SERVER_VIP_DEVICE=dummy0\nSERVER_NET_DEVICE=eth0\n',
    ),
    services: fc.uniqueArray(
      fc.record({
        kind: fc.constantFrom('t', 'u'),
        port: fc.constantFrom('www', 'telnet', '8080', '9'),
        scheduler: fc.constantFrom(...SCHEDULERS),
        servers: fc.uniqueArray(
          fc.record({
            name: fc.constantFrom('rs1', 'rs2', '10.1.0.3'),
            port: fc.constantFrom('', ':www', ':81'),
            weight: fc.constantFrom('', ',0', ',5'),
          }),
          { selector: ({ name }) => name, minLength: 1 },
        ),
      }),
      { selector: ({ kind, port }) => `${kind}${port}`, minLength: 1, maxLength: 4 },
    ),
  })
  .map(({ type, state, vips, alias, mask, inside, gateway, device, services }) =>
    [
      `LVS_TYPE=${type}\nINITIAL_STATE=${state}\n`,
      ...vips.map((n) => `VIP=eth0${alias} 192.168.0.${n} ${mask} 192.168.0.255\n`),
      inside ? 'DIRECTOR_INSIDEIP=eth1 192.168.0.1 192.168.0.0 255.255.255.0 192.168.0.255\n' : '',
      gateway,
      device,
      ...services.map(
        ({ kind, port, scheduler, servers }) =>
          `SERVICE=${kind} ${port} ${scheduler} ${servers.map((each) => `${each.name}${each.port}${each.weight}`).join(' ')}\n`,
      ),
    ].join(''),
  );

test('any classic file written as YAML has the same meaning', async () => {
  await fc.assert(
    fc.asyncProperty(classicFiles, async (text) => {
      const classic = await parseLvsConf(text, 'lvs.conf', labNames, SCHEDULERS);
      expect(classic.problems.filter(({ severity }) => severity === 'error')).toEqual([]);
      expect((await parse(writeYaml(classic.document))).document).toEqual(classic.document);
    }),
  );
});

test('the sample classic file written as YAML has the same meaning', async () => {
  const classic = await parseLvsConf(
    readFileSync(new URL('../../../conf/lvs.conf', import.meta.url), 'utf8'),
    'lvs.conf',
    labNames,
    SCHEDULERS,
  );
  expect((await parse(writeYaml(classic.document))).document).toEqual(classic.document);
});
