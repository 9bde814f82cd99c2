import { existsSync, statSync, writeFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { MAX_REQUEST_BYTES } from '../../src/control/protocol.ts';
import { clusterMissing } from '../support/cluster.ts';
import { Lab } from '../support/lab.ts';
import { director, ipvsadm, startAgent, startDirector, startServers } from '../support/lvs-programs.ts';
import type { Program } from '../support/program.ts';
import { PROJECT } from '../support/project.ts';
import { RawClient } from '../support/raw-client.ts';

const why = clusterMissing();
const root = process.getuid?.() === 0;

test('the required programs and privileges are available', ({ skip }) => skip(why !== undefined, why));

const CONFIG = `method: dr
vips:
  - { interface: eth0, address: 192.168.0.101, prefix: 24 }
director: { inside: { interface: eth0, address: 192.168.0.1, prefix: 24 } }
services:
  - { tcp: '192.168.0.101:80', scheduler: rr, destinations: [192.168.0.3, 192.168.0.4] }
`;
/** ID of a group without members and without a name. */
const GROUP = 4711;
/** ID of a user that is neither the owner nor in the group. */
const NOBODY = 65_534;
const METRICS = '127.0.0.1:9112';
/** Maximum number of clients of a director. */
const MAX_CLIENTS = 32;

describe.skipIf(why !== undefined)('the control socket of a running director', () => {
  let lab: Lab;
  let program: Program;
  let config: string;
  let socket: string;

  beforeAll(async () => {
    lab = await Lab.create({ servers: 2 });
    config = join(lab.folder, 'lvs.yaml');
    socket = join(lab.director.folder, 'run', 'director.sock');
    writeFileSync(config, CONFIG);
    for (const [i, host] of lab.servers.entries()) {
      await startAgent(host, '--vip', lab.vip);
      await startServers(host, i + 1);
    }
    program = await startDirector(
      lab.director,
      config,
      ...(root ? ['--socket-group', String(GROUP)] : []),
      '--metrics',
    );
  });
  afterAll(() => lab?.[Symbol.asyncDispose]());

  const list = () => lab.director.run([...ipvsadm, '-L', '-n']);
  /** What the director counts by now, by the name of the metric without its beginning. */
  async function counted(): Promise<Record<string, number>> {
    const text = await lab.director.exec(['curl', '-sS', '--max-time', '30', `http://${METRICS}/metrics`]);
    return Object.fromEntries(
      [...text.matchAll(/^lvs_control_(\S+) (\d+)$/gm)].map(([, name, value]) => [name, Number(value)]),
    );
  }

  test('is accessible to the owner and the group only', async ({ skip }) => {
    skip(!root, 'without root there is one user only');
    const { mode, gid } = statSync(socket);
    expect([mode & 0o777, gid]).toEqual([0o660, GROUP]);
    // Where anybody may read it: the project itself may be in a folder of root's own.
    const [node, script] = ipvsadm;
    const within = `/mnt/${relative(PROJECT, script!)}`;
    const as = (group: number) =>
      lab.director.run([
        ...['unshare', '-m', 'sh', '-c', 'mount --bind "$0" /mnt && exec "$@"', PROJECT],
        ...['setpriv', `--reuid=${NOBODY}`, `--regid=${group}`, '--clear-groups', '--inh-caps=-all'],
        ...[node!, within, '-L', '-n'],
      ]);
    const member = await as(GROUP);
    expect(member.stderr).toBe('');
    expect(member.stdout).toContain('TCP  192.168.0.101:80 rr');
    const stranger = await as(NOBODY);
    expect(stranger).toMatchObject({ status: 255, stdout: '' });
    expect(stranger.stderr).toContain(
      'permission denied: only the owner and the group of the socket may use it',
    );
  });

  test('reports itself to a second director, which changes nothing', async () => {
    const state = 'nft -s list ruleset; ip -o address show dev eth0 | sed "s/valid_lft.*//"';
    const before = await lab.director.exec(state);
    const second = await lab.director.run([...director, 'run', '--config', config]);
    expect(second.status).toBe(1);
    expect(second.stderr).toContain('already in use by another director');
    expect(await lab.director.exec(state)).toBe(before);
    expect((await list()).status).toBe(0);
    expect(program.running).toBe(true);
  });

  test('answers hostile clients with an error or nothing, counts them, and serves other clients', async () => {
    const before = await counted();
    const requests = lab.client.run(
      'for i in $(seq 40); do curl -sSf --max-time 30 http://vip/ || exit 1; done | sort | uniq -c',
      { limit: 120_000 },
    );
    const clients: RawClient[] = [];
    const client = async () => {
      const one = await RawClient.at(socket);
      clients.push(one);
      return one;
    };
    const answer = async (text: string) => (await client()).say(text).ended;
    try {
      expect(await answer('GET / HTTP/1.1\r\n\r\n')).toContain('expected JSON');
      expect(await answer('{"version":2,"ask":"snapshot","parts":{}}\n')).toContain('expected 1');
      expect(await answer(`${'['.repeat(MAX_REQUEST_BYTES - 1)}\n`)).toContain('"error"');
      expect(await answer('x'.repeat(MAX_REQUEST_BYTES + 1))).toContain(`at most ${MAX_REQUEST_BYTES} bytes`);
      const commands = Array.from({ length: 10_001 }, () => ({ op: 'flush' }));
      expect(await answer(`${JSON.stringify({ version: 1, ask: 'apply', commands })}\n`)).toContain(
        'at most 10000',
      );
      for (let i = 0; i < 20; i++) {
        const vanishing = await client();
        vanishing.socket.write('{"version":1,"ask":"conn');
        vanishing.socket.end();
      }
      expect((await list()).stdout).toContain('TCP  192.168.0.101:80 rr');
      // The maximum number of clients, all idle, and one more.
      for (const each of clients.splice(0)) each[Symbol.dispose]();
      await expect.poll(list, { timeout: 20_000 }).toMatchObject({ status: 0 });
      for (let i = 0; i < MAX_CLIENTS; i++) await client();
      expect(await list()).toMatchObject({ status: 0 });
    } finally {
      for (const each of clients) each[Symbol.dispose]();
    }
    await expect.poll(list, { timeout: 20_000 }).toMatchObject({ status: 0 });
    const after = await counted();
    const more = (name: string) => after[name]! - before[name]!;
    expect(more('trouble_total{kind="failed"}')).toBe(5);
    expect(more('trouble_total{kind="vanished"}')).toBe(20);
    expect(more('trouble_total{kind="timed-out"}')).toBeGreaterThanOrEqual(1);
    expect((await requests).stdout.trim().split(/\n */)).toEqual([
      '20 I am real server #1',
      '20 I am real server #2',
    ]);
    expect(program.running).toBe(true);
  });

  test('is replaced when it is stale, and removed at a clean exit', async () => {
    await program.stop('SIGKILL');
    expect(existsSync(socket)).toBe(true);
    expect((await list()).stderr).toContain('the director is no longer running');
    program = await startDirector(lab.director, config);
    expect(statSync(socket).mode & 0o777).toBe(0o600);
    expect((await list()).status).toBe(0);
    expect(await program.stop()).toBe(0);
    expect(existsSync(socket)).toBe(false);
  });
});
