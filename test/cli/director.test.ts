import { spawnSync } from 'node:child_process';
import { closeSync, fstatSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { InvalidArgumentError } from 'commander';
import { afterAll, describe, expect, test } from 'vitest';
import { parseListen } from '../../src/cli/arguments.ts';
import { built, notBuilt } from '../support/project.ts';

const why = notBuilt('src/cli/director');
const folder = mkdtempSync(join(tmpdir(), 'lvs-director-'));
afterAll(() => rmSync(folder, { recursive: true }));

const run = (...args: string[]) => {
  const [node, ...script] = built('src/cli/director');
  return spawnSync(node!, [...script, ...args], { encoding: 'utf8', cwd: folder });
};

test('the build exists', ({ skip }) => skip(why !== undefined, why));

describe.skipIf(why !== undefined)('lvs-director', () => {
  test.each([
    ['run', 'configuration missing'],
    ['run --config', 'argument missing'],
    ['run --config x --metrics 9100', 'HOST:PORT'],
    ['run --config x --log-format xml', 'text, json'],
    ['run --config x --log-level loud', 'info, warning, error'],
    ['explain --from 1.2.3.4 --to 1.2.3.4:80', 'ADDRESS:PORT'],
    ['explain --from 1.2.3.4:5', '--pcap'],
    ['explain --from 1.2.3.4:5 --to [2001:db8::1]:80', 'expected both IPv4 or both IPv6'],
    ['explain --from 1.2.3.4:5 --to 1.2.3.4:80 --packet 2', 'cannot be used with'],
    ['explain --from 1.2.3.4:5 --pcap a.pcap', 'cannot be used with'],
    ['capture -w x --service 1.2.3.4:80', 'PROTOCOL:ADDRESS:PORT'],
    ['top --interval 0', 'Expected an integer'],
    ['replay --config x --in y', 'required option'],
    ['replay --config x --in y --out z --seed -1', 'Expected an integer'],
    ['run --config -', 'Expected a file that can be read again'],
    ['check', 'missing required argument'],
    ['fly', 'unknown command'],
    ['--fly', "unknown option '--fly'"],
    ['run --config x --sockt y', '(Did you mean --socket?)'],
  ])('refuses %s with status 2 and the reason', (line, complaint) => {
    const { status, stderr } = run(...line.split(' '));
    expect(stderr).toContain(complaint);
    expect(stderr).toMatch(/^lvs-director: .*\n$/);
    expect(status).toBe(2);
  });

  test.each([
    ['src/cli/director', 'run --config missing.yaml', 2, '<3>lvs-director: missing.yaml: cannot be read'],
    ['src/cli/director', 'run --config x --sockt y', 2, "<3>lvs-director: unknown option '--sockt'"],
    ['src/cli/realserver', 'run --config missing.yaml', 2, '<3>lvs-realserver: missing.yaml: cannot be read'],
  ])('%s %s reports its last error to the journal with the priority', (program, line, expected, text) => {
    const [node, ...script] = built(program);
    const file = join(folder, 'journal');
    const journal = openSync(file, 'w');
    const { dev, ino } = fstatSync(journal);
    const { status } = spawnSync(node!, [...script, ...line.split(' ')], {
      cwd: folder,
      stdio: ['ignore', 'ignore', journal],
      env: { ...process.env, JOURNAL_STREAM: `${dev}:${ino}` },
    });
    closeSync(journal);
    expect(readFileSync(file, 'utf8')).toContain(text);
    expect(status).toBe(expected);
  });

  test('prints the version of the package for --version', () => {
    const { status, stdout } = run('--version');
    expect(stdout).toMatch(/^\d+\.\d+\.\d+\n$/);
    expect(status).toBe(0);
  });

  test.each([
    [
      'YAML',
      'services: [{ tcp: "192.0.2.1:80", destinations: [192.0.2.2] }]\n',
      0,
      '-: 1 services, 1 destinations',
    ],
    ['lvs.conf', '# first\n\nLVS_TYPE=VS_DR\nVIPP=eth0\n', 2, '<stdin>:4:1: error'],
    ['invalid YAML', 'services: 3\n', 2, '<stdin>:1:11: error'],
  ])('check - reads %s from the standard input', (_, input, status, output) => {
    const [node, ...script] = built('src/cli/director');
    const checked = spawnSync(node!, [...script, 'check', '-'], { encoding: 'utf8', input });
    expect(checked.stdout + checked.stderr).toContain(output);
    expect(checked.status).toBe(status);
  });

  test('exits normally when its reader closes the pipe', () => {
    const file = join(folder, 'long.yaml');
    const services = Array.from(
      { length: 5000 },
      (_, i) => `  - tcp: 192.0.2.1:${i + 1}\n    destinations: []\n`,
    );
    writeFileSync(file, `services:\n${services.join('')}`);
    const [node, ...script] = built('src/cli/director');
    const words = [node, ...script, 'compile', '--format', 'json', file].join(' ');
    const { stderr, stdout } = spawnSync('bash', ['-c', `${words} | head -c 1; echo "\${PIPESTATUS[0]}"`], {
      encoding: 'utf8',
    });
    expect(stderr).toBe('');
    expect(stdout).toBe('[0\n');
  });

  test('--help names every command, with status 0', () => {
    const { status, stdout } = run('--help');
    expect(status).toBe(0);
    const commands = Array.from(stdout.matchAll(/^ {2}([a-z]+) .*/gm), ([, command]) => command);
    expect(commands).toEqual([
      'run',
      'features',
      'check',
      'compile',
      'import',
      'plan',
      'reload',
      'stop',
      'status',
      'drain',
      'undrain',
      'deny',
      'undeny',
      'joined',
      'announcements',
      'withdraw',
      'announce',
      'cluster',
      'notify',
      'explain',
      'top',
      'capture',
      'replay',
      'help',
    ]);
  });

  test('check exits with 0 for a valid file and prints its contents', () => {
    const file = join(folder, 'good.conf');
    writeFileSync(
      file,
      'LVS_TYPE=VS_NAT\nINITIAL_STATE=on\nVIP=eth0:1 192.0.2.1 255.255.255.0 192.0.2.0\n' +
        'DIRECTOR_INSIDEIP=eth1 10.0.0.1 10.0.0.0 255.255.255.0 10.0.0.255\nSERVICE=t 80 rr 10.0.0.2:80\n',
    );
    const { status, stdout } = run('check', file);
    expect(stdout).toContain('1 services, 1 destinations');
    expect(status).toBe(0);
  });

  test.each(['check', 'run --config'])(
    'exits with 2 for a file with an error, and prints the place: %s',
    (command) => {
      const file = join(folder, 'bad.conf');
      writeFileSync(file, 'LVS_TYPE=VS_NAT\nSERVICE=x\n');
      const { status, stderr } = run(...command.split(' '), file);
      if (stderr.includes('CAP_NET')) return expect(status).toBe(1);
      expect(stderr).toMatch(/bad\.conf:2:\d+: error: /);
      expect(status).toBe(2);
    },
  );

  test('names a file that does not exist', () => {
    const { status, stderr } = run('check', 'nowhere.conf');
    expect(stderr).toContain('nowhere.conf');
    expect(status).toBe(2);
  });
});

test.each([
  ['127.0.0.1:9100', '127.0.0.1', 9100],
  ['[::1]:80', '::1', 80],
  [':80', '', 80],
  ['localhost:1', 'localhost', 1],
])('%s is an address to listen on', (text, host, port) => {
  expect(parseListen(text)).toEqual({ host, port });
});

test.each(['9100', '::1:80', '127.0.0.1:', '127.0.0.1:99999', ''])(
  '%j is not an address to listen on',
  (text) => {
    expect(() => parseListen(text)).toThrow(InvalidArgumentError);
  },
);
