/** Directors of a cluster with a wanted number for each group of VIPs, and spares: real BIRD, etcd and an ECMP router. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { clusterMissing } from '../support/cluster.ts';
import { lacking } from '../support/debian.ts';
import { EcmpSite } from '../support/ecmp-site.ts';
import { EtcdCluster, etcdMissing } from '../support/etcd-cluster.ts';
import { ClusterDirector } from '../support/etcd-site.ts';
import { director } from '../support/lvs-programs.ts';
import { PinsMount } from '../support/pins.ts';
import { PATIENCE } from '../support/program.ts';

const why = clusterMissing() ?? etcdMissing() ?? lacking('/usr/sbin/bird', 'bird2');
test('the required programs and privileges are available', ({ skip }) => skip(why !== undefined, why));

const HELD = Number(process.env['LVS_GROUPS_HELD'] ?? 100);
const UNHARMED = { lost: 0, failed: 0 };

describe.skipIf(why !== undefined)('a group of VIPs', () => {
  let site: EcmpSite;
  let etcd: EtcdCluster;
  let directors: readonly ClusterDirector[];
  let pins: PinsMount;
  let words: readonly string[];

  /** A file with `groups`. */
  const file = (groups: string, more = '') => {
    site.configure(
      (text) =>
        text.replace('rise: 2', 'rise: 1').replace('announce:\n', `announce:\n  groups: ${groups}\n`) + more,
    );
    return site.nodes[0]!.config;
  };
  /** The directors that announce the group, as etcd and BIRD have it. */
  const active = async (group = 'web') => {
    const members = JSON.parse(await directors[0]!.cluster('members', '--json'));
    const { holders } = members.groups.find(({ name }: { name: string }) => name === group) ?? {
      holders: [],
    };
    return holders as string[];
  };
  const routed = async (vip = site.lab.vip) => {
    const routes = await site.router.exec(`ip route show ${vip}`);
    return directors
      .filter(({ host }) => routes.includes(` via ${host.address} `))
      .map(({ host }) => host.name);
  };
  /** Resolves when these directors announce the VIP. */
  const announced = async (names: readonly string[], vip?: string) => {
    await expect.poll(() => routed(vip), { timeout: PATIENCE }).toEqual(names);
  };
  const named = (name: string) => directors.find(({ host }) => host.name === name)!;
  const spareOf = (names: readonly string[]) => directors.find(({ host }) => !names.includes(host.name))!;
  const announcements = ({ host }: ClusterDirector) => host.exec([...director, 'announcements']);

  beforeAll(async () => {
    pins = new PinsMount();
    words = ['--datapath', process.env['LVS_DATAPATH'] ?? 'tc', '--pins', pins.root];
    site = await EcmpSite.create(words);
    etcd = await EtcdCluster.start({ host: site.router, address: '192.168.1.254' });
    directors = site.nodes.map(({ host }) => new ClusterDirector(host, etcd.endpoints));
    const token = await directors[0]!.cluster('init');
    for (const each of directors) expect((await each.run(['join'], `${token}\n`)).stderr).toBe('');
    await directors[0]!.cluster('apply', file('[{ name: web, active: 2 }]'));
    await Promise.all(directors.map((each) => each.start(...words)));
  });
  afterAll(async () => {
    await site?.[Symbol.asyncDispose]();
    await etcd?.[Symbol.asyncDispose]();
    pins?.[Symbol.dispose]();
  });

  test('is announced by as many directors as are wanted, and the others are spares', async () => {
    await expect.poll(() => active(), { timeout: PATIENCE }).toHaveLength(2);
    const names = (await active()).sort();
    await announced(names);
    const spare = spareOf(names);
    expect(await announcements(spare)).toContain(`${site.lab.vip}: withdrawn: ready, spare\n`);
    expect(await announcements(named(names[0]!))).toContain(`${site.lab.vip}: announced: ready\n`);
    expect(await spare.cluster('members')).toMatch(
      new RegExp(
        `^group web: (${names.join(', ')}|${[...names].reverse().join(', ')}) announce it; spare: ${spare.host.name}$`,
        'm',
      ),
    );
    const metrics = await spare.host.exec('curl -s http://127.0.0.1:9112/metrics');
    expect(metrics).toContain('lvs_cluster_group_wanted{group="web"} 2\n');
    expect(metrics).toContain('lvs_cluster_group_active{group="web"} 2\n');
    expect(metrics).toContain('lvs_cluster_group_role{group="web",role="spare"} 1\n');
    await site.connect(HELD, 20);
  });

  test('a spare takes over before a paused director withdraws, and the paused one keeps its connections', async () => {
    const names = (await active()).sort();
    const [paused, stays] = names.map(named);
    const spare = spareOf(names);
    await site.seen();
    await paused!.cluster('pause');
    await announced([stays!, spare].map(({ host }) => host.name).sort());
    expect(await site.seen()).toMatchObject(UNHARMED);
    expect(await announcements(paused!)).toContain('this director is paused');
    expect(JSON.parse(await paused!.host.exec([...director, 'status', '--json'])).cluster.groups).toEqual([
      { name: 'web', wanted: 2, holders: expect.not.arrayContaining([paused!.host.name]), role: 'spare' },
    ]);
    await paused!.cluster('resume');
    await paused!.program.line(/ cluster-resumed/);
    // It does not return to its place.
    await expect.poll(() => announcements(paused!), { timeout: PATIENCE }).toContain('ready, spare');
    expect(await site.seen()).toMatchObject(UNHARMED);
  });

  test('one director follows the other without a gap when the last one of a group is paused or ends', async () => {
    await directors[0]!.cluster('apply', file('[{ name: web, active: 1 }]'));
    await expect.poll(routed, { timeout: PATIENCE }).toHaveLength(1);
    await expect.poll(() => active(), { timeout: PATIENCE }).toEqual(await routed());
    expect(await site.seen()).toMatchObject(UNHARMED);
    const [first] = (await active()).map(named);
    await first!.cluster('pause');
    await expect
      .poll(() => announcements(first!), { timeout: PATIENCE })
      .toContain(`${site.lab.vip}: withdrawn`);
    await expect.poll(routed, { timeout: PATIENCE }).toHaveLength(1);
    const [second] = (await routed()).map(named);
    expect(second).not.toBe(first);
    await second!.program.stop();
    await expect.poll(routed, { timeout: PATIENCE }).toHaveLength(1);
    expect(await routed()).toEqual([spareOf([first!.host.name, second!.host.name]).host.name]);
    expect(await site.seen()).toMatchObject(UNHARMED);
    await first!.cluster('resume');
    await second!.start(...words);
  });

  test('a spare takes the place of a killed director when its lease ends', async () => {
    const [killed] = (await active()).map(named);
    await expect
      .poll(() => directors[1]!.cluster('members'), { timeout: PATIENCE })
      .not.toContain('not ready');
    await killed!.program.stop('SIGKILL');
    await expect.poll(async () => (await active())[0], { timeout: PATIENCE }).not.toBe(killed!.host.name);
    await announced(await active());
    await expect.poll(async () => (await site.seen()).lost, { timeout: PATIENCE }).toBe(0);
    await killed!.start(...words);
    await expect.poll(() => announcements(killed!), { timeout: PATIENCE }).toContain('ready, spare');
  });

  test('a director keeps its place while it is replaced', async () => {
    const [name] = await active();
    const replaced = named(name!);
    const former = replaced.program;
    await site.seen();
    await replaced.start(...words, '--replace');
    await former.ended;
    await announced([name!]);
    expect(await active()).toEqual([name]);
    await replaced.program.line(/ ready /);
    expect(await site.seen()).toMatchObject(UNHARMED);
  });

  test('a spare without BIRD does not delay the one that takes over from a paused director', async () => {
    const [name] = await active();
    // The first of two spares would claim the place first.
    const dead = spareOf([name!]);
    const other = spareOf([name!, dead.host.name]);
    await site.nodes[directors.indexOf(dead)]!.bird.stop('SIGKILL');
    const silent = async () =>
      JSON.parse(await other.cluster('members', '--json'))
        .nodes.filter(({ member }: { member?: { cannotAnnounce?: true } }) => member?.cannotAnnounce)
        .map(({ node }: { node: string }) => node);
    await expect.poll(silent, { timeout: PATIENCE }).toEqual([dead.host.name]);
    await site.seen();
    await named(name!).cluster('pause');
    await announced([other.host.name]);
    expect(await site.seen()).toMatchObject(UNHARMED);
    site.nodes[directors.indexOf(dead)]!.startBird();
    await dead.program.line(/ announce-failed-ended /);
    await named(name!).cluster('resume');
    await expect.poll(silent, { timeout: PATIENCE }).toEqual([]);
  });

  test('VIPs that move between groups, and groups that are renamed, are announced all the time', async () => {
    const more = `  - { tcp: '10.99.0.2:80', destinations: [192.168.1.3] }\n`;
    const groups = (web: string, b: string) =>
      `[{ name: web, active: 1, vips: [${web}] }, { name: b, active: 1, vips: [${b}] }]`;
    await directors[0]!.cluster('apply', file(groups(site.lab.vip, '10.99.0.2'), more));
    await expect.poll(() => active('b'), { timeout: PATIENCE }).toHaveLength(1);
    await announced(await active('b'), '10.99.0.2');
    const monitor = site.router.spawn('ip monitor route');
    await site.seen();
    for (const words of [[], ['--at-most', '1']]) {
      await directors[0]!.cluster('apply', file(groups('10.99.0.2', site.lab.vip), more), ...words);
      await announced(await active('b'));
      await announced(await active(), '10.99.0.2');
      await directors[0]!.cluster('apply', file(groups(site.lab.vip, '10.99.0.2'), more), ...words);
      await announced(await active());
      await announced(await active('b'), '10.99.0.2');
    }
    for (const name of ['other', 'web']) {
      await directors[0]!.cluster('apply', file(`[{ name: ${name}, active: 1 }]`, more));
      await expect.poll(() => active(name), { timeout: PATIENCE }).toHaveLength(1);
      await announced(await active(name));
    }
    // A route that changes is replaced, and one that no director announces is deleted.
    expect(monitor.lines.filter((line) => line.startsWith('Deleted'))).toEqual([]);
    await monitor.stop();
    expect(await site.seen()).toMatchObject(UNHARMED);
  });

  test('each group has its directors', async () => {
    const more = ['a', 'b']
      .map((_, i) => `  - { tcp: '10.99.0.${i + 2}:80', destinations: [192.168.1.3] }\n`)
      .join('');
    const groups =
      '[{ name: web, active: 1 }, { name: a, active: 1, vips: [10.99.0.2] }, { name: b, active: 1, vips: [10.99.0.3] }]';
    await directors[0]!.cluster('apply', file(groups, more));
    for (const name of ['web', 'a', 'b'])
      await expect.poll(() => active(name), { timeout: PATIENCE }).toHaveLength(1);
    await announced(await active('a'), '10.99.0.2');
    await announced(await active('b'), '10.99.0.3');
    await announced(await active('web'));
    expect(await site.seen()).toMatchObject({ lost: 0 });
  });

  test('a director whose BIRD ends leaves its groups to others', async () => {
    const [name] = await active('a');
    const index = directors.findIndex(({ host }) => host.name === name);
    await site.nodes[index]!.bird.stop('SIGKILL');
    await expect.poll(() => active('a'), { timeout: PATIENCE }).not.toEqual([name]);
    await announced(await active('a'), '10.99.0.2');
    site.nodes[index]!.startBird();
    await directors[index]!.program.line(/ announce-failed-ended /);
  });

  test('without etcd every director keeps its role, over a restart, too', async () => {
    const before = await routed();
    const [holder, other] = [named(before[0]!), spareOf(before)];
    for (const index of [0, 1, 2]) await etcd.kill(index);
    await holder.program.line(/ cluster-unreachable /);
    await other.program.stop();
    await other.start(...words);
    await other.program.line(/ cluster-copy-used /);
    await other.program.line(/ cluster-unreachable /);
    await expect
      .poll(() => announcements(other), { timeout: PATIENCE })
      .toContain(`${site.lab.vip}: withdrawn: ready, spare`);
    expect(await routed()).toEqual(before);
    expect(await announcements(holder)).toContain(`${site.lab.vip}: announced: ready`);
    for (const index of [0, 1, 2]) etcd.startMember(index);
    await etcd.answers();
    await holder.program.line(/ cluster-unreachable-ended /);
    expect(await routed()).toEqual(before);
    expect(await site.seen()).toMatchObject({ lost: 0 });
  });
});
