import { writeFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { compileConfig, linesOf } from '../../../src/cli/director/compile.ts';
import type { Format } from '../../../src/cli/director/formats.ts';
import { compile } from '../../../src/config/compile.ts';
import { importRules } from '../../../src/config/import/ipvsadm-rules.ts';
import { Director } from '../../../src/director/director.ts';
import type { Surroundings } from '../../../src/ipvsadm/run.ts';
import { runIpvsadm } from '../../../src/ipvsadm/run.ts';
import { localApi } from '../../../src/runtime/local-director.ts';
import { TemporaryFolder } from '../../support/director-apis.ts';
import { documents } from '../../support/documents.ts';

const names = {
  portNumber: () => undefined,
  portName: () => undefined,
  hostAddress: () => undefined,
  hostName: () => undefined,
};

/** Returns the output of ipvsadm on a new director, and its rules. `rules`: lines for `ipvsadm -R`. */
async function rulesAfter(rules: readonly string[]): Promise<{ said: string; saved: string[] }> {
  const host = { transmit: () => true, route: () => undefined, isLocal: () => false };
  const director = new Director({ host, random: () => 0, maxConnections: 16 });
  let said = '';
  let out = '';
  const at: Surroundings = {
    api: localApi(director, { now: () => 0 }),
    names,
    stdin: () => [`${rules.join('\n')}\n`],
    stdout: (text) => {
      out += text;
    },
    stderr: (text) => {
      said += text;
    },
  };
  expect(await runIpvsadm(['-R'], at)).toBe(0);
  expect(await runIpvsadm(['-S', '-n'], at)).toBe(0);
  return { said, saved: out.split('\n').filter(Boolean) };
}

const isRule = (line: string) => !line.startsWith('--set');
const withoutThresholds = (line: string) => line.replace(/ -[xy] \d+/g, '');

test('compiled rules that are restored and saved again differ only in order and thresholds', async () => {
  await fc.assert(
    fc.asyncProperty(documents, async (document) => {
      const rules = await linesOf(compile(document));
      const { said, saved } = await rulesAfter(rules);
      expect(said).toBe('');
      expect([...saved].sort()).toEqual(rules.filter(isRule).map(withoutThresholds).sort());
    }),
    { numRuns: 50 },
  );
});

test('rules saved by ipvsadm are imported as they were configured', async () => {
  await fc.assert(
    fc.asyncProperty(documents, async (document) => {
      const rules = await linesOf(compile(document));
      const imported = await importRules(rules.join('\n'), names);
      expect(imported.leftOut).toEqual([]);
      expect(await linesOf(compile(imported.document))).toEqual(
        // Timeouts are written whole, and those of the other two are the defaults.
        rules.map((line) => (line.startsWith('--set') ? '--set 0 60 0' : line)),
      );
    }),
    { numRuns: 50 },
  );
});

const CONFIG = `
method: nat
vips: [{ interface: eth0, address: 192.168.0.101 }, { interface: eth0, address: 'fd00::101' }]
director: { inside: { interface: eth1, address: 192.168.1.1, prefix: 24 } }
settings: { conn_reuse_mode: 0 }
timeouts: { tcp: 600 }
defaults: { scheduler: wrr }
services:
  - tcp: 192.168.0.101:80
    persistent: 60
    persistence-prefix: 24
    destinations: [{ server: '192.168.1.3:8080', weight: 3, upper-threshold: 10, lower-threshold: 5 }]
  - udp: '[fd00::101]:53'
    one-packet: true
    destinations: ['[fd00::3]']
  - mark: 7
    family: 6
    scheduler: mh
    flags: [mh-port]
    destinations:
      - { server: '[fd00::3]', method: tunnel, tunnel: { type: gue, port: 6080, checksum: remcsum } }
      - { server: '[fd00::4]', method: dr }
  - { mark: 4294967295, destinations: [192.168.1.3] }
`;

async function compiled(text: string, format: Format, file = 'lvs.yaml') {
  using folder = new TemporaryFolder();
  const path = folder.file(file);
  writeFileSync(path, text);
  let out = '';
  const complaints: string[] = [];
  const status = await compileConfig(
    path,
    format,
    (more) => {
      out += more;
    },
    (line) => complaints.push(line.replace(path, file)),
  );
  return { status, out, complaints };
}

describe('lvs-director compile', () => {
  test.each(['ipvsadm', 'json', 'script', 'yaml'] as const)(
    'reports sorry servers, quorums and programs, which only yaml expresses: %s',
    async (format) => {
      const text = `director: { inside: { interface: eth0, address: 10.0.0.1, prefix: 24 } }
services:
  - { tcp: '10.0.0.9:80', destinations: [10.0.0.2], sorry: [10.0.0.3], quorum: 2 }
  - { tcp: '10.0.0.9:81', destinations: [10.0.0.2], notify: { service-down: [a] } }
`;
      const { out, complaints } = await compiled(text, format);
      const lost = [
        'lvs.yaml: tcp 10.0.0.9:80: sorry servers, the quorum: not rules (lvs-director run carries them out)',
        'lvs.yaml: tcp 10.0.0.9:81: programs for events: not rules (lvs-director run carries them out)',
      ];
      expect(complaints).toEqual(format === 'yaml' ? [] : lost);
      // The script prepares a sorry server as a real server.
      expect(out.includes('10.0.0.3')).toBe(format === 'yaml' || format === 'script');
    },
  );

  test('prints rules in the order of the file, and reports settings that no rule can express', async () => {
    const { status, out, complaints } = await compiled(CONFIG, 'ipvsadm');
    expect(status).toBe(0);
    expect(out).toBe(`--set 600 0 0
-A -t 192.168.0.101:80 -s wrr -p 60 -M 255.255.255.0
-a -t 192.168.0.101:80 -r 192.168.1.3:8080 -m -w 3 -x 10 -y 5
-A -u [fd00::101]:53 -s wrr -o
-a -u [fd00::101]:53 -r [fd00::3]:53 -m -w 1
-A -f 7 -6 -s mh -b mh-port
-a -f 7 -6 -r [fd00::3]:0 -i -w 1 --tun-type gue --tun-port 6080 --tun-remcsum
-a -f 7 -6 -r [fd00::4]:0 -g -w 1
-A -f 4294967295 -s wrr
-a -f 4294967295 -r 192.168.1.3:0 -m -w 1
`);
    expect(complaints).toContain(
      'lvs.yaml: setting conn_reuse_mode is not a rule (sysctl -w net.ipv4.vs.conn_reuse_mode=0)',
    );
  });

  test('prints commands as JSON', async () => {
    const commands = JSON.parse((await compiled(CONFIG, 'json')).out) as { op: string }[];
    expect(commands.map(({ op }) => op).slice(0, 4)).toEqual([
      'set',
      'set-timeouts',
      'add-service',
      'add-destination',
    ]);
  });

  test('prints equivalent YAML', async () => {
    const { out } = await compiled(CONFIG, 'yaml');
    expect((await compiled(out, 'json')).out).toBe((await compiled(CONFIG, 'json')).out);
  });

  test('prints a script with the rules, the VIPs and the kernel settings', async () => {
    const { out } = await compiled(CONFIG, 'script');
    expect(out).toContain('\n-A -t 192.168.0.101:80 -s wrr -p 60 -M 255.255.255.0\n');
    expect(out).toContain('add 192.168.0.101/32 dev eth0');
    expect(out).toContain('|| sysctl -qw net.ipv4.vs.conn_reuse_mode=0\n');
  });

  test('prints a script in which a standby adds neither VIPs nor rules', async () => {
    const { out } = await compiled(`active: false\n${CONFIG}`, 'script');
    expect(out).not.toMatch(/ add 192\.168\.0\.101|^-A /m);
    expect(out).toContain('  : # no VIP\n');
  });

  test('reports when a script cannot know the address of the director', async () => {
    const { complaints } = await compiled('services: []\n', 'script');
    expect(complaints).toEqual([
      'lvs.yaml: director.inside is missing: the script detects the director by it',
    ]);
  });

  test('prints only the errors of a file with errors', async () => {
    const { status, out, complaints } = await compiled('services: [{ tcp: x }]', 'ipvsadm');
    expect([status, out]).toEqual([2, '']);
    expect(complaints[0]).toMatch(/^lvs\.yaml:1:12: error: /);
  });
});
