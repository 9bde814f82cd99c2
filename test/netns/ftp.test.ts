/** FTP with NAT: vsftpd behind the director, and curl as its client. */
import { chmodSync, existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ControlClient } from '../../src/control/client.ts';
import { clusterMissing } from '../support/cluster.ts';
import { Lab } from '../support/lab.ts';
import { director as lvs, startDirector } from '../support/lvs-programs.ts';
import { PinsMount } from '../support/pins.ts';
import type { Program } from '../support/program.ts';
import { built } from '../support/project.ts';

const VSFTPD = '/usr/sbin/vsftpd';
const why = clusterMissing() ?? (existsSync(VSFTPD) ? undefined : 'vsftpd: not installed');

/** Files on each server, and the bytes of one that takes many packets. */
const FILES = 12;
const LONG_BYTES = 10_000_000;
/** The process forwards less for such a file when programs carry its data connection. */
const FEW_PACKETS = 150;

test('the required programs and privileges are available', ({ skip }) => skip(why !== undefined, why));

const YAML = `method: nat
vips:
  - { interface: eth0, address: 192.168.0.101, prefix: 24 }
  - { interface: eth0, address: 'fd00::101', prefix: 64 }
director:
  inside: { interface: eth1, address: 192.168.1.1, prefix: 24 }
services:
  - { tcp: '192.168.0.101:21', scheduler: rr, destinations: [192.168.1.3, 192.168.1.4] }
  - { tcp: '[fd00::101]:21', scheduler: rr, destinations: ['[fd00:0:0:1::3]', '[fd00:0:0:1::4]'] }
`;

const serverConfig = (folder: string): string => `listen=NO
listen_ipv6=YES
background=NO
anonymous_enable=YES
no_anon_password=YES
anon_root=${folder}/files
local_enable=NO
connect_from_port_20=YES
pasv_min_port=30000
pasv_max_port=30999
xferlog_enable=NO
isolate=NO
isolate_network=NO
seccomp_sandbox=NO
secure_chroot_dir=${folder}/empty
`;

const WAYS = [
  ['passive', '--disable-epsv --no-ftp-skip-pasv-ip', 'PASV'],
  ['extended passive', '', 'EPSV'],
  ['active', '-P - --disable-eprt', 'PORT'],
  ['extended active', '-P -', 'EPRT'],
] as const;

describe.skipIf(why !== undefined).each(['live', 'tc', 'xdp'])('FTP with nat, %s', (datapath) => {
  let lab: Lab;
  let pins: PinsMount;
  let director: Program;
  /** Starts a director, and resolves when it is ready. */
  const start = async (...more: string[]) => {
    const words = ['--datapath', datapath, ...(datapath === 'live' ? [] : ['--pins', pins.root]), ...more];
    director = await startDirector(lab.director, join(lab.folder, 'lvs.yaml'), ...words);
  };
  /** The folder of all servers: vsftpd reads files as another user. */
  let shared: string;
  const counts = async () => {
    using client = new ControlClient(join(lab.director.folder, 'run/director.sock'));
    return (await client.snapshot({})).counts;
  };
  const curl = (url: string, words: string) => lab.client.exec(`curl -sS --max-time 50 ${words} '${url}'`);
  const filesOf = (server: string) =>
    Array.from({ length: FILES }, (_, i) => `file ${i + 1} of ${server}`).join('\n');

  beforeAll(async () => {
    lab = await Lab.create({ shape: 'nat', servers: 2, ipv6: true });
    shared = mkdtempSync(join(tmpdir(), 'lvs-ftp-'));
    chmodSync(shared, 0o755);
    for (const server of lab.servers) {
      const folder = join(shared, server.name);
      const files = join(folder, 'files');
      mkdirSync(files, { recursive: true });
      mkdirSync(join(folder, 'empty'));
      for (let i = 1; i <= FILES; i++) writeFileSync(join(files, `${i}`), `file ${i} of ${server.name}\n`);
      writeFileSync(join(files, 'long'), Buffer.alloc(LONG_BYTES));
      writeFileSync(join(folder, 'vsftpd.conf'), serverConfig(folder));
      server.spawn([VSFTPD, join(folder, 'vsftpd.conf')]);
    }
    await Promise.all(lab.servers.map((server) => server.listening(21)));
    writeFileSync(join(lab.folder, 'lvs.yaml'), YAML);
    pins = new PinsMount();
    if (datapath === 'xdp') lab.pollPeers();
    await start();
  });
  afterAll(async () => {
    await lab?.[Symbol.asyncDispose]();
    pins?.[Symbol.dispose]();
    if (shared) rmSync(shared, { recursive: true });
  });

  test('files of one server arrive on one control connection, over IPv4', async () => {
    for (const [, words, command] of WAYS) {
      const before = await counts();
      const read = await curl(`ftp://${lab.vip}/[1-${FILES}]`, `${words} -v 2>${lab.client.folder}/log`);
      expect([filesOf('rs1'), filesOf('rs2')]).toContain(read);
      expect(await lab.client.exec(`grep -c '^> ${command}' ${lab.client.folder}/log`)).toBe(`${FILES}`);
      const { ftpAnnounced, ftpRefused, ftpTranslated } = await counts();
      expect([ftpAnnounced - before.ftpAnnounced, ftpRefused, ftpTranslated - before.ftpTranslated]).toEqual([
        FILES,
        0,
        command === 'PASV' ? FILES : 0,
      ]);
    }
  });

  test('and over IPv6', async () => {
    for (const words of ['', '-P -']) {
      const read = await curl(`ftp://\\[${lab.vip6}\\]/[1-${FILES}]`, words);
      expect([filesOf('rs1'), filesOf('rs2')]).toContain(read);
    }
  });

  test('a long file arrives whole, by programs of the kernel if there are any', async () => {
    for (const [name, words] of WAYS) {
      const before = await counts();
      const read = await lab.client.exec(`curl -sS --max-time 50 ${words} ftp://${lab.vip}/long | wc -c`);
      expect(read).toBe(`${LONG_BYTES}`);
      const { forwarded } = await counts();
      if (datapath !== 'live') expect(forwarded - before.forwarded, name).toBeLessThan(FEW_PACKETS);
    }
  });

  test('a control connection goes on over restarts of the director', async () => {
    await using client = lab.client.spawn([...built('test/support/ftp-client'), lab.vip]);
    await client.line(/^ready$/);
    /** Fetches a file; each announcement that is translated shifts the sequence numbers of what follows. */
    const fetch = async (file: number) => {
      client.write(`${file}\n`);
      expect(await client.line(new RegExp(`^${file}: `))).toMatch(
        new RegExp(`^${file}: file ${file} of rs[12]$`),
      );
    };
    await fetch(1);
    await fetch(2);
    await director.stop('SIGKILL');
    await start();
    await fetch(3);
    const former = director;
    await start('--replace');
    await former.ended;
    await fetch(4);
    await lab.director.exec([...lvs, 'stop', '--keep']);
    await start();
    await fetch(5);
    await fetch(6);
  });
});
