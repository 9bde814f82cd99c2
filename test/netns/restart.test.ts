/** A kernel path whose director is killed: it goes on, and is released or taken over. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Cluster, clusterMissing, type Method } from '../support/cluster.ts';
import { kernel } from '../support/ebpf/kernel.ts';
import { director as lvs } from '../support/lvs-programs.ts';
import { PinsMount, pinsMissing } from '../support/pins.ts';
import { built } from '../support/project.ts';

const why = clusterMissing() ?? ('why' in kernel ? kernel.why : undefined) ?? pinsMissing();

/** Connections that are held, and those that are opened in a second. */
const HELD = 200;
const PER_SECOND = 20;

/** The rules of a laboratory. */
const rules = (method: Method, scheduler: string) => `method: ${method}
vips:
  - { interface: eth0, address: 192.168.0.101, prefix: 24 }
services:
  - tcp: 192.168.0.101:80
    scheduler: ${scheduler}
    destinations: [${method === 'nat' ? '192.168.1.3:80, 192.168.1.4:80' : '192.168.0.3, 192.168.0.4'}]
`;

/** A client that keeps a connection and sends on it every 50 ms. It prints each answer, and how the connection ends. */
const held = (vip: string) => [
  process.execPath,
  '-e',
  `const socket = require('node:net').connect({ host: '${vip}', port: 80 });
   const send = () => socket.write('GET / HTTP/1.1\\r\\nHost: vip\\r\\n\\r\\n');
   socket.on('connect', () => setInterval(send, 50));
   socket.on('data', () => console.log('answer'));
   socket.on('error', ({ code }) => { console.log('ended', code); process.exit(); });`,
];

test('the required programs and privileges are available', ({ skip }) => skip(why !== undefined, why));

const PATHS: readonly [string, Method, string][] = [
  ['tc', 'nat', 'wlc'],
  ['tc', 'dr', 'rr'],
  ['xdp', 'nat', 'rr'],
  ['xdp', 'dr', 'wlc'],
];

describe.skipIf(why !== undefined).each(PATHS)('%s, %s, %s', (hook, method, scheduler) => {
  let cluster: Cluster;
  let pins: PinsMount;
  let clean: string;

  /** Addresses, rules and devices of the director's host. */
  const state = async () => {
    const { director } = cluster.lab;
    const addresses = await director.exec("ip -o address show | awk '{ print $2, $4 }'");
    return `${addresses}\n${await director.exec('nft list ruleset')}\n${await director.exec('ip -br link')}`;
  };
  /** Starts a director on the path that the last one left. */
  const startNext = async (...words: string[]) => {
    await cluster.startDirector(['--datapath', hook, '--pins', pins.root, ...words]);
    expect(cluster.director.output).toMatch(/path-adopted connections=/);
  };
  const release = () => cluster.lab.director.exec([...lvs, 'stop', '--release', '--pins', pins.root]);

  beforeAll(async () => {
    pins = new PinsMount();
    cluster = await Cluster.create({
      method,
      offloads: hook === 'xdp' ? 'off' : 'on',
      yaml: rules(method, scheduler),
      directorWords: ['--datapath', hook, '--pins', pins.root],
    });
    if (hook === 'xdp') cluster.pollPeers();
    await cluster.director.stop();
    clean = await state();
  });
  afterAll(async () => {
    await cluster?.[Symbol.asyncDispose]();
    pins?.[Symbol.dispose]();
  });

  test('no connection is lost, and no new one fails, over kill -9, --replace, stop --keep and SIGTERM', async () => {
    await cluster.startDirector();
    const { vip } = cluster.lab;
    const { director } = cluster.lab;
    await cluster.ipvsadm('-A', '-u', `${vip}:99`, '-s', 'wrr');
    await cluster.ipvsadm('-a', '-u', `${vip}:99`, '-r', cluster.lab.servers[0]!.address, '-m', '-w', '3');
    const saved = await cluster.ipvsadm('-S', '-n');
    await using client = cluster.lab.client.spawn([
      ...built('test/support/steady-client'),
      ...[vip, '80', `${HELD}`, `${PER_SECOND}`],
    ]);
    await client.line(/^ready$/);
    const ends: (() => Promise<unknown>)[] = [
      () => cluster.director.stop('SIGKILL'),
      () => cluster.director.stop('SIGKILL'),
      () => director.exec([...lvs, 'stop', '--keep']),
      () => cluster.director.stop(),
    ];
    for (const end of ends) {
      await end();
      // Some packets find no director.
      await cluster.get();
      await startNext('--keep');
      expect(await cluster.ipvsadm('-S', '-n')).toBe(saved);
    }
    const former = cluster.director;
    await startNext('--replace');
    expect(await former.ended).toBe(0);
    const from = client.lines.length;
    client.write('report\n');
    const report = JSON.parse(await client.line(/^\{/, undefined, from));
    expect(report).toMatchObject({ lost: 0, failed: 0, reasons: {} });
    expect(report.opened).toBeGreaterThan(PER_SECOND);
    // Listings are exact.
    await client.stop();
    const listed = (await cluster.ipvsadm('-L', '-n', '-c')).match(/^TCP .*:80 /gm)!.length;
    const counts = [...(await cluster.ipvsadm('-L', '-n')).matchAll(/:80 +\w+ +\d+ +(\d+) +(\d+)/g)];
    const counted = counts.reduce((sum, [, active, inactive]) => sum + Number(active) + Number(inactive), 0);
    // Some end between the two listings.
    expect(Math.abs(counted - listed)).toBeLessThan(PER_SECOND / 2);
    expect(await cluster.director.stop()).toBe(0);
    expect(await state()).toBe(clean);
  }, 240_000);

  test('known and new connections go on after kill -9, until the path is released', async () => {
    await cluster.startDirector();
    await using client = cluster.lab.client.spawn(held(cluster.lab.vip));
    await client.line(/^answer$/);
    // Each server is the destination of a connection once, so that its replies are known, too.
    for (let i = 0; i < 4; i++) await cluster.get();
    await cluster.director.stop('SIGKILL');
    const from = client.lines.length;
    await client.line(/^answer$/, undefined, from);
    for (let i = 0; i < 4; i++) expect(await cluster.get()).toMatch(/^I am real server #[12]$/m);
    expect(client.output).not.toContain('ended');
    expect(await release()).toMatch(/^released: kernel path of /);
    expect(await state()).toBe(clean);
    expect(pins.kept.filter((name) => name.includes('/'))).toEqual([]);
  });
});
