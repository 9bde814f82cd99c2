import { mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { compile } from '../../src/config/compile.ts';
import { loadConfig } from '../../src/config/load.ts';
import { parseLvsConf } from '../../src/config/lvs-conf.ts';
import { type Names, parseServices, systemNames } from '../../src/config/names.ts';
import { TemporaryFolder } from '../support/director-apis.ts';

const SCHEDULERS = ['rr', 'wrr', 'lc', 'wlc', 'lblc'];
const HOSTS: Record<string, string> = { rs1: '192.168.0.3', rs2: '192.168.0.4' };
const names: Names = {
  port: (name) => ({ telnet: 23, www: 80, domain: 53 })[name],
  host: async (name) => HOSTS[name] ?? (/^\d+\.\d+\.\d+\.\d+$/.test(name) ? name : undefined),
};
const parse = (text: string) => parseLvsConf(text, 'lvs.conf', names, SCHEDULERS);

const SAMPLE = `# a comment
LVS_TYPE=VS_DR
INITIAL_STATE=on
VIP=eth0:101 192.168.0.101 255.255.255.0 192.168.0.0
DIRECTOR_INSIDEIP=eth0 192.168.0.1 192.168.0.0 255.255.255.0 192.168.0.255
SERVICE=t telnet rr rs1:telnet rs2:telnet
SERVICE=t www rr rs1:www rs2:www
SERVER_VIP_DEVICE=dummy0
SERVER_NET_DEVICE=eth0
`;
/** The sample with one line replaced: says only what the test is about. */
const withLine = (directive: string, line: string) =>
  SAMPLE.replace(new RegExp(`^${directive}=.*$`, 'm'), line);

describe('the classic sample', () => {
  test('is parsed without a problem', async () => {
    const { document, problems } = await parse(SAMPLE);
    expect(problems).toEqual([]);
    expect(document.method).toBe('dr');
    expect(document.vips).toEqual([{ device: 'eth0', alias: '101', address: '192.168.0.101', prefix: 24 }]);
    expect(document.director.inside).toEqual({ device: 'eth0', address: '192.168.0.1', prefix: 24 });
    expect(document.realServers).toEqual({ vipDevice: 'dummy0', netDevice: 'eth0' });
  });

  test('compiles to two services of two destinations each', async () => {
    const { document } = await parse(SAMPLE);
    const commands = compile(document);
    expect(commands.map((each) => each.op)).toEqual([
      'add-service',
      'add-destination',
      'add-destination',
      'add-service',
      'add-destination',
      'add-destination',
    ]);
    expect(commands[4]).toEqual({
      op: 'add-destination',
      service: { protocol: 'tcp', address: '192.168.0.101', port: 80 },
      destination: { address: '192.168.0.3', port: 80 },
      options: { method: 'dr', weight: 1 },
    });
  });

  test('has no rules on a standby', async () => {
    const { document } = await parse(withLine('INITIAL_STATE', 'INITIAL_STATE=off'));
    expect(compile(document)).toEqual([]);
  });
});

test('NAT keeps the port and the weight of each destination', async () => {
  const text = withLine('LVS_TYPE', 'LVS_TYPE=VS_NAT').replace(
    /SERVICE=t www.*/,
    'SERVICE=t www wlc rs1:8080,3 rs2',
  );
  const { document, problems } = await parse(text);
  expect(problems).toEqual([]);
  expect(document.services[1]!.destinations).toEqual([
    {
      server: 'rs1',
      destination: { address: '192.168.0.3', port: 8080 },
      options: { method: 'nat', weight: 3 },
    },
    {
      server: 'rs2',
      destination: { address: '192.168.0.4', port: 80 },
      options: { method: 'nat', weight: 1 },
    },
  ]);
});

describe('an error is reported with its place and what was expected', () => {
  const told = async (text: string) =>
    (await parse(text)).problems.map((each) => `${each.line}:${each.column}: ${each.message}`);

  test.each<[string, string, string]>([
    [
      'a misspelt directive',
      'SERVCE=t www rr rs1',
      "10:1: unknown directive 'SERVCE'; did you mean 'SERVICE'?",
    ],
    ['a missing equals sign', 'SERVICE t www rr rs1', "10:1: missing '=' after SERVICE"],
    ['no value', 'SERVER_GW=', '10:1: SERVER_GW has no value'],
    ['a misspelt scheduler', 'SERVICE=t 81 wr rs1', "10:14: unknown scheduler 'wr'; did you mean"],
    ['an unknown port', 'SERVICE=t nosuch rr rs1', "10:11: invalid port 'nosuch': expected 1 to 65535"],
    ['a port out of range', 'SERVICE=t 70000 rr rs1', "10:11: invalid port '70000': expected 1 to 65535"],
    ['an unknown protocol', 'SERVICE=x 81 rr rs1', "10:9: invalid protocol 'x': expected t (TCP) or u (UDP)"],
    ['a host that does not resolve', 'SERVICE=t 81 rr rs9', "10:17: 'rs9' has no IPv4 address"],
    [
      'a weight that is none',
      'SERVICE=t 81 rr rs1:81,x',
      "10:24: invalid weight 'x': expected 0 to 2147483647",
    ],
    [
      'a destination named twice',
      'SERVICE=t 81 rr rs1 rs1',
      '10:21: duplicate destination rs1 of this service',
    ],
    [
      'a service named twice',
      'SERVICE=t 80 rr rs1',
      '10:1: duplicate service tcp 192.168.0.101:80 (first on line 7)',
    ],
    ['a directive said twice', 'LVS_TYPE=VS_NAT', '10:1: duplicate directive LVS_TYPE (first on line 2)'],
    ['too few words', 'SERVICE=t 81 rr', '10:14: SERVICE has too few words'],
    [
      'a bad gateway',
      'SERVER_GW=nowhere',
      "10:11: invalid gateway 'nowhere': expected an address, or 'client'",
    ],
  ])('%s', async (_what, line, expected) => {
    expect(await told(`${SAMPLE}${line}\n`)).toEqual([expect.stringContaining(expected)]);
  });

  test.each<[string, string, string]>([
    [
      'LVS_TYPE',
      'LVS_TYPE=VS_DD',
      "2:10: invalid LVS_TYPE 'VS_DD': expected VS_NAT, VS_DR or VS_TUN; did you mean 'VS_DR'?",
    ],
    [
      'VIP',
      'VIP=eth0:101 192.168.0.256 255.255.255.0',
      "4:14: invalid IPv4 address '192.168.0.256': expected device[:alias] address netmask",
    ],
    [
      'VIP',
      'VIP=eth0:101 192.168.0.101 255.0.255.0',
      "4:28: invalid netmask '255.0.255.0': expected a netmask such as 255.255.255.0",
    ],
    ['VIP', 'VIP=eth0:101 192.168.0.101', '4:14: VIP has too few words'],
    ['VIP', '# no VIP', '9:1: missing directive VIP'],
    [
      'VIP',
      'VIP=enp0s31f6:internet 192.168.0.101 255.255.255.0',
      "4:5: invalid device 'enp0s31f6:internet': expected a device such as eth0 or eth0:1",
    ],
    ['LVS_TYPE', 'lvs_type=VS_DR', "2:1: unknown directive 'lvs_type'; did you mean 'LVS_TYPE'?"],
    [
      'VIP',
      'VIP=eth0 0.0.0.0 255.255.255.0',
      "4:10: invalid address 0.0.0.0: expected an address of a host's interface",
    ],
  ])('%s: %s', async (directive, line, expected) => {
    expect(await told(withLine(directive, line))).toEqual([expect.stringContaining(expected)]);
  });

  test('for every error in a file, also after an invalid VIP', async () => {
    const text = withLine('VIP', 'VIP=eth0 192.168.0.1O1 255.255.255.0');
    expect(await told(`${text}SERVICE=t 81 wlcc rs9:x,-1 telnet:telnet\nSERVICE=t 82 rr\n`)).toEqual([
      expect.stringContaining("4:10: invalid IPv4 address '192.168.0.1O1': expected device"),
      expect.stringContaining("10:14: unknown scheduler 'wlcc'"),
      expect.stringContaining("10:19: 'rs9' has no IPv4 address"),
      expect.stringContaining("10:23: invalid port 'x': expected 1 to 65535, or a tcp name in /etc/services"),
      expect.stringContaining("10:25: invalid weight '-1': expected 0 to 2147483647"),
      expect.stringContaining("10:28: 'telnet' has no IPv4 address"),
      expect.stringContaining('11:14: SERVICE has too few words'),
    ]);
  });

  test('once for a duplicate VIP, without errors about the services', async () => {
    expect(await told(`${SAMPLE}VIP=eth1 192.168.0.101 255.255.255.0\n`)).toEqual([
      '10:10: duplicate VIP (first on line 4)',
    ]);
  });

  test('as a warning for a port that DR cannot change, and the service port is used', async () => {
    const { document, problems } = await parse(`${SAMPLE}SERVICE=t 81 rr rs1:8081\n`);
    expect(problems).toEqual([expect.objectContaining({ severity: 'warning', line: 10, column: 17 })]);
    expect(compile(document).at(-1)).toMatchObject({ destination: { port: 81 } });
  });
});

test('a file with errors is refused as a whole, with the line and a caret', async () => {
  using folder = new TemporaryFolder();
  const file = folder.file('lvs.conf');
  writeFileSync(file, `${SAMPLE}SERVICE=t 81 wlcc rs1\nSERVICE=t 82 rr rs9\n`);
  await expect(loadConfig(file, names, SCHEDULERS)).rejects.toThrowError(
    `${file}:10:14: error: unknown scheduler 'wlcc'; did you mean 'wlc'?\n  SERVICE=t 81 wlcc rs1\n               ^^^^\n${file}:11:17: error:`,
  );
  await expect(loadConfig('/nonexistent.conf', names, SCHEDULERS)).rejects.toThrowError(
    '/nonexistent.conf: cannot be read',
  );
});

describe('a file that is not plain text', () => {
  const load = async (octets: Buffer | string, name = 'lvs.conf') => {
    using folder = new TemporaryFolder();
    const file = folder.file(name);
    writeFileSync(file, octets);
    return await loadConfig(file, names, SCHEDULERS).then(
      () => '',
      (error: Error) => error.message.replaceAll(file, name),
    );
  };

  test.each(['lvs.conf', 'lvs.yaml'])('is reported once when it is in UTF-16 (%s)', async (name) => {
    expect(await load(Buffer.from(SAMPLE, 'utf16le'), name)).toMatch(
      /^lvs\.\w+:1:2: error: NUL byte: expected UTF-8 text\n.*\n {3}\^$/,
    );
  });

  test('may start with a byte order mark', async () => {
    expect(await load(`\uFEFF${SAMPLE}`)).toBe('');
    expect(await load(`\uFEFFX=1\n${SAMPLE}`)).toContain("lvs.conf:1:1: error: unknown directive 'X'");
  });

  test('may have a line of a megabyte, of which only the part around each error is shown', async () => {
    const message = await load(`${SAMPLE}SERVICE=t 81 rr ${'10.0.0.1:99999 '.repeat(3000)}`);
    const shown = message.split('\n');
    expect(shown).toHaveLength(3 * 200 + 1);
    expect(shown.at(-1)).toBe('... and 2800 more errors');
    expect(Math.max(...shown.map((line) => line.length))).toBeLessThan(500);
    expect(shown[302]!.indexOf('^^^^^')).toBe(shown[301]!.indexOf('99999', 200));
    expect((await load('A'.repeat(1_000_000))).length).toBeLessThan(3000);
  });
});

test('any file content yields problems, never an exception', async () => {
  const words = fc.constantFrom(
    'SERVICE',
    'VIP',
    '=',
    ' ',
    't',
    'www',
    'rr',
    'rs1:',
    ',',
    '\n',
    '\t',
    '#',
    ':',
    '0',
  );
  const soup = fc.oneof(
    fc.string(),
    fc.array(words).map((parts) => parts.join('')),
  );
  await fc.assert(
    fc.asyncProperty(soup, async (text) => {
      const { problems } = await parse(text);
      expect(problems.some((each) => each.severity === 'error')).toBe(true);
    }),
  );
});

test('a host name used by many services is resolved once', async () => {
  const bare = systemNames('/nonexistent');
  const first = bare.host('name.invalid', 4);
  expect(await Promise.all([first, bare.host('name.invalid', 4)])).toEqual([undefined, undefined]);
  const many = Array.from({ length: 5000 }, () => bare.host('name.invalid', 4));
  expect(new Set(await Promise.all(many))).toEqual(new Set([undefined]));
});

test('a file that never ends or is too large is refused', async () => {
  await expect(loadConfig('/dev/zero', names, SCHEDULERS)).rejects.toThrowError('not a regular file');
  const folder = mkdtempSync(join(tmpdir(), 'lvs-conf-'));
  const large = join(folder, 'lvs.conf');
  writeFileSync(large, '');
  truncateSync(large, 16_777_217);
  await expect(loadConfig(large, names, SCHEDULERS)).rejects.toThrowError(
    'file is larger than 16777216 bytes',
  );
  rmSync(folder, { recursive: true });
});

test('port names come from services(5), and from old aliases when it lacks a name', () => {
  expect(parseServices('http 80/tcp www # WWW\n# x 1/tcp\ndomain 53/udp').get('www/tcp')).toBe(80);
  const bare = systemNames('/nonexistent');
  expect(bare.port('www', 'tcp')).toBe(80);
  expect(bare.port('nosuch', 'tcp')).toBeUndefined();
});
