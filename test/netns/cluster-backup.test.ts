/** Directors whose etcd of three members is restored from a backup while they run. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { clusterMissing } from '../support/cluster.ts';
import { etcdMissing } from '../support/etcd-cluster.ts';
import { EtcdSite, SERVERS } from '../support/etcd-site.ts';
import { director, ipvsadm } from '../support/lvs-programs.ts';
import { PATIENCE } from '../support/program.ts';

const why = clusterMissing() ?? etcdMissing();
test('the required programs and privileges are available', ({ skip }) => skip(why !== undefined, why));

const [A, B, C] = SERVERS;
/** Added with ipvsadm, and no hosts: their weight is 0. */
const [D, E] = ['192.168.1.100', '192.168.1.101'];

describe.skipIf(why !== undefined)('an etcd that is restored from a backup', () => {
  let site: EtcdSite;
  beforeAll(async () => {
    site = await EtcdSite.create();
    await site.form(site.text([A]));
  });
  afterAll(() => site?.[Symbol.asyncDispose]());

  const rules = () =>
    Promise.all(
      site.directors.map(async ({ host }) => {
        const text = await host.exec([...ipvsadm, '-Sn']);
        return [A, B, C, D, E].filter((each) => text.includes(` ${each}:80 `));
      }),
    );
  const have = (...servers: string[]) =>
    expect.poll(rules, { timeout: PATIENCE }).toEqual(site.directors.map(() => servers));
  const rule = (server: string) => [
    ...ipvsadm,
    '-a',
    '-t',
    `${site.lab.vip}:80`,
    '-r',
    server,
    '-g',
    '-w',
    '0',
  ];

  test('removes nothing, and is followed again from the next generation on', async () => {
    const [first, second] = site.directors;
    await first!.host.exec(rule(D!));
    const backup = await site.etcd.save();
    await first!.cluster('apply', site.write(site.text([A, B])));
    await first!.host.exec(rule(E!));
    await have(A, B, D!, E!);
    await site.connect(10, 20);
    await site.etcd.restore(backup);
    for (const { program } of site.directors)
      await program.line(/ cluster-ignored reason=.*etcd has generation 1, and generation 2 is in effect/);
    await have(A, B, D!, E!);
    expect(await first!.cluster('members')).toMatch(
      /^generation 1\nvs1: active, ready, generation 2, .*\nvs2: .* generation 2, .*\nvs3: .* generation 2, /,
    );
    const { status, stderr } = await first!.host.run(rule(C));
    expect([status, stderr]).toEqual([
      255,
      'ipvsadm: cluster web: etcd has generation 1: expected 2 (lvs-director cluster apply)\n',
    ]);
    expect(await site.seen()).toMatchObject({ lost: 0, failed: 0 });
    await site.clients!.stop();
    // A director that starts meanwhile uses its copy.
    await second!.program.stop();
    await second!.start();
    await have(A, B, D!, E!);
    const to = ['--from', '192.168.0.200:5', '--to', `${site.lab.vip}:80`];
    expect(await second!.host.exec([...director, 'explain', ...to])).toMatch(
      /^generation +2 of the cluster web, from the copy on this host.*; etcd has generation 1$/m,
    );
    expect(second!.program.output).not.toContain('another director has the name');
    expect(await first!.cluster('apply', site.write(site.text([A, B, C])))).toMatch(
      /generation 3\nvs1: applied\nvs2: applied\nvs3: applied$/,
    );
    for (const { program } of site.directors.filter((each) => each !== second))
      await program.line(/ cluster-ignored-ended /);
    // Rules of ipvsadm are those of the backup from now on.
    await have(A, B, C, D!);
    await first!.host.exec(rule(E!));
    await have(A, B, C, D!, E!);
  });
});
