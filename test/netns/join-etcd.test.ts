/** Servers that register in a real etcd of three members, which three directors follow. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { clusterMissing } from '../support/cluster.ts';
import { etcdMissing } from '../support/etcd-cluster.ts';
import { EtcdSite, SERVERS } from '../support/etcd-site.ts';
import { director, ipvsadm, startAgent } from '../support/lvs-programs.ts';
import { PATIENCE, type Program } from '../support/program.ts';

const why = clusterMissing() ?? etcdMissing();
test('the required programs and privileges are available', ({ skip }) => skip(why !== undefined, why));

/** ms after which leases of servers have ended, and directors would have acted. */
const LONGER_THAN_LEASES = 9000;

describe.skipIf(why !== undefined)('servers of three directors', () => {
  let site: EtcdSite;
  let config: string;
  const agents: Program[] = [];
  const words = (i: number) => join(site.lab.folder, `words-${i + 1}`);

  beforeAll(async () => {
    site = await EtcdSite.create();
    const { vip } = site.lab;
    const text = `method: dr
announce: { rise: 0 }
drain: 5
join: { networks: [192.168.1.0/24] }
services:
  - { tcp: '${vip}:80', scheduler: wrr, join: { slow-start: 1 }, destinations: [] }
`;
    config = site.write(text);
    await site.form(text);
    for (const i of SERVERS.keys()) writeFileSync(words(i), 'up ready 100%\n');
    await Promise.all(SERVERS.map((_, i) => start(i)));
  });
  afterAll(() => site?.[Symbol.asyncDispose]());

  async function start(i: number): Promise<void> {
    const host = site.lab.servers[i]!;
    const settings = join(site.lab.folder, `server-${i + 1}.yaml`);
    writeFileSync(
      settings,
      `cluster: web\nnode: s${i + 1}\nendpoints: [${site.etcd.endpoints.join(', ')}]\n`,
    );
    agents[i] = await startAgent(
      ...([host, '--config', config, '--net-device', 'eth0', '--join', '--join-cluster', settings] as const),
      ...['--words-file', words(i), '--drain', '2'],
    );
  }

  /** Weights of the servers at each director; undefined: it does not have them. */
  const weights = async (directors = site.directors) =>
    Promise.all(
      directors.map(async ({ host }) => {
        const list = await host.exec([...ipvsadm, '-Ln']);
        return SERVERS.map((server) => {
          const found = new RegExp(`-> ${server}:80 +Route +(\\d+)`).exec(list);
          return found ? Number(found[1]) : undefined;
        });
      }),
    );
  const become = (...expected: (number | undefined)[]) =>
    expect.poll(() => weights(), { timeout: PATIENCE }).toEqual(site.directors.map(() => expected));
  const log = (i: number) => site.directors[i]!.program.lines.join('\n');

  test('are added by all directors, and their weights followed', async () => {
    await become(100, 100, 100);
    writeFileSync(words(0), 'up ready 40%\n');
    await become(40, 100, 100);
    const metrics = await site.directors[0]!.host.exec('curl -s http://127.0.0.1:9112/metrics');
    expect(metrics).toMatch(/^lvs_registered_servers 3$/m);
    expect(metrics).toMatch(/^lvs_joined_servers{state="up"} 3$/m);
    const listed = await site.directors[0]!.host.exec([...director, 'joined']);
    expect(listed).toMatch(/^server +by +service +destination +weight +announced +state +since\n/);
    expect(listed).toMatch(
      /^s1 +etcd +tcp [\d.]+:80 +192\.168\.1\.3:80 +40 +40 +up +20.*Z\ns2 .*\ns3 .*100 +100 +up /m,
    );
    writeFileSync(words(0), 'up ready 100%\n');
    await become(100, 100, 100);
  });

  test('stay while etcd is gone, over a restart of a director', async () => {
    for (const i of site.etcd.members.keys()) await site.etcd.kill(i);
    await sleep(LONGER_THAN_LEASES);
    await become(100, 100, 100);
    const [first] = site.directors;
    await first!.program.stop();
    await first!.start();
    expect(first!.program.lines.join('\n')).toContain('cluster-copy-used');
    await sleep(LONGER_THAN_LEASES);
    await become(100, 100, 100);
    for (const i of site.etcd.members.keys()) site.etcd.startMember(i);
    await site.etcd.answers();
    // They are followed again.
    writeFileSync(words(1), 'up ready 60%\n');
    await become(100, 60, 100);
    writeFileSync(words(1), 'up ready 100%\n');
    await become(100, 100, 100);
  });

  test('stay when a new generation of the configuration is applied, and when ipvsadm changes the rules', async () => {
    const next = readFileSync(config, 'utf8').replace('drain: 5', 'drain: 6');
    const [first] = site.directors;
    // The key of its former process may vanish meanwhile.
    await first!.run(['apply', site.write(next, 'next.yaml')]);
    await expect
      .poll(() => first!.cluster('members'), { timeout: PATIENCE })
      .toMatch(/^vs1: active, ready, generation 2,.*\nvs2: .* generation 2,.*\nvs3: .* generation 2,/m);
    await first!.host.exec([...ipvsadm, '-A', '-t', `${site.lab.vip}:81`, '-s', 'rr']);
    await sleep(1000);
    await become(100, 100, 100);
  });

  test('are changed by ipvsadm on one director, until they announce something else', async () => {
    const [first, second] = site.directors;
    const service = ['-t', `${site.lab.vip}:80`];
    const run = (words: string[]) => first!.host.run([...ipvsadm, ...words]);
    const [, server] = SERVERS;
    expect(await run(['-a', ...service, '-r', server, '-g'])).toMatchObject({
      ...{ status: 255, stderr: 'Destination already exists\n' },
    });
    expect(await run(['-e', ...service, '-r', '192.168.1.99', '-g'])).toMatchObject({
      ...{ status: 255, stderr: 'No such destination\n' },
    });
    expect(await run(['-e', ...service, '-r', server, '-g', '-w', '7'])).toMatchObject({ status: 0 });
    expect(await weights()).toEqual([
      [100, 7, 100],
      [100, 100, 100],
      [100, 100, 100],
    ]);
    writeFileSync(words(1), 'up ready 60%\n');
    await become(100, 60, 100);
    expect(await run(['-d', ...service, '-r', server])).toMatchObject({ status: 0 });
    expect(await weights()).toEqual([
      [100, undefined, 100],
      [100, 60, 100],
      [100, 60, 100],
    ]);
    expect(await first!.host.exec([...director, 'joined'])).toMatch(/^s2 +etcd .* - +60 +removed /m);
    expect(await second!.host.exec([...director, 'joined'])).toMatch(/^s2 +etcd .* 60 +60 +up /m);
    // The next run of the agent joins again.
    await agents[1]!.stop('SIGTERM', PATIENCE);
    writeFileSync(words(1), 'up ready 100%\n');
    await start(1);
    await become(100, 100, 100);
  });

  test('that leave are removed, and one that is killed gets no connections any more', async () => {
    expect(await agents[2]!.stop('SIGTERM', PATIENCE)).toBe(0);
    await become(100, 100, undefined);
    expect(log(1)).toMatch(/server-draining.*s3/);
    expect(log(1)).toMatch(/server-leaving.*s3/);
    expect(log(1)).not.toMatch(/server-silent.*s3/);
    await start(2);
    await become(100, 100, 100);
    await agents[2]!.stop('SIGKILL');
    await expect
      .poll(() => site.directors[0]!.host.exec([...director, 'joined']), { timeout: PATIENCE, interval: 100 })
      .toMatch(/^s3 +etcd .* 0 +100 +silent /m);
    await become(100, 100, undefined);
    expect(log(1)).toMatch(/server-silent.*s3/);
  });
});
