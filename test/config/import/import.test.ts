import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Imported } from '../../../src/config/import/import-result.ts';
import { importKeepalived } from '../../../src/config/import/keepalived.ts';
import { importLdirectord } from '../../../src/config/import/ldirectord.ts';
import { parseYaml } from '../../../src/config/yaml/parse-yaml.ts';
import { writeYaml } from '../../../src/config/yaml/write-yaml.ts';
import { labNames } from '../../support/documents.ts';

const CONTEXT = { names: labNames, schedulers: ['wlc', 'wrr', 'sh', 'mh'] };

const LDIRECTORD = `# Global Directives
checktimeout=3
checkinterval=1
autoreload=yes

virtual=192.168.6.240:80
	real=192.168.6.2->192.168.6.3:80 gate 5 u:100 l:80
	real=192.168.6.6:80 masq "index.html", "OK"
	fallback=127.0.0.1:80 gate
	service=http
	scheduler=wlc
	persistent=600
	netmask=255.255.255.0
	protocol=tcp
	checktype=negotiate
	request="alive.html"
	receive="I am alive"

virtual=7
	real=192.168.6.2 ipip
	protocol=fwm
	scheduler=sh
virtual6=[fd09::1]:53
	real6=[fd01::2]:53 masq
	protocol=udp
	ops=yes
	checktype=off
`;

const KEEPALIVED = `! Configuration File for keepalived
global_defs { router_id LVS }
virtual_server_group WEB {
  10.0.0.1 80
  10.0.0.2 80
}
virtual_server group WEB {
  delay_loop 6
  lb_algo wrr
  lb_kind DR
  persistence_timeout
  protocol TCP
  sorry_server 10.0.0.9 80
  real_server 10.0.0.3 80 {
    weight 3   # heavy
    uthreshold 10
    HTTP_GET {
      url { path /alive
            status_code 200 }
      connect_timeout 4
      retry 2
    }
  }
}
virtual_server fwmark 3
{
  lvs_sched sh
  lvs_method NAT
  real_server 10.0.0.4 8080 { weight 0
  }
}
`;

const services = ({ document }: Imported) =>
  document.services.map((each) => ({
    ...each,
    destinations: each.destinations.map(({ destination, options }) => ({ ...destination, ...options })),
  }));

test('ldirectord.cf: services, ranges of servers, checks; the rest is named', () => {
  const imported = importLdirectord(LDIRECTORD, CONTEXT);
  expect(services(imported)).toMatchObject([
    {
      service: { protocol: 'tcp', address: '192.168.6.240', port: 80 },
      options: { scheduler: 'wlc', persistent: 600, persistencePrefix: 24 },
      check: { type: 'http', path: '/alive.html', expect: 'I am alive', timeout: 3, interval: 1 },
      destinations: [
        {
          address: '192.168.6.2',
          port: 80,
          method: 'dr',
          weight: 5,
          upperThreshold: 100,
          lowerThreshold: 80,
        },
        { address: '192.168.6.3', port: 80, method: 'dr', weight: 5 },
        { address: '192.168.6.6', port: 80, method: 'nat', weight: 1 },
      ],
    },
    {
      service: { mark: 7, family: 4 },
      options: { scheduler: 'sh' },
      destinations: [{ address: '192.168.6.2', port: 0, method: 'tunnel' }],
    },
    {
      service: { protocol: 'udp', address: 'fd09::1', port: 53 },
      options: { ops: true },
      destinations: [{ address: 'fd01::2', port: 53, method: 'nat' }],
    },
  ]);
  expect(imported.leftOut.map(({ line }) => line)).toEqual([4, 8, 9, 27]);
});

test('keepalived.conf: groups, marks, checks; the rest is named', () => {
  const imported = importKeepalived(KEEPALIVED, CONTEXT);
  const web = {
    options: { scheduler: 'wrr', persistent: 360 },
    check: { type: 'http', path: '/alive', status: 200, timeout: 4, fall: 3, interval: 6 },
    destinations: [{ address: '10.0.0.3', port: 80, method: 'dr', weight: 3, upperThreshold: 10 }],
  };
  expect(services(imported)).toMatchObject([
    { service: { protocol: 'tcp', address: '10.0.0.1', port: 80 }, ...web },
    { service: { protocol: 'tcp', address: '10.0.0.2', port: 80 }, ...web },
    {
      service: { mark: 3, family: 4 },
      options: { scheduler: 'sh' },
      destinations: [{ address: '10.0.0.4', port: 8080, method: 'nat', weight: 0 }],
    },
  ]);
  expect(imported.leftOut.map(({ line, text }) => `${line} ${text}`)).toEqual([
    '2 global_defs',
    '13 sorry_server 10.0.0.9 80',
  ]);
});

/** What is left out, as `line: why`. */
const left = ({ leftOut }: Imported) => leftOut.map(({ line, why }) => `${line}: ${why}`);

test('ldirectord.cf: whatever cannot be had as it was is named, and the rest is right', () => {
  const imported = importLdirectord(
    [
      'virtual=10.0.0.1:53 # names',
      '  checktype=negotiate',
      '  service=dns',
      '  request="localhost"',
      '  protocol=udp',
      '  scheduler=wcl',
      '  ops=yes',
      '  real=10.0.0.2:99999 masq',
      '  real=10.0.0.3->10.0.0.4:53 masq',
      '  real=10.0.0.3:53 masq',
      '  real=224.0.0.1:53 gate',
      'virtual=10.0.0.1:80',
      '  checktype=external',
      '  checkcommand=/usr/bin/check',
      '  scheduler=mh',
      '  schedflags=mh-port',
      '  real=10.0.0.3:80 ipip 2 l:5',
      'virtual=10.0.0.1:25',
      '  checktype=connect',
      '  service=http',
      '  quiescent=yes',
      '  real=10.0.0.3:25 gate',
      'virtual=10.0.0.1:25',
      '  real=10.0.0.3:25 gate',
      'virtual=0',
      'virtual=10.0.0.1:26',
      '  checktype=off',
      '  checkinterval=7',
      '  real=10.0.0.3:26 gate 0',
    ].join('\n'),
    CONTEXT,
  );
  expect(services(imported)).toMatchObject([
    {
      service: { protocol: 'udp', port: 53 },
      options: { scheduler: 'wlc', ops: true },
      check: { type: 'udp' },
      destinations: [{ address: '10.0.0.3' }, { address: '10.0.0.4' }],
    },
    {
      options: { scheduler: 'mh', schedulerFlags: 2 },
      check: {
        type: 'command',
        command: ['/bin/sh', '-c', 'exec /usr/bin/check 10.0.0.1 80 "$ADDRESS" "$PORT"'],
      },
      destinations: [],
    },
    { service: { port: 25 }, check: { type: 'tcp' } },
    { service: { port: 26 }, destinations: [{ weight: 0 }] },
  ]);
  expect(imported.document.services[3]!.check).toBeUndefined();
  expect(left(imported)).toEqual([
    expect.stringContaining('3: only http is asked by its protocol here; a check of type udp'),
    '4: only http is asked for a page here',
    '6: there is no such scheduler; wlc is taken',
    '8: expected an address and a port',
    '10: 10.0.0.3 is a destination of this service already',
    '11: 224.0.0.1 is not one host: it has to be unicast, and not link-local',
    '17: the lower threshold 5 is above the upper one, 0',
    '23: the service tcp 10.0.0.1:25 is there already',
    '24: belongs to a virtual service that was left out',
    '25: expected address:port or a firewall mark',
    expect.stringContaining('27: off: ldirectord would not use these servers'),
    '28: the servers of this service are not watched',
  ]);
});

test('keepalived.conf: whatever cannot be had as it was is named, and the rest is right', () => {
  const imported = importKeepalived(
    [
      'virtual_server_group G {',
      '  10.0.0.1-3 80',
      '  10.0.0.9 80-81',
      '  nobody 80',
      '}',
      'virtual_server group G {',
      '  lb_algo mh',
      '  mh-port',
      '  sh-port',
      '  ops',
      '  lvs_method TUN type gue port 6080 csum',
      '  delay_loop 2.5',
      '  real_server 10.0.1.1 80 { lvs_method DR',
      '    HTTP_GET {',
      '      url { path /a digest 12 }',
      '      url { path /b }',
      '      connect_timeout 1.5 } }',
      '  real_server 10.0.1.2 80 { weight 2 uthreshold 5',
      '    MISC_CHECK { misc_path "/x \'a b\'" } }',
      '  real_server 10.0.1.3 80 { }',
      '}',
      'virtual_server group NONE { }',
      'virtual_server fwmark 5 { ip_family inet6',
      '  real_server fd00::3 80 { SSL_GET { connect_timeout 4 } }',
      '}',
      'virtual_server 10.0.0.1 80 { lb_algo wrrr }',
      'virtual_server 10.0.0.2 { }',
      'virtual_server 10.0.0.2 90 { delay_loop 3 }',
    ].join('\n'),
    CONTEXT,
  );
  const gue = { method: 'tunnel', tunnel: { type: 'gue', port: 6080, checksum: 'csum' } };
  const one = {
    options: { scheduler: 'mh', schedulerFlags: 2 },
    check: { type: 'http', path: '/a', timeout: 1.5, interval: 2.5 },
    destinations: [
      { address: '10.0.1.1', method: 'dr' },
      { address: '10.0.1.2', weight: 2, ...gue },
      { address: '10.0.1.3', weight: 1, ...gue },
    ],
  };
  expect(services(imported)).toMatchObject([
    ...['10.0.0.1', '10.0.0.2', '10.0.0.3'].map((address) => ({ service: { address, port: 80 }, ...one })),
    ...[80, 81].map((port) => ({ service: { address: '10.0.0.9', port }, ...one })),
    { service: { mark: 5, family: 6 }, check: { type: 'tcp', timeout: 4 }, destinations: [{ port: 80 }] },
    { service: { port: 90 }, destinations: [] },
  ]);
  expect(left(imported)).toEqual([
    '4: expected an address and a port, fwmark N, or group NAME',
    '9: is no flag of the scheduler mh',
    '10: for UDP and firewall marks only',
    '15: what follows path /a was not read',
    '16: one page is got',
    '18: what follows weight 2 was not read',
    '19: a service has one check here: this server is watched by that of line 14',
    '20: is watched here, by the check of line 14',
    '22: there is no virtual_server_group NONE',
    '24: a connection is made instead',
    '26: there is no such scheduler; wlc is taken',
    '26: the service tcp 10.0.0.1:80 is there already',
    '27: port 0, every port, needs a persistent service',
    '28: no real server is watched',
  ]);
});

describe('what is imported can be written as YAML and read again', () => {
  test.each([
    ['ldirectord', importLdirectord(LDIRECTORD, CONTEXT)],
    ['keepalived', importKeepalived(KEEPALIVED, CONTEXT)],
  ])('%s', async (_name, { document }) => {
    const read = await parseYaml(writeYaml(document), 'lvs.yaml', labNames, ['wlc', 'wrr', 'sh']);
    expect(read.problems.filter((each) => each.severity === 'error')).toEqual([]);
    expect(read.document).toEqual(document);
  });
});

/** Lines of either program, right ones and others. */
const soups = {
  ldirectord: fc.array(
    fc.constantFrom(
      'virtual=10.0.0.1:80',
      'virtual=10.0.0.1:0',
      'virtual6=[fd00::1]:53',
      'virtual=7',
      'virtual=nowhere',
      ' real=10.0.0.2:80 gate 3',
      ' real=10.0.0.2->10.0.0.4:8080 masq u:4 l:2',
      ' real=10.0.0.2:80 ipip l:2',
      ' real6=[fd00::2]:53 gate',
      ' real=224.0.0.2:80 gate "a", "b"',
      ' protocol=udp',
      ' ops=yes',
      ' scheduler=sh',
      ' schedflags=sh-port,sh-fallback',
      ' persistent=60',
      ' netmask=255.255.255.0',
      ' netmask=64',
      ' checktype=negotiate',
      ' checktype=external',
      ' checkcommand="/bin/true"',
      ' checktype=off',
      ' service=http',
      ' request="a b"',
      ' request="a"',
      ' virtualhost=x y',
      ' checkport=99999',
      ' checktimeout=9999',
      ' checkinterval=99999',
      'failurecount=1000',
      'quiescent=no',
    ),
  ),
  keepalived: fc.array(
    fc.constantFrom(
      'virtual_server 10.0.0.1 80 {',
      'virtual_server 10.0.0.1 0 {',
      'virtual_server fd00::1 80 {',
      'virtual_server fwmark 3 {',
      'virtual_server_group G { 10.0.0.5-7 80-81',
      'virtual_server group G {',
      '}',
      'protocol UDP',
      'lb_algo sh',
      'lb_algo nothing',
      'sh-port',
      'ops',
      'persistence_timeout 50',
      'persistence_granularity 64',
      'persistence_engine sip',
      'lb_kind TUN type gue port 70000',
      'lvs_method TUN type gre csum',
      'delay_loop 9999',
      'real_server 10.0.0.2 80 {',
      'real_server 224.0.0.1 80 {',
      'real_server fd00::2 80 {',
      'weight 3',
      'uthreshold 3',
      'lthreshold 4',
      'TCP_CHECK {',
      'HTTP_GET {',
      'MISC_CHECK {',
      'url { path /x y',
      'status_code 99',
      'connect_port 99999',
      'connect_timeout 0.01',
      'misc_path "/x y"',
      'retry 200',
    ),
  ),
};

test.each([
  ['ldirectord', (text: string) => importLdirectord(text, CONTEXT)],
  ['keepalived', (text: string) => importKeepalived(text, CONTEXT)],
] as const)('%s: whatever a file says, what comes of it is a file that is right', async (program, read) => {
  await fc.assert(
    fc.asyncProperty(soups[program], async (lines) => {
      const { document, leftOut } = read(lines.join('\n'));
      expect(leftOut.every(({ line }) => line >= 1 && line <= lines.length)).toBe(true);
      const again = await parseYaml(writeYaml(document), 'lvs.yaml', labNames, CONTEXT.schedulers);
      expect(again.problems.filter((each) => each.severity === 'error')).toEqual([]);
      expect(again.document).toEqual(document);
    }),
    { numRuns: 300 },
  );
});

test('whatever a file holds, it is read or named, never an exception', () => {
  const word = fc.constantFrom(
    'virtual=',
    '1.2.3.4:80',
    '\n',
    '\t',
    'real=',
    'gate',
    '{',
    '}',
    '"',
    'virtual_server ',
    '->',
    '[',
    ']',
    'fwmark ',
    '7',
  );
  const soup = fc.oneof(
    fc.string(),
    fc.array(word).map((parts) => parts.join('')),
  );
  fc.assert(
    fc.property(soup, (text) => {
      expect(importLdirectord(text, CONTEXT).leftOut).toBeInstanceOf(Array);
      expect(importKeepalived(text, CONTEXT).leftOut).toBeInstanceOf(Array);
    }),
  );
});
