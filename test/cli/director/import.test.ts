import { writeFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Source } from '../../../src/cli/director/formats.ts';
import { guessSource, importConfig } from '../../../src/cli/director/import.ts';
import { importRules } from '../../../src/config/import/ipvsadm-rules.ts';
import { TemporaryFolder } from '../../support/director-apis.ts';

async function imported(text: string, from?: Source) {
  using folder = new TemporaryFolder();
  const path = folder.file('rules');
  writeFileSync(path, text);
  let out = '';
  const complaints: string[] = [];
  await importConfig(
    path,
    { from, configId: 'lb1' },
    (more) => {
      out += more;
    },
    (line) => complaints.push(line.replace(path, 'rules')),
  );
  return { out, complaints };
}

const SAVED = `# saved yesterday
-A -t 192.168.0.101:80 -s rr -p 300
-a -t 192.168.0.101:80 -r 192.168.1.3:8080 -m -w 2
ipvsadm -a -t 192.168.0.101:80 -r 192.168.1.4:80 -m -w 1
-A -t 192.168.0.101:80 -s rr
-A -t 192.168.0.102:80 -s rr -p 60 -M 0.0.0.255
--start-daemon master
-a -t 192.168.0.103:80 -r 192.168.1.4
nonsense
`;

test('rules become YAML in their order, and every line that was left out is reported', async () => {
  const { out, complaints } = await imported(SAVED);
  expect(out).toBe(`method: nat
services:
  - tcp: 192.168.0.101:80
    scheduler: rr
    persistent: 300
    destinations:
      - server: 192.168.1.3:8080
        weight: 2
      - server: 192.168.1.4:80
        weight: 1
`);
  expect(complaints).toEqual([
    'rules:5: left out: Service already exists: -A -t 192.168.0.101:80 -s rr',
    'rules:6: left out: a netmask whose ones do not lead is not supported: -A -t 192.168.0.102:80 -s rr -p 60 -M 0.0.0.255',
    'rules:7: left out: not supported: --start-daemon master',
    'rules:8: left out: Service not defined: -a -t 192.168.0.103:80 -r 192.168.1.4',
    expect.stringMatching(/^rules:9: left out: .*: nonsense$/),
    expect.stringContaining('add the VIPs'),
  ]);
});

test('a VRRP instance stays with keepalived, and the advice is how to run beside it', async () => {
  const { out, complaints } = await imported(`vrrp_instance lvs {
  interface eth0
  virtual_router_id 51
  virtual_ipaddress {
    192.168.0.101/32
  }
}
virtual_server 192.168.0.101 80 {
  protocol TCP
  lb_kind DR
  real_server 192.168.0.3 80 {
  }
}
`);
  expect(out).toContain('tcp: 192.168.0.101:80');
  expect(out).not.toContain('vips:');
  expect(complaints).toEqual([
    'rules:1: left out: it stays in keepalived.conf, with its VIPs: vrrp_instance lvs {',
    expect.stringMatching(/^rules: keepalived keeps the VIPs: .*--standby and --ready-file/),
  ]);
});

describe('the format of a file', () => {
  test.each<[Source | undefined, string]>([
    ['ipvsadm', SAVED],
    ['ipvsadm', 'ipvsadm -A -f 3 -s rr\n'],
    ['ldirectord', 'checktimeout=3\nvirtual=10.0.0.1:80\n\treal=10.0.0.2:80 gate\n'],
    ['keepalived', 'global_defs { }\nvirtual_server 10.0.0.1 80 {\n}\n'],
    [undefined, 'services: []\n'],
  ])('is detected: %s', (source, text) => expect(guessSource(text)).toBe(source));

  test('must be given when it cannot be detected', async () => {
    await expect(imported('services: []\n')).rejects.toThrowError('--from ipvsadm|ldirectord|keepalived');
    await expect(imported('services: []\n', 'ipvsadm')).rejects.toThrowError(
      'contains no service that ipvsadm supports',
    );
  });
});

test('every line becomes a rule or is reported', async () => {
  const word = fc.constantFrom(
    '-A',
    '-a',
    '-E',
    '-D',
    '-C',
    '-Z',
    '-L',
    '-S',
    '-R',
    '-h',
    '-t',
    '-u',
    '-f',
    '-s',
    '-r',
    '-m',
    '-p',
    '-M',
    '-o',
    'rr',
    '10.0.0.1:80',
    '[fd00::1]:80',
    '7',
    '0',
    '255.255.255.0',
    '--set',
    '--',
    '"',
    'ipvsadm',
  );
  const names = {
    portNumber: () => undefined,
    portName: () => undefined,
    hostAddress: () => undefined,
    hostName: () => undefined,
  };
  await fc.assert(
    fc.asyncProperty(fc.array(fc.array(word).map((words) => words.join(' '))), async (lines) => {
      const { leftOut } = await importRules(lines.join('\n'), names);
      expect(leftOut.length).toBeLessThanOrEqual(lines.length);
    }),
  );
});
