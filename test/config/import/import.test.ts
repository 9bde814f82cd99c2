import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Imported } from '../../../src/config/import/import-result.ts';
import { importKeepalived } from '../../../src/config/import/keepalived.ts';
import { importLdirectord } from '../../../src/config/import/ldirectord.ts';
import { parseYaml } from '../../../src/config/yaml/parse-yaml.ts';
import { writeYaml } from '../../../src/config/yaml/write-yaml.ts';
import { isFtpService } from '../../../src/model/service.ts';
import { labNames } from '../../support/documents.ts';

const CONTEXT = { names: labNames, schedulers: ['rr', 'wlc', 'wrr', 'sh', 'mh'] };
/** Files that keepalived includes. */
const INCLUDED: Readonly<Record<string, string>> = {
  'more.conf': 'nonsense\nvirtual_server 10.0.0.9 99 { protocol TCP\n real_server 10.0.1.9 99 { }\n}',
};

const ldirectord = (text: string) => importLdirectord(text, CONTEXT);
const keepalived = (text: string) =>
  importKeepalived(text, {
    ...CONTEXT,
    configId: 'main',
    folder: '/etc/keepalived',
    include: (path) => (INCLUDED[path] === undefined ? [] : [{ path, text: INCLUDED[path] }]),
  });

/** The lines that were left out, as `line: reason`. */
const left = ({ leftOut }: Imported) =>
  leftOut.map(({ line, why, file }) => `${file ? `${file}:` : ''}${line}: ${why}`);
const UNCHECKED = 'the real servers of this service are not checked';
const UNCHECKED_ONE = 'this real server is not checked';
/** The checks of the servers of the first service. */
const checksOf = ({ document }: Imported) =>
  document.services[0]!.destinations.map(({ checks }) => checks?.[0]);

const LDIRECTORD = `# Global Directives
checktimeout=3
checkinterval=1
autoreload=yes

virtual=192.168.6.240:80
	real=192.168.6.2->192.168.6.3:80 gate 5 l:80 u:100
	fallback=127.0.0.1:80 gate
	service=http
	scheduler=wlc
	persistent=600
	netmask=255.255.255.0
	protocol=tcp
	checktype=negotiate
	request="alive.html"
	receive="I am (really )?alive"

virtual=7
	real=192.168.6.2 ipip
	protocol=fwm
	scheduler=sh
virtual6=[fd09::1]:53
	real6=[fd01::2]:53 masq
	protocol=udp
	ops=yes
	checktype=on
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

test('ldirectord: imports services, ranges and checks, and reports the rest', async () => {
  const imported = await ldirectord(LDIRECTORD);
  const alive = {
    type: 'http',
    path: '/alive.html',
    host: '$ADDRESS',
    status: [[200, 299]],
    redirects: 7,
    match: 'I am (really )?alive',
    timeout: 3,
    interval: 1,
    fall: 1,
    rise: 1,
  };
  expect(imported.document.services).toMatchObject([
    {
      service: { protocol: 'tcp', address: '192.168.6.240', port: 80 },
      options: { scheduler: 'wlc', persistent: 600, persistencePrefix: 24 },
      destinations: [
        {
          destination: { address: '192.168.6.2', port: 80 },
          options: { weight: 5, upperThreshold: 100, lowerThreshold: 80 },
          checks: [alive],
        },
        { destination: { address: '192.168.6.3', port: 80 }, options: { weight: 5 }, checks: [alive] },
      ],
    },
    {
      service: { mark: 7, family: 4 },
      options: { scheduler: 'sh' },
      destinations: [{ destination: { address: '192.168.6.2', port: 0 } }],
    },
    {
      service: { protocol: 'udp', address: 'fd09::1', port: 53 },
      options: { scheduler: 'wrr', ops: true },
      destinations: [{ destination: { address: 'fd01::2', port: 53 } }],
    },
  ]);
  const types = imported.document.services.map(({ destinations }) =>
    destinations.map(({ checks }) => checks?.[0]?.type),
  );
  expect(types).toEqual([['http', 'http'], [undefined], [undefined]]);
  expect(imported.document.services[0]).toMatchObject({
    destinations: [{ inhibit: false }, { inhibit: false }],
    sorry: [{ destination: { address: '127.0.0.1', port: 80 }, options: { method: 'dr', weight: 1 } }],
  });
  expect(left(imported)).toEqual(['4: not supported']);
});

test('keepalived: imports groups, marks and checks, and reports the rest', () => {
  const imported = keepalived(KEEPALIVED);
  const web = {
    options: { scheduler: 'wrr', persistent: 360 },
    destinations: [
      {
        destination: { address: '10.0.0.3', port: 80 },
        options: { weight: 3, upperThreshold: 10 },
        checks: [
          {
            type: 'http',
            path: '/alive',
            status: [[200, 200]],
            timeout: 4,
            fall: 3,
            rise: 1,
            interval: 6,
            retryInterval: 3,
          },
        ],
      },
    ],
  };
  expect(imported.document.services).toMatchObject([
    { service: { protocol: 'tcp', address: '10.0.0.1', port: 80 }, ...web },
    { service: { protocol: 'tcp', address: '10.0.0.2', port: 80 }, ...web },
    {
      service: { mark: 3, family: 4 },
      options: { scheduler: 'sh' },
      destinations: [{ destination: { address: '10.0.0.4', port: 8080 }, options: { weight: 0 } }],
    },
  ]);
  expect(left(imported)).toEqual(['2: only virtual servers are imported']);
});

/** One service of ldirectord with these lines, and these real servers. */
const service = (
  lines: string,
  at = '10.0.0.1:80',
  real = at === '7'
    ? 'real=10.0.1.1 gate\nreal=10.0.1.2 gate'
    : 'real=10.0.1.1:80 gate\nreal=10.0.1.2:80 gate',
) => ldirectord(`virtual=${at}\n${`${real}\n${lines}`.replace(/^/gm, '    ')}`);

describe('ldirectord: the check of a service', () => {
  test.each([
    [
      'is http on port 80 by default',
      '',
      '10.0.0.1:80',
      { type: 'http', path: '/', timeout: 30, interval: 10 },
    ],
    [
      'is a connection for checktype=connect',
      'checktype=connect',
      '10.0.0.1:80',
      { type: 'tcp', timeout: 5 },
    ],
    [
      'uses checktimeout for connections',
      'checktype=connect\nchecktimeout=7\nnegotiatetimeout=8',
      '10.0.0.1:80',
      { timeout: 7 },
    ],
    ['uses negotiatetimeout for http', 'checktimeout=7\nnegotiatetimeout=8', '10.0.0.1:80', { timeout: 8 }],
    ['uses the other timeout where its own is missing', 'checktimeout=7', '10.0.0.1:80', { timeout: 7 }],
    ['falls after failurecount failures', 'failurecount=4', '10.0.0.1:80', { fall: 4, rise: 1 }],
    ['is made at checkport', 'checkport=81', '10.0.0.1:80', { port: 81 }],
    ['asks for the virtual host', 'virtualhost="www.example"', '10.0.0.1:80', { host: 'www.example' }],
    [
      'runs an external command with the addresses and ports',
      'checktype=external\ncheckcommand="/usr/bin/check"',
      '10.0.0.1:80',
      { type: 'command', command: ['/usr/bin/check', '10.0.0.1', '80', '$ADDRESS', '$PORT'] },
    ],
    [
      'runs an external command with the mark',
      'checktype=external\ncheckcommand=/usr/bin/check',
      '7',
      { type: 'command', command: ['/usr/bin/check', '7', '0', '$ADDRESS', '$PORT'] },
    ],
    ['is http at port 80 for a mark with service=http', 'service=http', '7', { type: 'http', port: 80 }],
    [
      'is https at port 443 for a mark with service=https',
      'service=https',
      '7',
      { type: 'https', port: 443 },
    ],
    ['is https on port 443, without verification', '', '10.0.0.1:443', { type: 'https', verify: false }],
  ])('%s', async (_name, lines, at, check) => {
    const imported = await service(lines, at);
    expect(checksOf(imported)[0]).toMatchObject(check);
    expect(checksOf(imported)[1]).toEqual(checksOf(imported)[0]);
    expect(left(imported)).toEqual([]);
  });

  test.each([
    ['a mark has none by default', '', '7', []],
    ['other ports have none by default', '', '10.0.0.1:8000', []],
    ['checktype=on has none', 'checktype=on', '10.0.0.1:80', []],
    [
      'connects before requests are not supported',
      'checktype=3',
      '10.0.0.1:80',
      [`4: checktype 3 is not supported: ${UNCHECKED}`],
    ],
    [
      'a DNS query over TCP is not supported',
      'service=dns\nrequest=www.example\nreceive=1',
      '10.0.0.1:80',
      [`1: a DNS query over TCP is not supported: ${UNCHECKED}`],
    ],
    [
      'a DNS query without a pattern, which never succeeds',
      'request=www.example',
      '10.0.0.1:53',
      [`4: ldirectord finds no server up without a pattern for the address: ${UNCHECKED}`],
    ],
    [
      'other services are not supported',
      '',
      '10.0.0.1:21',
      [`1: the service ftp is not supported: ${UNCHECKED}`],
    ],
    [
      'a request in another server is not supported',
      'request="http://10.0.0.9/"',
      '10.0.0.1:80',
      [`4: invalid request: expected a path without blanks: ${UNCHECKED}`],
    ],
    [
      'HEAD is not supported',
      'httpmethod=HEAD',
      '10.0.0.1:80',
      [`4: the method HEAD is not supported: ${UNCHECKED}`],
    ],
    [
      'a regular expression that JavaScript does not have is not supported',
      'receive="a++"',
      '10.0.0.1:80',
      [`4: the regular expression is not supported: possessive quantifier '++': ${UNCHECKED}`],
    ],
    [
      'a command with arguments never ran',
      'checktype=external\ncheckcommand="/usr/bin/check -x"',
      '10.0.0.1:80',
      [`5: ldirectord takes blanks for a part of the path of the program: ${UNCHECKED}`],
    ],
  ])('is missing: %s', async (_name, lines, at, messages) => {
    const imported = await service(lines, at);
    expect(checksOf(imported)).toEqual([undefined, undefined]);
    expect(left(imported)).toEqual(messages);
  });

  test('has the request of each real server', async () => {
    const imported = await service(
      '',
      '10.0.0.1:80',
      'real=10.0.1.1:80 gate "a", "^b"\nreal=10.0.1.2:80 gate 2 "a", "^b"',
    );
    expect(checksOf(imported)).toMatchObject([
      { path: '/a', match: '^b' },
      { path: '/a', match: '^b' },
    ]);
    const mixed = await service(
      'request="/c"\nreceive="d"',
      '10.0.0.1:80',
      'real=10.0.1.1:80 gate "a", "b++"\nreal=10.0.1.2:80 gate\nreal=10.0.1.3:80 gate "e", ""',
    );
    expect(checksOf(mixed)).toMatchObject([undefined, { path: '/c', match: 'd' }, { path: '/e' }]);
    expect(checksOf(mixed)[2]).not.toHaveProperty('match');
    expect(left(mixed)).toEqual([
      `2: the regular expression is not supported: possessive quantifier '++': ${UNCHECKED_ONE}`,
    ]);
  });
});

test('ldirectord: reports every line that it leaves out', async () => {
  const imported = await ldirectord(
    [
      'virtual=10.0.0.1:53 # names',
      '  protocol=udp',
      '  scheduler=wlc',
      '  checktype=on',
      '  real=10.0.0.2:99999 masq',
      '  real=10.0.0.3->10.0.0.4:53 masq',
      '  real=10.0.0.3:53 masq',
      '  real=224.0.0.1:53 gate',
      '  real=10.0.0.9->10.0.0.5:53 gate',
      '  real=nowhere:53 gate',
      '  real=10.0.0.9:nothing gate',
      '  real=10.0.0.9:53 route',
      '  quiescent=no',
      '  netmask=255.0.0.0',
      'virtual=10.0.0.1:25',
      '  checktype=off',
      '  ops=yes',
      '  schedflags=sh-port',
      '  real=10.0.0.3:25 gate',
      'virtual=10.0.0.1:25',
      '  real=10.0.0.3:25 gate',
      'virtual=0',
      'virtual=nowhere:80',
      'virtual=10.0.0.1:0',
      'nonsense',
      '  real=10.0.0.3:25 gate',
      'virtual=10.0.0.1:99',
      '  scheduler=wcl',
    ].join('\n'),
  );
  expect(imported.document.services.map(({ destinations }) => destinations.length)).toEqual([2, 0]);
  expect(left(imported)).toEqual([
    '5: invalid real server: expected an address and a port',
    '7: the destination 10.0.0.3:53 already exists',
    '8: 224.0.0.1 is not a unicast address, or it is link-local',
    '9: invalid range: expected at most 1024 addresses',
    '10: nowhere does not resolve to an IPv4 address',
    '11: nothing is not a service name',
    expect.stringContaining('12: invalid real server: expected address[->address]'),
    '14: a netmask requires a persistent service',
    '16: off: ldirectord does not use the real servers of this service, so they were left out',
    '17: ops requires the protocol udp',
    '18: invalid schedflags: expected flags of the scheduler wrr',
    '20: the service tcp 10.0.0.1:25 already exists',
    '21: its virtual service was left out',
    '22: invalid virtual service: expected address:port or a firewall mark',
    '23: nowhere does not resolve to an IPv4 address',
    '24: port 0, which means every port, requires a persistent service',
    '25: expected key = value',
    '26: its virtual service was left out',
    "27: invalid scheduler 'wcl': ipvsadm refuses the service",
    '28: its virtual service was left out',
  ]);
});

/** One service of keepalived whose two real servers have these lines; `$A` is the address of each. */
const servers = (lines: string, above = '', ports: readonly [number, number] = [80, 80]) =>
  keepalived(
    `virtual_server 10.0.0.1 80 {\nprotocol TCP\n${above}\n${[1, 2]
      .map((n, i) => `$A=10.0.1.${n}\n$P=${ports[i]}\nreal_server $A $P {\n${lines}\n}\n`)
      .join('')}}`,
  );

describe('keepalived: what follows from failed checks', () => {
  const first = (above: string) => {
    const imported = servers('TCP_CHECK {\n}', above);
    return { ...imported.document.services[0]!, left: left(imported) };
  };
  test.each<[string, object]>([
    ['', { destinations: [{ inhibit: false }, { inhibit: false }] }],
    ['inhibit_on_failure off', { destinations: [{ inhibit: false }, { inhibit: false }] }],
    ['quorum 4\nhysteresis 2', { quorum: { weight: 4, hysteresis: 2 } }],
    [
      'sorry_server 10.0.9.9 8080',
      {
        sorry: [{ destination: { address: '10.0.9.9', port: 8080 }, options: { method: 'nat', weight: 1 } }],
      },
    ],
    [
      'sorry_server 10.0.9.9\nsorry_server_lvs_method DR\nsorry_server_inhibit',
      { sorry: [{ destination: { port: 80 }, options: { method: 'dr' }, inhibit: true }] },
    ],
  ])('%j', (above, expected) => expect(first(above)).toMatchObject({ ...expected, left: [] }));

  test('its notify scripts are run, as script_user', () => {
    const imported = keepalived(`global_defs {
  script_user lvs adm
}
virtual_server 10.0.0.1 80 {
  quorum_up "/bin/mail 'it is up' $X"
  quorum_down /bin/down
  real_server 10.0.1.1 80 {
    notify_up "/bin/up 10.0.1.1 80"
    notify_down '/bin/down  a'
  }
}`);
    expect(imported.document).toMatchObject({
      scriptUser: 'lvs:adm',
      services: [
        {
          notify: { 'quorum-up': ['/bin/mail', 'it is up', '$X'], 'quorum-down': ['/bin/down'] },
          destinations: [
            {
              notify: {
                'destination-up': ['/bin/up', '10.0.1.1', '80'],
                'destination-down': ['/bin/down', 'a'],
              },
            },
          ],
        },
      ],
    });
    expect(left(imported)).toEqual([]);
  });

  test('a server with inhibit_on_failure stays in the rules', () => {
    expect(first('inhibit_on_failure').destinations.map(({ inhibit }) => inhibit)).toEqual([
      undefined,
      undefined,
    ]);
  });

  test.each([
    [
      'quorum 0\nhysteresis 1',
      ['invalid quorum: 1 is used', 'invalid hysteresis: expected less than the quorum'],
    ],
    ['sorry_server_inhibit', ['the virtual server has no sorry_server']],
    ['sorry_server 10.0.1.1 80', ['the destination 10.0.1.1:80 already exists']],
    ['sorry_server 10.0.9.9 http', ['invalid real server: expected an address and a port']],
  ])('%j is reported', (above, messages) => {
    const service = first(above);
    expect(service.left.map((line) => line.replace(/^\d+: /, ''))).toEqual(messages);
    expect([service.sorry, service.quorum]).toEqual([undefined, undefined]);
  });
});

describe('ldirectord: what follows from failed checks', () => {
  test.each<[string, string, object]>([
    ['', '10.0.0.1:80', { destinations: [{ inhibit: false }, { inhibit: false }] }],
    [
      'fallback=10.0.9.9:8080',
      '10.0.0.1:80',
      { sorry: [{ destination: { port: 80 }, options: { method: 'dr' } }] },
    ],
    [
      'fallback=10.0.9.9:8080 masq',
      '10.0.0.1:80',
      { sorry: [{ destination: { port: 8080 }, options: { method: 'nat' } }] },
    ],
    ['service=http\nfallback=10.0.9.9', '7', { sorry: [{ destination: { port: 0 } }] }],
  ])('%j of %s', async (lines, at, expected) => {
    const imported = await service(lines, at);
    expect(imported.document.services[0]).toMatchObject(expected);
    expect(left(imported)).toEqual([]);
  });

  test('a fallbackcommand is run with the state and the virtual service', async () => {
    const imported = await service('fallbackcommand="/usr/bin/fall -x"');
    expect(imported.document.services[0]!.notify).toEqual({
      'service-down': ['/usr/bin/fall', '-x', 'start', '10.0.0.1:80', 'tcp'],
      'service-up': ['/usr/bin/fall', '-x', 'stop', '10.0.0.1:80', 'tcp'],
    });
    expect(left(imported)).toEqual([]);
  });

  test('a quiescent server stays in the rules', async () => {
    const imported = await service('quiescent=yes');
    expect(imported.document.services[0]!.destinations.map(({ inhibit }) => inhibit)).toEqual([
      undefined,
      undefined,
    ]);
  });

  test('a global fallback is used by services of its family that have none', async () => {
    const imported = await ldirectord(
      'fallback=10.0.9.9 masq\nvirtual=10.0.0.1:80\n real=10.0.1.1:80 gate\n' +
        'virtual=10.0.0.1:81\n real=10.0.1.1:81 gate\n fallback=10.0.9.8\nvirtual6=[fd00::1]:80\n real6=[fd01::1]:80 gate',
    );
    const sorry = imported.document.services.map((each) => each.sorry?.map(({ server }) => server));
    expect(sorry).toEqual([['10.0.9.9'], ['10.0.9.8'], undefined]);
    expect(left(imported)).toEqual([]);
  });

  test.each([
    ['fallback=10.0.1.1:80', '4: the destination 10.0.1.1:80 already exists'],
    ['fallback=nowhere', '4: nowhere does not resolve to an IPv4 address and a port'],
    ['fallback6=[fd00::1]:80', '4: invalid fallback6: expected an IPv4 address[:port] [gate|masq|ipip]'],
    [
      'fallbackcommand=a | b',
      '4: invalid fallbackcommand: expected a program and arguments without characters of a shell',
    ],
    ['quiescent=maybe', '4: invalid quiescent: expected yes or no'],
  ])('%j is reported', async (lines, message) => expect(left(await service(lines))).toEqual([message]));
});

describe('keepalived: the check of a service', () => {
  test.each<[string, string, string, object]>([
    [
      'has the defaults of keepalived',
      'TCP_CHECK {\n}',
      '',
      { type: 'tcp', interval: 60, timeout: 5, fall: 2, rise: 1, retryInterval: 1 },
    ],
    [
      'has the defaults of HTTP_GET',
      'HTTP_GET {\nurl {\npath /\n}\n}',
      '',
      { type: 'http', path: '/', status: [[200, 299]], timeout: 5, fall: 2, retryInterval: 3 },
    ],
    [
      'has the defaults of MISC_CHECK',
      'MISC_CHECK {\nmisc_path /bin/true\n}',
      'delay_loop 9',
      { type: 'command', command: ['/bin/true'], interval: 9, timeout: 9, fall: 1 },
    ],
    [
      'inherits from the virtual server',
      'TCP_CHECK {\n}',
      'delay_loop 7\nconnect_timeout 2\nretry 3\ndelay_before_retry 4',
      { interval: 7, timeout: 2, fall: 4, retryInterval: 4 },
    ],
    [
      'inherits from the real server before the virtual server',
      'delay_loop 5\nTCP_CHECK {\nretry 0\n}',
      'delay_loop 7\nretry 3',
      { interval: 5, fall: 1 },
    ],
    ['is made at connect_port', 'TCP_CHECK {\nconnect_port 81\n}', '', { port: 81 }],
    ['may connect to its own address', 'TCP_CHECK {\nconnect_ip $A\n}', '', { type: 'tcp' }],
    [
      'asks for the virtual host',
      'HTTP_GET {\nurl {\npath /\n}\n}',
      'virtualhost www.example',
      { host: 'www.example' },
    ],
    [
      'accepts lists of statuses',
      'HTTP_GET {\nurl {\npath /\nstatus_code 200-204 301 404-404\n}\n}',
      '',
      {
        status: [
          [200, 204],
          [301, 301],
          [404, 404],
        ],
      },
    ],
    [
      'keeps a regular expression, whose escapes keepalived replaces first',
      'HTTP_GET {\nurl {\npath /\nregex "server (a|b)\\\\. \\(x\\)"\n}\n}',
      '',
      { match: 'server (a|b)\\. (x)' },
    ],
    ['asks for the address and the port', 'HTTP_GET {\nurl {\npath /\n}\n}', '', { host: '$ADDRESS:$PORT' }],
    [
      'replaces the address and the port of each server in a command',
      `MISC_CHECK {\nmisc_path "/usr/bin/check -u http://\${A}:\${P}/ $A $P 'a b' 110.0.1.1"\n}`,
      '',
      {
        command: ['/usr/bin/check', '-u', 'http://$ADDRESS:$PORT/', '$ADDRESS', '$PORT', 'a b', '110.0.1.1'],
      },
    ],
    [
      'splits a script in single quotes',
      "MISC_CHECK {\nmisc_path '/bin/echo a  b'\n}",
      '',
      { command: ['/bin/echo', 'a', 'b'] },
    ],
    [
      'runs a command as its user, and takes the weight from it',
      'MISC_CHECK {\nmisc_path /bin/true\nmisc_dynamic\nuser nobody adm\n}',
      '',
      { command: ['/bin/true'], dynamic: true, user: 'nobody:adm' },
    ],
    [
      'expects a digest',
      'HTTP_GET {\nurl {\npath /\ndigest 9B3A0C85A887A256D6939DA88AABD8CD\n}\n}',
      '',
      { digest: '9b3a0c85a887a256d6939da88aabd8cd' },
    ],
    ['sends an empty datagram for UDP_CHECK', 'UDP_CHECK {\n}', '', { type: 'udp' }],
    [
      'is a DNS query for DNS_CHECK',
      'DNS_CHECK {\nname www.example\ntype a\n}',
      'delay_loop 9',
      { type: 'dns', query: 'www.example', record: 'A', fall: 4, interval: 9 },
    ],
    ['has the defaults of DNS_CHECK', 'DNS_CHECK {\n}', 'delay_loop 9', { type: 'dns', timeout: 5, fall: 4 }],
    [
      'is the greeting of a mail server for SMTP_CHECK',
      'SMTP_CHECK {\nhelo_name mail.example\n}',
      '',
      { type: 'smtp', helo: 'mail.example', fall: 2, retryInterval: 1 },
    ],
    ['has the name of keepalived', 'SMTP_CHECK {\n}', '', { helo: 'smtpchecker.keepalived.org' }],
    ['is an ICMP echo for PING_CHECK', 'PING_CHECK {\nretry 2\n}', '', { type: 'ping', fall: 3 }],
    [
      'is https without verification for SSL_GET',
      'SSL_GET {\nenable_sni\nurl {\npath /\nvirtualhost www.example\n}\n}',
      '',
      { type: 'https', host: 'www.example', verify: false, status: [[200, 299]], fall: 2, retryInterval: 3 },
    ],
  ])('%s', (_name, lines, above, check) => {
    const imported = servers(lines, above);
    expect(checksOf(imported)[0]).toMatchObject(check);
    expect(checksOf(imported)[1]).toEqual(checksOf(imported)[0]);
    expect(left(imported)).toEqual([]);
  });

  test.each<[string, string, string[]]>([
    ['no server has a checker', '', []],
    [
      'an anchored regular expression, which never matches in keepalived',
      'HTTP_GET {\nurl {\npath /\nregex ^a\n}\n}',
      ["the regular expression is not supported: anchor '^'"],
    ],
    [
      'options of a regular expression',
      'HTTP_GET {\nurl {\npath /\nregex a\nregex_options caseless\n}\n}',
      ['regex_options is not supported'],
    ],
    [
      'escapes of a regular expression that keepalived replaces by characters',
      'HTTP_GET {\nurl {\npath /\nregex "a\\n"\n}\n}',
      ['the escapes of the regular expression are not supported'],
    ],
    [
      'a backslash in a script',
      'MISC_CHECK {\nmisc_path "/bin/echo \\x41"\n}',
      ['a backslash or a single quote in a script is not supported'],
    ],
    [
      'a single quote in a script',
      'MISC_CHECK {\nmisc_path "/bin/echo \'a b"\n}',
      ['a backslash or a single quote in a script is not supported'],
    ],
    [
      'a digest that is none',
      'HTTP_GET {\nurl {\npath /\ndigest 12\n}\n}',
      ['invalid digest: expected 32 hexadecimal digits'],
    ],
    ['no page', 'HTTP_GET {\n}', ['expected a url']],
    ['another address', 'TCP_CHECK {\nconnect_ip 10.0.9.9\n}', ['a check connects to the real server only']],
    [
      'a command by a user of an invalid name',
      'MISC_CHECK {\nmisc_path /bin/true\nuser "no body"\n}',
      ['invalid user: expected the names of a user and a group'],
    ],
    [
      'an interval of a day',
      'delay_loop 86400\nTCP_CHECK {\n}',
      ['delay_loop 86400 is outside the bounds of a check'],
    ],
    ['a reply to a datagram', 'UDP_CHECK {\nrequire_reply\n}', ['require_reply is not supported']],
  ])('is missing: %s', (_name, lines, messages) => {
    const imported = servers(lines);
    expect(checksOf(imported)).toEqual([undefined, undefined]);
    expect([...new Set(left(imported).map((line) => line.replace(/^\d+: /, '')))]).toEqual(
      messages.map((message) => `${message}: ${UNCHECKED_ONE}`),
    );
  });

  test('are several where a server has several checkers, and pages', () => {
    const imported = servers(`TCP_CHECK {
connect_port 81
}
HTTP_GET {
url {
path /a
status_code 200
}
url {
path /b
digest 9b3a0c85a887a256d6939da88aabd8cd
}
retry 4
}
MISC_CHECK {
misc_path /bin/true
}`);
    expect(left(imported)).toEqual([]);
    expect(imported.document.services[0]!.destinations[0]!.checks).toMatchObject([
      { type: 'tcp', port: 81 },
      { type: 'http', path: '/a', status: [[200, 200]], fall: 5 },
      { type: 'http', path: '/b', digest: '9b3a0c85a887a256d6939da88aabd8cd', fall: 5 },
      { type: 'command', command: ['/bin/true'] },
    ]);
  });

  test('are at most 32, however many pages there are', () => {
    const pages = Array.from({ length: 400 }, (_, i) => `url {\npath /${i}\n}\n`);
    const imported = servers(`HTTP_GET {\n${pages.join('')}}\nTCP_CHECK {\n}`);
    expect(imported.document.services[0]!.destinations[0]!.checks).toHaveLength(32);
    const [first, ...others] = imported.leftOut;
    expect(first!.why).toBe('a destination has at most 32 checks: this check is left out');
    // The other pages and the connection, of both servers.
    expect(others).toHaveLength(2 * (400 - 32 + 1) - 1);
  });

  test('lose one checker alone if it cannot be carried over', () => {
    const imported = servers('TCP_CHECK {\n}\nUDP_CHECK {\nrequire_reply\n}');
    expect(imported.document.services[0]!.destinations[0]!.checks).toMatchObject([{ type: 'tcp' }]);
    expect(new Set(left(imported).map((line) => line.replace(/^\d+: /, '')))).toEqual(
      new Set(['require_reply is not supported: this check is left out']),
    );
  });

  test('run their commands as script_user, unless they have a user', () => {
    const { document } = keepalived(`global_defs {
  script_user lvs adm
}
virtual_server 10.0.0.1 80 {
  real_server 10.0.1.1 80 {
    MISC_CHECK {
      misc_path /bin/true
    }
    MISC_CHECK {
      misc_path /bin/true
      user nobody
    }
  }
}`);
    const [destination] = document.services[0]!.destinations;
    expect(destination!.checks).toMatchObject([{ user: 'lvs:adm' }, { user: 'nobody' }]);
    expect(document.scriptUser).toBeUndefined();
  });

  test('may differ from one server to another, and some may have none', () => {
    const mixed = keepalived(`virtual_server 10.0.0.1 80 {
  real_server 10.0.1.1 80 {
    MISC_CHECK { misc_path "/usr/bin/check one"
    }
  }
  real_server 10.0.1.2 80 {
    MISC_CHECK { misc_path "/usr/bin/check two"
    }
  }
}
virtual_server 10.0.0.1 81 {
  real_server 10.0.1.1 81 {
    TCP_CHECK {
    }
  }
  real_server 10.0.1.2 81 {
  }
}`);
    const checks = mixed.document.services.map(({ destinations }) =>
      destinations.map(({ checks }) => checks?.[0]),
    );
    expect(checks).toMatchObject([
      [{ command: ['/usr/bin/check', 'one'] }, { command: ['/usr/bin/check', 'two'] }],
      [{ type: 'tcp' }, undefined],
    ]);
    expect(left(mixed)).toEqual([]);
  });

  test('is made at the port of the file', () => {
    const ports = (above: string, ports: readonly [number, number]) =>
      checksOf(servers('TCP_CHECK {\n}', above, ports)).map((check) => check!.port);
    expect(ports('', [8080, 8081])).toEqual([undefined, undefined]);
    // Direct routing gives the destinations port 80, but the checkers keep the port of the file.
    expect(ports('lb_kind DR', [8080, 8081])).toEqual([8080, 8081]);
  });
});

test('keepalived: adds the real servers of a second service of the same address to the first', () => {
  const one = (n: number, checker = '') =>
    `virtual_server 10.0.0.1 80 {\nreal_server 10.0.1.${n} 80 {\n${checker}\n}\n}\n`;
  const { document, leftOut } = keepalived(one(1) + one(2));
  expect(document.services[0]!.destinations.map(({ server }) => server)).toEqual(['10.0.1.1', '10.0.1.2']);
  const why = 'the service udp 10.0.0.1:80 already exists: only its real servers are added';
  expect(leftOut.map((each) => each.why)).toEqual([why]);
  const mixed = keepalived(one(1, 'TCP_CHECK {\n}') + one(2));
  expect(checksOf(mixed)).toMatchObject([{ type: 'tcp' }, undefined]);
  expect(mixed.leftOut.map((each) => each.why)).toEqual([why]);
});

test('keepalived: reports every line that it leaves out', () => {
  const imported = keepalived(
    [
      'include more.conf',
      'include missing.conf',
      '@backup $VIP=10.0.0.7',
      '@main $VIP=10.0.0.8',
      'virtual_server $VIP 80 {',
      '  lb_algo wrrr',
      '  lb_kind dr',
      '  protocol TCPX',
      '  quorum 2',
      '  ops',
      '  sh-port',
      '  ip_family inet6',
      '  persistence_timeout 0',
      '  persistence_granularity 24',
      '  real_server 10.0.1.1 80 {',
      '    weight x',
      '    lvs_method TUN type gue',
      '    notify_up /bin/true nobody',
      '  }',
      '  real_server 10.0.1.1 80 {',
      '  }',
      '  real_server fd00::1 80 {',
      '  }',
      '}',
      'virtual_server group NONE {',
      '}',
      'virtual_server $NAME 80 {',
      '  real_server 10.0.1.1 80 { }',
      '}',
      'virtual_server 10.0.0.2 80 {',
      '  lb_algo rr',
      '}',
      '}',
      'words "without end',
    ].join('\n'),
  );
  expect(imported.document.services).toMatchObject([
    { service: { address: '10.0.0.9', port: 99 } },
    { service: { protocol: 'udp', address: '10.0.0.8', port: 80 }, options: { scheduler: 'wlc', ops: true } },
  ]);
  expect(left(imported)).toEqual([
    '2: no readable file of this name',
    "3: this line does not apply to the config id 'main' (--config-id)",
    '6: invalid scheduler: wlc is used',
    '7: invalid method: expected NAT, DR or TUN',
    '8: invalid protocol: expected TCP, UDP or SCTP',
    '11: sh-port does not apply to the scheduler wlc',
    '12: the service is IPv4',
    '13: invalid persistence_timeout: expected 1 to 2678400',
    '14: invalid persistence_granularity: expected a netmask (IPv4) or a prefix length (IPv6)',
    '16: invalid weight: 0 is used',
    '17: a gue tunnel requires a port, and no other tunnel has one: ipip is used',
    '18: the user of one script is not supported: script-user is used',
    '20: the destination 10.0.1.1:80 already exists',
    '22: an IPv4 service reaches fd00::1 by the tunnel method only',
    "25: no virtual_server_group of the name 'NONE'",
    '27: expected an address and a port, fwmark N or group NAME, and ranges of at most 1024',
    '30: no real server, so keepalived ignores it',
    '33: a closing brace without an opening brace',
    '34: a quote is not closed',
    '34: only virtual servers are imported',
    'more.conf:1: only virtual servers are imported',
  ]);
});

test('keepalived: reports what it reads otherwise than it is written', () => {
  const imported = keepalived(
    [
      'virtual_server_group G {',
      '  10.0.0.1 80',
      '  fwmark 5 ipv6',
      '}',
      'virtual_server_group G {',
      '  10.0.0.2 80',
      '}',
      'virtual_server group G {',
      '  retry 0',
      '  real_server 10.0.1.1-3 80x {',
      '    weight 7x',
      '  }',
      '  real_server 10.0.1.4 http {',
      '  }',
      '}',
      'virtual_server ::ffff:10.0.0.3 80 {',
      '  real_server fd00::1 80 {',
      '  }',
      '}',
    ].join('\n'),
  );
  expect(imported.document.services).toMatchObject([
    {
      service: { address: '10.0.0.1', port: 80 },
      destinations: [{ destination: { address: '10.0.1.1', port: 80 }, options: { weight: 7 } }],
    },
  ]);
  expect(left(imported)).toEqual([
    '3: invalid family: expected inet or inet6',
    "5: the virtual_server_group 'G' already exists",
    '10: 10.0.1.1 alone is used',
    '11: invalid weight: 7 is used',
    '13: invalid port: expected 1 to 65535',
    '16: expected an address and a port, fwmark N or group NAME',
  ]);
});

test('keepalived: only a checker itself may have no retries', () => {
  const { document, leftOut } = servers('TCP_CHECK {\n}', 'retry 0');
  expect(document.services[0]!.destinations[0]!.checks?.[0]).toMatchObject({ fall: 2 });
  expect(new Set(leftOut.map(({ why }) => why))).toEqual(new Set(['invalid retry: expected 1 or more']));
});

describe('an imported document is the same after writing it as YAML and reading that', () => {
  test.each([
    ['ldirectord', LDIRECTORD, ldirectord],
    ['keepalived', KEEPALIVED, keepalived],
  ] as const)('%s', async (_name, text, read) => {
    const { document } = await read(text);
    const again = await parseYaml(writeYaml(document), 'lvs.yaml', labNames, CONTEXT.schedulers);
    expect(again.problems.filter((each) => each.severity === 'error')).toEqual([]);
    expect(again.document).toEqual(document);
  });
});

/** Lines of either program, valid and invalid. */
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
      ' receive="a(b|c)+$"',
      ' receive="(?<x"',
      ' checkport=99999',
      ' checktimeout=9999',
      ' checkinterval=99999',
      'failurecount=1000',
      'quiescent=no',
      'quiescent=maybe',
      'fallback=10.0.0.9 masq',
      'fallback6=[fd00::9]:80',
      ' fallback=10.0.0.2:80',
      ' fallback=x y z',
      ' fallback6=127.0.0.1:80 gate',
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
      '$N=3',
      '$M= \\',
      `~SEQ(N, 1, 3) real_server 10.0.0.\${N} 80 {`,
      `~LST(N, rr, wrr) lb_algo \${N}`,
      '@^main ops',
      `weight \${N}`,
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
      'regex "a(b|c)+$"',
      'regex "a{2,"',
      'status_code 200-299 404',
      'retry 200',
      'misc_dynamic',
      'user nobody',
      'digest 9b3a0c85a887a256d6939da88aabd8cd',
    ),
  ),
};

test.each([
  ['ldirectord', ldirectord],
  ['keepalived', keepalived],
] as const)('%s: any file is imported as a valid document', async (program, read) => {
  await fc.assert(
    fc.asyncProperty(soups[program], async (lines) => {
      const { document, leftOut } = await read(lines.join('\n'));
      expect(leftOut.every(({ line }) => line >= 1 && line <= lines.length)).toBe(true);
      const again = await parseYaml(writeYaml(document), 'lvs.yaml', labNames, CONTEXT.schedulers);
      expect(again.problems.filter((each) => each.severity === 'error')).toEqual([]);
      expect(again.document).toEqual(document);
    }),
    { numRuns: 300 },
  );
});

test('any text is imported or reported, never an exception', async () => {
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
    '$A=',
    `\${A}`,
    '~SEQ(A,1,3)',
    '~LST(A,',
    '@x',
    '\\',
    '7',
  );
  const soup = fc.oneof(
    fc.string(),
    fc.array(word).map((parts) => parts.join('')),
  );
  await fc.assert(
    fc.asyncProperty(soup, async (text) => {
      expect((await ldirectord(text)).leftOut).toBeInstanceOf(Array);
      expect(keepalived(text).leftOut).toBeInstanceOf(Array);
    }),
  );
});

test.each([
  [
    'keepalived',
    'virtual_server 10.9.0.1 21 {\n lb_kind NAT\n protocol TCP\n real_server 10.1.0.11 21 {\n }\n}\n',
  ],
  ['ldirectord', 'virtual=10.9.0.1:21\n real=10.1.0.11:21 masq\n service=ftp\n checktype=connect\n'],
])('an FTP service of %s is assisted', async (program, text) => {
  const imported = await (program === 'keepalived' ? keepalived(text) : ldirectord(text));
  expect(left(imported)).toEqual([]);
  const yaml = writeYaml(imported.document);
  const { document } = await parseYaml(yaml, 'lvs.yaml', labNames, ['wlc', 'wrr']);
  const [service] = document!.services;
  expect(isFtpService(service!.service)).toBe(true);
  expect(service!.options.helper).toBeUndefined();
  expect(service!.destinations[0]!.options.method).toBe('nat');
});
