/** Three directors that share their configuration in a real etcd. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { clusterMissing } from '../support/cluster.ts';
import { etcdMissing } from '../support/etcd-cluster.ts';
import { EtcdSite, SERVERS } from '../support/etcd-site.ts';
import { director, ipvsadm } from '../support/lvs-programs.ts';
import { PATIENCE } from '../support/program.ts';

const why = clusterMissing() ?? etcdMissing();
test('the required programs and privileges are available', ({ skip }) => skip(why !== undefined, why));

const [A, B, C] = SERVERS;

describe.skipIf(why !== undefined)('a cluster of three directors', () => {
  let site: EtcdSite;
  beforeAll(async () => {
    site = await EtcdSite.create(['--max-request-bytes', '4000000']);
    await site.form(site.text([A]));
  });
  afterAll(() => site?.[Symbol.asyncDispose]());

  const one = () => site.directors[0]!;
  const rules = () => Promise.all(site.directors.map(({ host }) => host.exec([...ipvsadm, '-Sn'])));
  /** Resolves when all directors have these servers. */
  const have = (servers: readonly string[]) =>
    expect
      .poll(
        async () => (await rules()).map((text) => SERVERS.filter((each) => text.includes(` ${each}:80 `))),
        {
          timeout: PATIENCE,
        },
      )
      .toEqual(site.directors.map(() => servers));
  const put = (key: string, value: string) =>
    site.lab.host('router').exec(site.etcd.ctlArgv('put', key), { input: value });
  const web = (path: string, node = one()) => node.host.exec(`curl -s http://127.0.0.1:9112${path}`);
  const announcements = (node = one()) => node.host.exec([...director, 'announcements']);

  test('all directors run the configuration, and are listed', async () => {
    await have([A]);
    await expect
      .poll(() => one().cluster('members'), { timeout: PATIENCE })
      .toMatch(
        /^generation 1\nvs1: active, ready, generation 1, .*\nvs2: active, ready, generation 1, .*\nvs3: active, ready, generation 1, /,
      );
    expect(await web('/metrics')).toContain('lvs_cluster_members{state="active"} 3');
  });

  test('a configuration that is applied on one director reaches all, and stays in the history', async () => {
    const file = site.write(site.text([A, B]));
    expect(await one().cluster('plan', file)).toBe(
      ['vs1', 'vs2', 'vs3'].map((node) => `${node}: 1 changes, 0 to be removed when idle`).join('\n'),
    );
    await have([A]);
    const printed = await one().cluster('apply', file, '--note', 'second server');
    expect(printed).toMatch(/generation 2\nvs1: applied\nvs2: applied\nvs3: applied$/);
    await have([A, B]);
    expect(await one().cluster('history')).toMatch(/^1 .*\n2 .* second server$/);
    expect(await one().cluster('show')).toBe(site.text([A, B]).trimEnd());
    expect(await one().cluster('log')).toMatch(/ vs3 applied generation 2$/m);
    await one().cluster('rollback', '1', '--at-most', '1');
    await have([A]);
    expect(await one().cluster('members')).toMatch(/^generation 3\n/);
  });

  test('a configuration that one director cannot apply changes nothing anywhere', async () => {
    // The file with the list is on the first director alone.
    await site.directors[0]!.host.exec('echo 192.0.2.1 > /run/lvs/denied');
    const { status, stdout, stderr } = await one().run([
      'apply',
      site.write(site.text([A, B], 'deny: [{ file: /run/lvs/denied }]\n')),
    ]);
    expect(stdout + stderr).toMatch(
      /vs1: 1 changes.*\nvs2: rejects it: .*\/run\/lvs\/denied.*\n(?:.*\n)*nothing is changed/,
    );
    expect(status).toBe(1);
    expect(await one().cluster('members')).toMatch(/^generation 3\n/);
    await have([A]);
  });

  test('a rejected generation stops its spread, and is reported by the directors', async () => {
    // Written by a program that does not ask before.
    const text = site.text([A, B]).replace('rr', 'rrr');
    const { createHash } = await import('node:crypto');
    const common = { generation: 4, time: 'now', author: 'other' };
    await put('/lvs/web/generations/0000000004', JSON.stringify({ ...common, note: '', text }));
    const digest = createHash('sha256').update(text).digest('hex');
    await put('/lvs/web/state/config', JSON.stringify({ ...common, digest, atMost: 0 }));
    for (const { program } of site.directors) await program.line(/ config-rejected .*did you mean 'rr'/);
    await expect
      .poll(() => one().cluster('members'), { timeout: PATIENCE })
      .toMatch(/vs2: active, ready, generation 3, behind 4, rejected 4: /);
    expect(await web('/readyz')).toContain('the configuration file was rejected');
    await have([A]);
    await one().cluster('apply', site.write(site.text([A, B])));
    await have([A, B]);
    await expect.poll(() => web('/readyz'), { timeout: PATIENCE }).toBe('ready');
  });

  test('a paused director announces nothing, over a restart, and keeps its configuration current', async () => {
    const [, second] = site.directors;
    expect(await announcements(second)).toContain(`${site.lab.vip}: announced`);
    await one().cluster('pause', 'vs2');
    await expect
      .poll(() => announcements(second), { timeout: PATIENCE })
      .toContain(`${site.lab.vip}: withdrawn`);
    expect(await announcements(second)).toContain('this director is paused in its cluster');
    await second!.program.stop();
    await second!.start();
    expect(await announcements(second)).toContain(`${site.lab.vip}: withdrawn`);
    await one().cluster('apply', site.write(site.text([A])));
    await have([A]);
    await one().cluster('resume', 'vs2');
    await expect
      .poll(() => announcements(second), { timeout: PATIENCE })
      .toContain(`${site.lab.vip}: announced`);
  });

  test('a director that ends is reported as left at once, and a killed one as lost', async () => {
    const [first, , third] = site.directors;
    await third!.program.stop();
    await first!.program.line(/ cluster-member-left member=vs3/);
    expect(await one().cluster('members')).toContain('vs3: not running');
    const from = first!.program.lines.length;
    await third!.start();
    await first!.program.line(/ cluster-member-joined member=vs3/, PATIENCE, from);
    await third!.program.stop('SIGKILL');
    await first!.program.line(/ cluster-member-lost member=vs3/);
    await third!.start();
  });

  test('an evicted director announces nothing, applies no changes, and starts again only after it has joined', async () => {
    const [, , third] = site.directors;
    await one().cluster('evict', 'vs3');
    await third!.program.line(/ cluster-evicted$/);
    await expect
      .poll(() => announcements(third), { timeout: PATIENCE })
      .toContain(`${site.lab.vip}: withdrawn`);
    await one().cluster('apply', site.write(site.text([A, C])));
    expect((await rules()).map((text) => text.includes(` ${C}:80 `))).toEqual([true, true, false]);
    await third!.program.stop();
    const { status, stderr } = await third!.host.run([...director, 'run', '--cluster', third!.settings]);
    expect([status, stderr]).toEqual([2, expect.stringContaining('vs3 is evicted')]);
  });

  test('garbage in every key is reported, and changes nothing', async () => {
    const before = await rules();
    const keys = [
      'config',
      'meta',
      'nodes/vs1',
      'members/vs9',
      'paused/vs9',
      'evicted/vs9',
      'proposals/x',
      'halts/y',
    ];
    const meta = await site.lab
      .host('router')
      .exec(site.etcd.ctlArgv('get', '--print-value-only', '/lvs/web/state/meta'));
    for (const value of ['\u0000\u0001\u0002', '[]', '{"generation":-1}', 'x'.repeat(2_000_000)])
      for (const key of keys) await put(`/lvs/web/state/${key}`, value);
    await one().program.line(/ cluster-record-ignored key=\/lvs\/web\/state\/config /);
    await one().program.line(/ cluster-ignored reason=.*no cluster/);
    expect(await rules()).toEqual(before);
    expect(await web('/metrics')).toMatch(/^lvs_cluster_invalid_records_total [1-9]/m);
    await put('/lvs/web/state/meta', meta);
    for (const key of keys.slice(3))
      await site.lab.host('router').exec(site.etcd.ctlArgv('del', `/lvs/web/state/${key}`));
    // The generation of the directors is known without that of etcd.
    await one().cluster('apply', site.write(site.text([B])));
    await expect
      .poll(async () => (await rules()).map((text) => text.includes(` ${B}:80 `)), { timeout: PATIENCE })
      .toEqual([true, true, false]);
  });
});
