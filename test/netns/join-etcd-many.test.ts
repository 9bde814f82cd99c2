/** Many servers that register in a real etcd of three members: they move, are hidden by partitions, and leave. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { clusterMissing } from '../support/cluster.ts';
import { etcdMissing } from '../support/etcd-cluster.ts';
import { EtcdSite } from '../support/etcd-site.ts';
import type { LabHost } from '../support/lab-host.ts';
import { ipvsadm } from '../support/lvs-programs.ts';
import { PATIENCE, type Program } from '../support/program.ts';
import { built } from '../support/project.ts';

const why = clusterMissing() ?? etcdMissing();
test('the required programs and privileges are available', ({ skip }) => skip(why !== undefined, why));

/** Servers that join from two hosts; 50 take longer. */
const MANY = Number(process.env['LVS_JOIN_SERVERS'] ?? 10);
/** Servers of the second host: a partition hides them. */
const HIDDEN = Math.floor((MANY * 4) / 5);
/** ms after which leases have ended, and directors would have removed the servers. */
const LONGER_THAN_LEASES = 20_000;
const ADDRESSES = Array.from({ length: MANY }, (_, i) => `192.168.1.${100 + i}`);

describe.skipIf(why !== undefined)('many servers in etcd', () => {
  let site: EtcdSite;
  /** Those that no partition hides, and the others. */
  const agents: Program[] = [];
  const [SEEN, UNSEEN] = [ADDRESSES.slice(0, MANY - HIDDEN), ADDRESSES.slice(MANY - HIDDEN)];

  beforeAll(async () => {
    site = await EtcdSite.create();
    const { folder, vip } = site.lab;
    await site.form(`method: dr
announce: { rise: 0 }
drain: 5
join: { networks: [192.168.1.0/24] }
services:
  - tcp: '${vip}:80'
    scheduler: wrr
    check: { type: tcp, interval: 1, timeout: 1, fall: 2, rise: 2 }
    join: { max-servers: 100, slow-start: 2 }
    destinations: []
`);
    for (const [i, addresses] of [SEEN, UNSEEN].entries()) {
      const host = site.lab.servers[i]!;
      const lines = addresses.map((address) => `address add ${address}/24 dev eth0`);
      await host.exec(['ip', '-batch', '-'], { input: `${lines.join('\n')}\n` });
      agents[i] = host.spawn([
        ...built('test/support/join-agents'),
        ...['--etcd', site.etcd.endpoints.join(','), '--first', String(i * SEEN.length + 1)],
        ...['--service', `tcp:${vip}:80`, '--words', folder, ...addresses],
      ]);
      await agents[i].line(/^ready$/);
    }
  });
  afterAll(async () => {
    await Promise.all(agents.map((each) => each.stop('SIGKILL')));
    await site?.[Symbol.asyncDispose]();
  });

  const weights = async (host: LabHost) => {
    const list = await host.exec([...ipvsadm, '-Ln']);
    const found = [...list.matchAll(/-> ([\d.]+):80 +Route +(\d+)/g)];
    return Object.fromEntries(found.map(([, address, weight]) => [address!, Number(weight)]));
  };
  const all = () => Promise.all(site.directors.map(({ host }) => weights(host)));
  const every = (weight: number) =>
    site.directors.map(() => Object.fromEntries(ADDRESSES.map((address) => [address, weight])));
  const become = (weight: number) => expect.poll(all, { timeout: PATIENCE }).toEqual(every(weight));
  const say = (weight: number) => {
    for (let i = 1; i <= MANY; i++)
      writeFileSync(join(site.lab.folder, `words-${i}`), `up ready ${weight}%\n`);
  };
  const logs = () => site.directors.map(({ program }) => program.output).join('\n');
  /** Drops what hosts send to etcd. */
  const hide = async (hosts: readonly LabHost[]) => {
    const ports = site.etcd.endpoints.map((url) => new URL(url).port).join(', ');
    const rule = `tcp dport { ${ports} } drop`;
    const input = `table ip hide { chain out { type filter hook output priority 0; ${rule}; }; }`;
    for (const host of hosts) await host.exec(['nft', '-f', '-'], { input });
  };
  const show = async (hosts: readonly LabHost[]) => {
    for (const host of hosts) await host.exec(['nft', 'delete', 'table', 'ip', 'hide']);
  };

  test('join all directors, and move their weights', async () => {
    const began = performance.now();
    await become(100);
    report('all have joined with their full weights', began);
    const moved = performance.now();
    say(40);
    await become(40);
    report('all weights have moved', moved);
  });

  test('are all kept when a partition hides most of them from etcd', async () => {
    const hosts = [site.lab.servers[1]!];
    await hide(hosts);
    const began = performance.now();
    for (const { program } of site.directors) await program.line(/joined-servers-kept /);
    report('the loss of most servers is known', began);
    for (const { host } of site.directors)
      await expect
        .poll(() => host.exec('curl -s http://127.0.0.1:9112/metrics'), { timeout: PATIENCE })
        .toMatch(new RegExp(`^lvs_joined_servers{state="kept"} ${HIDDEN}$`, 'm'));
    await sleep(LONGER_THAN_LEASES);
    expect(await all()).toEqual(every(40));
    expect(logs()).not.toMatch(/server-silent/);
    await show(hosts);
    for (const { program } of site.directors) await program.line(/joined-servers-kept-ended/);
    expect(await all()).toEqual(every(40));
  });

  test('stay when a partition hides etcd from the directors, and are followed afterwards', async () => {
    const hosts = site.directors.map(({ host }) => host);
    await hide(hosts);
    for (const { program } of site.directors) await program.line(/cluster-unreachable /);
    await sleep(LONGER_THAN_LEASES);
    say(70);
    expect(await all()).toEqual(every(40));
    await show(hosts);
    const began = performance.now();
    await become(70);
    report('weights are followed again', began);
    expect(logs()).not.toMatch(/server-silent|server-leaving/);
  });

  test('leave without a failed request', async () => {
    await site.connect(0, 50);
    const began = performance.now();
    for (let i = 2; i <= MANY; i++) agents[i <= SEEN.length ? 0 : 1]!.write(`leave ${i}\n`);
    await expect
      .poll(all, { timeout: PATIENCE })
      .toEqual(site.directors.map(() => ({ [ADDRESSES[0]!]: 70 })));
    report('all but one have left', began);
    const { opened, failed } = await site.seen();
    report(`${opened} connections, ${failed} failed`, began);
    expect(failed).toBe(0);
    expect(logs()).not.toMatch(/server-silent/);
  });
});

/** Prints how long a step took, when figures are requested. */
function report(what: string, from: number): void {
  if (process.env['LVS_JOIN_SERVERS'] !== undefined)
    process.stderr.write(
      `${MANY} servers: ${what} after ${((performance.now() - from) / 1000).toFixed(1)} s\n`,
    );
}
