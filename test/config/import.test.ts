import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { importKeepalived } from '../../src/config/import-keepalived.ts';
import { importLdirectord } from '../../src/config/import-ldirectord.ts';
import type { Imported } from '../../src/config/imported.ts';
import { writeYaml } from '../../src/config/write-yaml.ts';
import { parseYaml } from '../../src/config/yaml.ts';
import { labNames } from '../support/documents.ts';

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
  const imported = importLdirectord(LDIRECTORD, labNames);
  expect(services(imported)).toMatchObject([
    {
      service: { protocol: 'tcp', address: '192.168.6.240', port: 80 },
      options: { scheduler: 'wlc', persistent: 600, persistencePrefix: 24 },
      check: { type: 'http', path: '/alive.html', expect: 'I am alive', timeout: 3, interval: 1 },
      destinations: [
        {
          address: '192.168.6.2',
          port: 80,
          method: 'gatewaying',
          weight: 5,
          upperThreshold: 100,
          lowerThreshold: 80,
        },
        { address: '192.168.6.3', port: 80, method: 'gatewaying', weight: 5 },
      ],
    },
    {
      service: { mark: 7, family: 4 },
      options: { scheduler: 'sh' },
      destinations: [{ address: '192.168.6.2', port: 0, method: 'ipip' }],
    },
    {
      service: { protocol: 'udp', address: 'fd09::1', port: 53 },
      options: { ops: true },
      destinations: [{ address: 'fd01::2', port: 53, method: 'masq' }],
    },
  ]);
  expect(imported.leftOut.map(({ line }) => line)).toEqual([4, 8, 9]);
});

test('keepalived.conf: groups, marks, checks; the rest is named', () => {
  const imported = importKeepalived(KEEPALIVED);
  const web = {
    options: { scheduler: 'wrr', persistent: 360 },
    check: { type: 'http', path: '/alive', status: 200, timeout: 4, fall: 3, interval: 6 },
    destinations: [{ address: '10.0.0.3', port: 80, method: 'gatewaying', weight: 3, upperThreshold: 10 }],
  };
  expect(services(imported)).toMatchObject([
    { service: { protocol: 'tcp', address: '10.0.0.1', port: 80 }, ...web },
    { service: { protocol: 'tcp', address: '10.0.0.2', port: 80 }, ...web },
    {
      service: { mark: 3, family: 4 },
      options: { scheduler: 'sh' },
      destinations: [{ address: '10.0.0.4', port: 8080, method: 'masq', weight: 0 }],
    },
  ]);
  expect(imported.leftOut.map(({ line, text }) => `${line} ${text}`)).toEqual([
    '2 global_defs',
    '13 sorry_server 10.0.0.9 80',
  ]);
});

describe('what is imported can be written as YAML and read again', () => {
  test.each([
    ['ldirectord', importLdirectord(LDIRECTORD, labNames)],
    ['keepalived', importKeepalived(KEEPALIVED)],
  ])('%s', async (_name, { document }) => {
    const read = await parseYaml(writeYaml(document), 'lvs.yaml', labNames, ['wlc', 'wrr', 'sh']);
    expect(read.problems.filter((each) => each.severity === 'error')).toEqual([]);
    expect(read.document).toEqual(document);
  });
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
      expect(importLdirectord(text, labNames).leftOut).toBeInstanceOf(Array);
      expect(importKeepalived(text).leftOut).toBeInstanceOf(Array);
    }),
  );
});
