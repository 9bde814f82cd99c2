import { readFileSync, writeFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Source } from '../../../src/cli/director/formats.ts';
import { guessSource, type ImportOptions, importConfig } from '../../../src/cli/director/import.ts';
import { importRules } from '../../../src/config/import/ipvsadm-rules.ts';
import { TemporaryFolder } from '../../support/director-apis.ts';

async function imported(text: string, from?: Source, options: ImportOptions = {}) {
  using folder = new TemporaryFolder();
  const path = folder.file('rules');
  writeFileSync(path, text);
  let out = '';
  const complaints: string[] = [];
  await importConfig(
    path,
    { from, configId: 'lb1', ...options },
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

const PAIR = `! a site
global_defs {
  router_id lb1 # its name
  lvs_sync_daemon eth1 inst lvs port 8849 group 224.0.0.82
}
# the web
virtual_server_group web {
  192.168.0.101 80
}
virtual_server group web {
  protocol TCP
  lb_kind DR
  real_server 192.168.0.3 80 { }
}
vrrp_instance lvs {
  interface eth0
  virtual_router_id 51
  @lb1 priority 110
  @lb2 priority 100
  virtual_ipaddress {
    192.168.0.101/24 dev eth0 label eth0:1 # web
    fd00::101
  }
}
vrrp_instance inside {
  interface eth0
  virtual_router_id 52
  priority 110
  notify "/bin/true"
  virtual_ipaddress {
    192.168.1.254 }}
`;

describe('a keepalived.conf with VRRP instances', () => {
  test('has services without VIPs, and the advice is how to run beside keepalived', async () => {
    const { out, complaints } = await imported(PAIR);
    expect(out).toContain('tcp: 192.168.0.101:80');
    expect(out).not.toContain('vips:');
    // The sync ID is the VRID of the instance.
    expect(out).toContain(`sync:
  interface: eth1
  syncid: 51
  group: 224.0.0.82
  port: 8849
`);
    expect(complaints).toContain(
      'rules:15: left out: it stays in keepalived.conf, with its VIPs: vrrp_instance lvs {',
    );
    expect(complaints.at(-1)).toMatch(/^rules: keepalived keeps the VIPs: .*--standby and --ready-file/);
  });

  test('--keepalived writes what remains of it, with track_file and notify', async () => {
    using folder = new TemporaryFolder();
    const keepalived = folder.file('keepalived.conf');
    const { out, complaints } = await imported(PAIR, undefined, { keepalived });
    expect(out).not.toContain('vips:');
    const rest = readFileSync(keepalived, 'utf8');
    expect(rest).toBe(`! a site
global_defs {
  router_id lb1 # its name
}
# the web
# 1 while the director of this node cannot forward packets: the node gives the addresses up.
track_file lvs_director {
    file /run/lvs/ready
    weight 0
    init_file 1
}

vrrp_instance lvs {
  interface eth0
  virtual_router_id 51
  @lb1 priority 110
  @lb2 priority 100
  virtual_ipaddress {
    192.168.0.101/24 dev eth0 label eth0:1 # web
    fd00::101
  }
    track_file {
        lvs_director
    }
    notify "/usr/bin/lvs-director notify" root
}
vrrp_instance inside {
  interface eth0
  virtual_router_id 52
  priority 110
  notify "/bin/true"
  virtual_ipaddress {
    192.168.1.254 }
    track_file {
        lvs_director
    }
}
`);
    expect(complaints.slice(-2)).toEqual([
      expect.stringMatching(/^rules:25: the instance has a notify script/),
      expect.stringContaining('--standby and --ready-file'),
    ]);
    // A file that exists is not replaced.
    await expect(imported(PAIR, undefined, { keepalived })).rejects.toThrowError('cannot be written');
  });

  test('whose virtual servers share lines with other statements is not divided', async () => {
    using folder = new TemporaryFolder();
    const keepalived = folder.file('keepalived.conf');
    const shared = PAIR.replace('virtual_server group web {', '@lb2 virtual_server 10.0.0.1 80 { @lb1 x');
    await expect(imported(shared, undefined, { keepalived })).rejects.toThrowError();
  });

  test('--vips takes the addresses over, and keepalived must go', async () => {
    const { out, complaints } = await imported(PAIR, undefined, { vips: true });
    expect(out).toContain(`vips:
  - interface: eth0
    alias: "1"
    address: 192.168.0.101
    prefix: 24
  - interface: eth0
    address: fd00::101
    prefix: 128
  - interface: eth0
    address: 192.168.1.254
    prefix: 32
`);
    expect(complaints.at(-1)).toMatch(/^rules: the director adds the VIPs: .*disable --now keepalived/);
  });
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
