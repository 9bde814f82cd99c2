/** What clients see of a killed director, and what it leaves on its host. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { clusterMissing } from '../support/cluster.ts';
import { Lab } from '../support/lab.ts';
import {
  director as lvs,
  realserver,
  startAgent,
  startDirector,
  startServers,
} from '../support/lvs-programs.ts';
import { ethernetOf, frameOf } from '../support/packets.ts';
import { PATIENCE, type Program } from '../support/program.ts';
import { built } from '../support/project.ts';

const why = clusterMissing();
const VIP = '192.168.0.101';
const CONFIG = `method: dr
vips:
  - { interface: eth0, address: ${VIP}, prefix: 24 }
services:
  - tcp: ${VIP}:80
    scheduler: rr
    destinations: [192.168.0.3, 192.168.0.4]
`;

/** A client that keeps a connection and sends on it every 50 ms. It prints each answer, and how the connection ends. */
const HELD = [
  process.execPath,
  '-e',
  `const socket = require('node:net').connect({ host: '${VIP}', port: 80 });
   const send = () => socket.write('GET / HTTP/1.1\\r\\nHost: vip\\r\\n\\r\\n');
   socket.on('connect', () => setInterval(send, 50));
   socket.on('data', () => console.log('answer'));
   socket.on('error', ({ code }) => { console.log('ended', code); process.exit(); });`,
];
/** A segment of a connection that no director knows, from the client's MAC address to the director's. */
const UNKNOWN = Buffer.from(
  ethernetOf(
    frameOf(`192.168.0.200:4000 > ${VIP}:80 ACK`).copy(),
    Uint8Array.of(2, 0, 0, 0, 0, 1),
    Uint8Array.of(2, 0, 0, 0, 0, 200),
  ),
).toString('hex');
/** Sends it again and again. */
const SENDER = [
  'sh',
  '-c',
  `while :; do ${[...built('test/support/send-frames'), 'eth0', UNKNOWN].join(' ')}; done`,
];
/** Exit statuses of curl(1). */
const REFUSED = 7;
const TIMED_OUT = 28;

test('the required programs and privileges are available', ({ skip }) => skip(why !== undefined, why));

describe.skipIf(why !== undefined).each(['live', 'tc'])('with --datapath %s', (datapath) => {
  let lab: Lab;
  let config: string;
  let clean: string;

  const addresses = () => lab.director.exec("ip -o address show | awk '{ print $2, $4 }'");
  const ruleset = () => lab.director.exec('nft list ruleset');
  const state = async () => `${await addresses()}\n${await ruleset()}`;
  const guards = async () =>
    (await lab.director.exec('nft list tables netdev')).match(/lvs_director_\S+/g) ?? [];
  const request = async (seconds = 3) =>
    (await lab.client.run(`curl -sS --max-time ${seconds} http://${VIP}/`)).status;
  const start = () => startDirector(lab.director, config, '--datapath', datapath);
  /** RST segments that the client received from the VIP. */
  const resets = async () =>
    Number(/packets (\d+)/.exec(await lab.client.exec('nft list counter inet seen resets'))?.[1]);
  const kill = (program: Program) => program.stop('SIGKILL');

  beforeAll(async () => {
    lab = await Lab.create({});
    config = join(lab.folder, 'lvs.yaml');
    writeFileSync(config, CONFIG);
    for (const [i, host] of lab.servers.entries()) {
      await startAgent(host, '--vip', VIP);
      await startServers(host, i + 1);
    }
    await lab.client.exec(
      `nft 'add table inet seen; add counter inet seen resets; add chain inet seen input { type filter hook input priority 0; }; add rule inet seen input ip saddr ${VIP} tcp flags & rst == rst counter name resets'`,
    );
    clean = await state();
  });
  afterEach(async () => {
    await lab.director.run([...lvs, 'stop', '--release']);
    expect(await state()).toBe(clean);
  });
  afterAll(() => lab?.[Symbol.asyncDispose]());

  test('kill -9: the client is reset by none, and the next director takes the guard over', async () => {
    const director = await start();
    await using held = lab.client.spawn(HELD);
    await held.line(/^answer$/);
    await kill(director);
    expect(await addresses()).toContain(`eth0 ${VIP}/32`);
    // The client's connection and new ones are silent while the VIP exists.
    expect(await request()).toBe(TIMED_OUT);
    expect(await resets()).toBe(0);
    expect(held.output).not.toContain('ended');
    const [orphan] = await guards();
    const { stdout } = await lab.director.run([
      ...realserver,
      'doctor',
      '--from-director',
      '--config',
      config,
    ]);
    expect(stdout).toContain(`orphaned-guard: the table ${orphan} withholds packets`);
    expect(stdout).toContain('fix: lvs-director stop --release');
    // Without the table of connections, as where nothing keeps it.
    await lab.director.exec('rm -rf /dev/shm/lvs-director');
    // TCP sends again after ever longer times; other packets of the connection must arrive soon after the start.
    await using sender = lab.client.spawn(SENDER);
    const next = await start();
    expect(sender.running).toBe(true);
    expect(next.output).toContain(`guard-taken-over table=${orphan}`);
    const taken = await guards();
    expect(taken).toHaveLength(1);
    expect(taken).not.toContain(orphan);
    // The new director does not know the connection: within the grace period, the host does not reset it.
    await next.line(/unknown-connections-dropped packets=[1-9]/);
    expect(await request(30)).toBe(0);
    expect(await next.stop()).toBe(0);
    expect(await state()).toBe(clean);
  }, 300_000);

  test('stop ends a director and restores the host; stop --release removes what a killed one left', async () => {
    const first = await start();
    expect(await lab.director.exec([...lvs, 'stop'])).toBe('stopped');
    expect(await state()).toBe(clean);
    await first.ended;
    const { status, stderr } = await lab.director.run([...lvs, 'stop']);
    expect(stderr).toMatch(/no director is running/);
    expect(status).toBe(1);
    await kill(await start());
    expect(await addresses()).toContain(VIP);
    expect(await lab.director.exec([...lvs, 'stop', '--release'])).toMatch(
      /^released: table netdev lvs_director_/m,
    );
    expect(await state()).toBe(clean);
  });

  test('when the guard expires, another program may use a VIP that the director held', async () => {
    await kill(await start());
    const [orphan] = await guards();
    await lab.director.exec(`nft delete element netdev ${orphan} running { ip, ip6 }`);
    expect(await request()).toBe(REFUSED);
  });

  test('a VIP that another program holds is guarded until the next start', async () => {
    await lab.director.exec(`ip address add ${VIP}/32 dev eth0`);
    await kill(await start());
    const [orphan] = await guards();
    await lab.director.exec(`nft delete element netdev ${orphan} running { ip, ip6 }`);
    expect(await request()).toBe(TIMED_OUT);
    await lab.director.exec([...lvs, 'stop', '--release']);
    expect(await addresses()).toContain(VIP);
    expect(await guards()).toEqual([]);
    await lab.director.exec(`ip address delete ${VIP}/32 dev eth0`);
  });

  test('when a VIP arrives from another director, unknown connections are not reset at once', async () => {
    const others = join(lab.folder, 'others.yaml');
    writeFileSync(others, CONFIG.replace(/^vips:\n.*\n/m, ''));
    const director = await startDirector(lab.director, others, '--datapath', datapath);
    await using _sender = lab.client.spawn(SENDER);
    // The grace period of the start.
    await director.line(/unknown-connections-dropped packets=[1-9]/);
    const before = await resets();
    const from = director.lines.length;
    await lab.director.exec(`ip address add ${VIP}/32 dev eth0`);
    await director.line(/unknown-connections-dropped packets=[1-9]/, PATIENCE, from);
    // Later, the host resets what neither it nor the director knows.
    await lab.client.exec(
      `until [ $(nft list counter inet seen resets | sed -n 's/.*packets \\([0-9]*\\).*/\\1/p') -gt ${before} ]; do sleep 0.1; done`,
    );
    await director.stop();
    await lab.director.exec(`ip address delete ${VIP}/32 dev eth0`);
  });

  test('the guard is created again when another program deletes it', async () => {
    const director = await start();
    const before = await guards();
    await lab.director.exec('nft flush ruleset');
    await director.line(/guard-failed .*deleted by another program/);
    const { status } = await lab.director.run(
      'until nft list ruleset | grep -q "192.168.0.101 . tcp . 80"; do sleep 0.1; done',
      {
        limit: PATIENCE,
      },
    );
    expect(status).toBe(0);
    expect(await guards()).not.toEqual(before);
    expect(await request(30)).toBe(0);
    await director.stop();
  });
});
