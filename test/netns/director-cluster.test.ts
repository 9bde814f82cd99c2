/** Three directors that share their configuration in a real etcd. */
import { cpSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { clusterMissing } from '../support/cluster.ts';
import { etcdMissing } from '../support/etcd-cluster.ts';
import { EtcdSite, SERVERS } from '../support/etcd-site.ts';
import { director, ipvsadm } from '../support/lvs-programs.ts';
import { PATIENCE } from '../support/program.ts';

const why = clusterMissing() ?? etcdMissing();
test('the required programs and privileges are available', ({ skip }) => skip(why !== undefined, why));

const [A, B, C] = SERVERS;
/** Prints figures, and takes longer for them. */
const isMeasured = process.env['LVS_CLUSTER_MEASURE'] !== undefined;
const report = (line: string): void => {
  if (isMeasured) process.stdout.write(`${line}\n`);
};

describe.skipIf(why !== undefined)('a cluster of three directors', () => {
  let site: EtcdSite;
  beforeAll(async () => {
    site = await EtcdSite.create({ etcdWords: ['--max-request-bytes', '4000000'] });
    await site.form(site.text([A]));
  });
  afterAll(() => site?.[Symbol.asyncDispose]());

  const one = () => site.directors[0]!;
  const rules = (directors = site.directors) =>
    Promise.all(directors.map(({ host }) => host.exec([...ipvsadm, '-Sn'])));
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
    const status = await one().host.exec([...director, 'status']);
    expect(status).toMatch(
      /^director vs1 of the cluster web, active, etcd is reachable\ncluster web: 3 of 3 directors online, generation 1$/m,
    );
    expect(await one().host.exec([...director, 'top'])).toContain('cluster web: 3 of 3 directors online');
    await expect
      .poll(() => web('/metrics'), { timeout: PATIENCE })
      .toContain(`lvs_cluster_announced{node="vs3",vip="${site.lab.vip}"} 1`);
    await expect
      .poll(() => web('/'), { timeout: PATIENCE })
      .toMatch(/<li>.* <b>vs3<\/b> started generation 1/);
  });

  test('a configuration that is applied on one director reaches all, and stays in the history', async () => {
    const file = site.write(site.text([A, B]));
    expect(await one().cluster('plan', file)).toBe(
      `vs1, vs2, vs3: 1 changes, 0 to be removed when idle\n  + tcp ${site.lab.vip}:80 -> ${B}:80: dr, weight 1`,
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
      /vs1: 1 changes.*\n {2}\+ .*\n {2}~ deny .*\nvs2, vs3: rejects it: .*\/run\/lvs\/denied.*\n(?:.*\n)*nothing is changed/,
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

  test('ipvsadm on one director changes the rules of all, with the errors of the merged state', async () => {
    const [first, second, third] = site.directors;
    const vip = `${site.lab.vip}:80`;
    const rule = (server: string) => [...ipvsadm, '-a', '-t', vip, '-r', server, '-g', '-w', '7'];
    await first!.host.exec(rule(C));
    await have([A, B, C]);
    expect(await third!.host.run(rule(C))).toEqual({
      ...{ status: 255, stdout: '' },
      stderr: 'Destination already exists\n',
    });
    // Each is a change of what the others have made.
    const added = Array.from({ length: 24 }, (_, i) => `192.168.1.${100 + i}`);
    await Promise.all(added.map((server, i) => site.directors[i % 3]!.host.exec(rule(server))));
    for (const text of await rules())
      expect(added.filter((server) => !text.includes(` ${server}:80 `))).toEqual([]);
    const lines = added.map((server) => `-d -t ${vip} -r ${server}`);
    await second!.host.exec([...ipvsadm, '-R'], { input: `${lines.join('\n')}\n` });
    await have([A, B, C]);
    // What ipvsadm has removed does not return with a generation, not even for a moment.
    await first!.host.exec([...ipvsadm, '-d', '-t', vip, '-r', A]);
    await have([B, C]);
    const from = third!.program.output.length;
    await first!.cluster('apply', site.write(site.text([A, B], 'drain: 301\n')));
    await have([B, C]);
    expect(third!.program.output.slice(from)).toContain('cluster-generation-applied');
    expect(third!.program.output.slice(from)).not.toContain('destination-added');
    await first!.host.exec([...rule(A).slice(0, -1), '1']);
    await have([A, B, C]);
    // A new configuration keeps what it does not concern, and a new process has it, too.
    await first!.cluster('apply', site.write(site.text([B])));
    await have([B, C]);
    await third!.program.stop();
    await third!.start();
    await have([B, C]);
    await first!.cluster('apply', site.write(site.text([A, B], 'adopt: replace\n')));
    await have([A, B]);
    await third!.host.exec(['env', 'LVS_LOCAL=1', ...rule(C)]);
    expect((await rules()).map((text) => text.includes(C))).toEqual([false, false, true]);
    await third!.host.exec(['env', 'LVS_LOCAL=1', ...ipvsadm, '-d', '-t', vip, '-r', C]);
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

  test('a killed director that starts again takes its name over, and another one with its name is reported', async () => {
    const [first, second, third] = site.directors;
    const taken = / cluster-ignored reason=.*another director has the name vs2/;
    await second!.program.stop('SIGKILL');
    await second!.start();
    const copy = JSON.parse(readFileSync(join(second!.state, 'web/cluster.json'), 'utf8')).copy;
    await expect
      .poll(async () => JSON.parse(await web('/api/v1/snapshot')).surroundings.cluster.members, {
        timeout: PATIENCE,
      })
      .toContainEqual(expect.objectContaining({ node: 'vs2', copy, isReady: true }));
    expect(second!.program.output).not.toMatch(taken);
    // A duplicate of its host, with its copy and with another one.
    await third!.program.stop();
    const settings = readFileSync(second!.settings, 'utf8');
    for (const isSame of [true, false]) {
      const state = join(third!.host.folder, `duplicate-${isSame}`);
      cpSync(second!.state, state, { recursive: true });
      if (!isSame) {
        const path = join(state, 'web/cluster.json');
        writeFileSync(path, readFileSync(path, 'utf8').replace(copy, 'another'));
      }
      const duplicate = join(third!.host.folder, 'duplicate.yaml');
      writeFileSync(duplicate, settings.replace(second!.state, state));
      await using program = third!.host.spawn([
        ...[...director, 'run', '--cluster', duplicate, '--interface', 'eth0', '--connections', '20000'],
        ...['--datapath', 'live'],
      ]);
      await (isSame ? second!.program : program).line(taken);
      if (!isSame) expect(second!.program.output.match(new RegExp(taken, 'g'))).toHaveLength(1);
      await program.stop();
      if (isSame) await second!.program.line(/ cluster-ignored-ended /);
    }
    await third!.start();
    await expect
      .poll(() => first!.cluster('members'), { timeout: PATIENCE })
      .toMatch(/vs2: active, ready.*\nvs3: active, ready/);
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
    // The third director was evicted.
    const left = site.directors.slice(0, 2);
    const before = await rules(left);
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
    expect(await rules(left)).toEqual(before);
    expect(await web('/metrics')).toMatch(/^lvs_cluster_invalid_records_total [1-9]/m);
    await put('/lvs/web/state/meta', meta);
    for (const key of keys.slice(3))
      await site.lab.host('router').exec(site.etcd.ctlArgv('del', `/lvs/web/state/${key}`));
    // The generation of the directors is known without that of etcd.
    await one().cluster('apply', site.write(site.text([B])));
    await expect
      .poll(async () => (await rules(left)).map((text) => text.includes(` ${B}:80 `)), { timeout: PATIENCE })
      .toEqual([true, true]);
  });
});

describe.skipIf(why !== undefined)('without etcd', () => {
  let site: EtcdSite;
  beforeAll(async () => {
    site = await EtcdSite.create();
    await site.form(site.text([A, B]));
  });
  afterAll(() => site?.[Symbol.asyncDispose]());

  test('changes in a row reach all directors, and members of etcd end and return, while no client loses anything', async () => {
    await site.connect(isMeasured ? 100 : 20, isMeasured ? 50 : 10);
    const [, , third] = site.directors;
    await expect
      .poll(() => site.directors[0]!.cluster('members'), { timeout: PATIENCE })
      .toMatch(/vs3: active, ready/);
    const texts = [site.text([A, B, C]), site.text([A, B])];
    const changes = await site.changes(isMeasured ? 200 : 6, texts);
    expect(changes).toMatchObject({ lost: 0 });
    report(`${changes.changes} changes: ${JSON.stringify(changes)}`);
    report(`clients: ${JSON.stringify(await site.seen())}`);
    for (const index of [0, 1, 2]) {
      await site.etcd.kill(index);
      expect(await site.changes(2, texts)).toMatchObject({ changes: 2, lost: 0 });
      site.etcd.startMember(index);
      await site.etcd.answers();
    }
    await third!.host.exec([...ipvsadm, '-Ln']);
    const seen = await site.seen();
    report(`members killed in turn: ${JSON.stringify(seen)}`);
    expect(seen).toMatchObject({ lost: 0, failed: 0 });
  }, 900_000);

  test('without a quorum changes are refused, a restart uses the copy, and nothing else changes', async () => {
    const [first, second] = site.directors;
    const vip = `${site.lab.vip}:80`;
    await first!.cluster('apply', site.write(site.text([A, B])));
    const rule = [...ipvsadm, '-a', '-t', vip, '-r', C, '-g'];
    const listed = (node = first!) => node.host.exec([...ipvsadm, '-Sn']);
    await first!.host.exec(rule);
    const before = await listed();
    await site.etcd.kill(0);
    await site.etcd.kill(1);
    await first!.program.line(/ cluster-unreachable /);
    await site.seen();
    await sleep(isMeasured ? 60_000 : 2000);
    const seen = await site.seen();
    report(`without a quorum: ${JSON.stringify(seen)}`);
    expect(seen).toMatchObject({ lost: 0, failed: 0 });
    expect(await listed()).toBe(before);
    await site.clients!.stop();
    const edit = [...ipvsadm, '-e', '-t', vip, '-r', C, '-g', '-w', '9'];
    const { status, stderr } = await first!.host.run(edit);
    expect([status, stderr]).toEqual([
      255,
      expect.stringMatching(
        /^ipvsadm: cluster web: not changed: .*\(LVS_LOCAL=1 acts on this director alone\)\n$/,
      ),
    ]);
    expect((await first!.run(['apply', site.write(site.text([A]))])).status).toBe(1);
    await second!.program.stop('SIGKILL');
    await second!.start();
    await second!.program.line(/ cluster-copy-used cluster=web /);
    const explain = async (node = second!) => {
      const to = ['--from', '192.168.0.200:5', '--to', vip];
      return (await node.host.exec([...director, 'explain', ...to])).match(/^generation +(.*)$/m)?.[1];
    };
    expect(await explain()).toMatch(/^\d+ of the cluster web, from the copy on this host/);
    expect(await explain(first)).toMatch(/^\d+ of the cluster web, from etcd; etcd cannot be reached now$/);
    expect(await listed(second)).toBe(before);
    await second!.program.line(/ cluster-unreachable /);
    expect(await second!.host.exec('curl -s http://127.0.0.1:9112/readyz')).toContain(
      'the cluster web cannot be reached',
    );
    expect(await listed()).toBe(before);
    await first!.host.exec(['env', 'LVS_LOCAL=1', ...edit]);
    expect(await listed()).toBe(before.replace(`${C}:80 -g -w 1`, `${C}:80 -g -w 9`));
    site.etcd.startMember(0);
    site.etcd.startMember(1);
    await first!.program.line(/ cluster-unreachable-ended /);
    await first!.cluster('apply', site.write(site.text([A, B, C])));
    await expect.poll(() => listed(second), { timeout: PATIENCE }).toContain(C);
    expect(await explain()).toMatch(/^\d+ of the cluster web, from etcd$/);
    // The key of its former process had remained.
    expect(second!.program.output).not.toContain('another director has the name');
  });
});
