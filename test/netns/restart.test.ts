/** A kernel path whose director is killed: it goes on, and is released or taken over. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Cluster, clusterMissing, type Method } from '../support/cluster.ts';
import { kernel } from '../support/ebpf/kernel.ts';
import { director as lvs } from '../support/lvs-programs.ts';
import { PinsMount, pinsMissing } from '../support/pins.ts';

const why = clusterMissing() ?? ('why' in kernel ? kernel.why : undefined) ?? pinsMissing();

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

const PATHS: readonly [string, Method][] = [
  ['tc', 'nat'],
  ['xdp', 'dr'],
];

describe.skipIf(why !== undefined).each(PATHS)('%s, %s', (hook, method) => {
  let cluster: Cluster;
  let pins: PinsMount;
  let clean: string;

  /** Addresses, rules and devices of the director's host. */
  const state = async () => {
    const { director } = cluster.lab;
    const addresses = await director.exec("ip -o address show | awk '{ print $2, $4 }'");
    return `${addresses}\n${await director.exec('nft list ruleset')}\n${await director.exec('ip -br link')}`;
  };
  const release = () => cluster.lab.director.exec([...lvs, 'stop', '--release', '--pins', pins.root]);

  beforeAll(async () => {
    pins = new PinsMount();
    cluster = await Cluster.create({
      method,
      offloads: hook === 'xdp' ? 'off' : 'on',
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

  test('known and new connections go on after kill -9, until the path is released', async () => {
    await cluster.startDirector();
    await using client = cluster.lab.client.spawn(held(cluster.lab.vip));
    await client.line(/^answer$/);
    // Each server is the destination of a connection once, so that its replies are known, too.
    for (let i = 0; i < 4; i++) await cluster.get();
    await cluster.director.stop('SIGKILL');
    const from = client.lines.length;
    await client.line(/^answer$/, undefined, from);
    const answers = new Set<string>();
    for (let i = 0; i < 4; i++) answers.add(await cluster.get());
    expect(answers.size).toBe(2);
    expect(client.output).not.toContain('ended');
    expect(await release()).toMatch(/^released: kernel path of /);
    expect(await state()).toBe(clean);
    expect(pins.kept.filter((name) => name.includes('/'))).toEqual([]);
  });
});
