/** Two directors: connections of one continue on the other. */
import { chmodSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { clusterMissing } from '../support/cluster.ts';
import { Lab } from '../support/lab.ts';
import type { LabHost } from '../support/lab-host.ts';
import {
  ipvsadm,
  director as program,
  realserver,
  startDirector,
  startServers,
} from '../support/lvs-programs.ts';
import { PATIENCE, type Program } from '../support/program.ts';
import { built } from '../support/project.ts';

const why = clusterMissing();

test('the required programs and privileges are available', ({ skip }) => skip(why !== undefined, why));

const SERVERS = { dr: ['192.168.0.3', '192.168.0.4'], nat: ['192.168.1.3', '192.168.1.4'] } as const;
/** Datagrams of the random test; more of them on demand. */
const DATAGRAMS = process.env['FUZZ_DATAGRAMS'] ?? '5000';
/** Addresses of the directors. */
const PEERS = { dr: ['192.168.0.1', '192.168.0.2'], nat: ['192.168.1.1', '192.168.1.2'] } as const;
const READY = '/run/lvs/ready';

describe.skipIf(why !== undefined).each([
  ['nat', '224.0.0.81', 'eth1'],
  ['dr', 'ff02::81', 'eth0'],
] as const)('%s, synchronized by %s', (method, group, device) => {
  let lab: Lab;
  let first: LabHost;
  let second: LabHost;
  let director: Program;
  let joined: Program;
  let config: string;
  let key: string;
  const file = (role: string) => `method: ${method}
sync: { interface: ${device}, group: '${group}', syncid: 7, role: ${role}, key-file: ${key}, peers: [${PEERS[method].join(', ')}] }
services:
  - { tcp: '${lab.vip}:80', scheduler: rr, destinations: [${SERVERS[method].join(', ')}] }
`;

  beforeAll(async () => {
    lab = await Lab.create({ shape: method, pair: true });
    [first, second] = [lab.director, lab.host('vs2')];
    config = join(lab.folder, 'lvs.yaml');
    key = join(lab.folder, 'sync.key');
    writeFileSync(key, `${'5c'.repeat(32)}\n`, { mode: 0o600 });
    writeFileSync(config, file('both'));
    for (const [i, server] of lab.servers.entries()) {
      if (method === 'dr')
        await server.exec(
          `ip address add ${lab.vip}/32 dev lo && sysctl -qw net.ipv4.conf.all.arp_ignore=1 net.ipv4.conf.all.arp_announce=2`,
        );
      await startServers(server, i + 1);
    }
    await first.exec(`ip address add ${lab.vip}/32 dev eth0`);
    director = await start(first);
  });
  afterAll(() => lab?.[Symbol.asyncDispose]());

  const start = (host: LabHost) =>
    startDirector(host, config, '--datapath', process.env['LVS_DATAPATH'] ?? 'live', '--ready-file', READY);
  /** Moves the VIP, and replies of the servers, to a director. */
  const moveVip = async (from: LabHost, to: LabHost, number: 1 | 2) => {
    await from.exec(`ip address delete ${lab.vip}/32 dev eth0`);
    await to.exec(`ip address add ${lab.vip}/32 dev eth0`);
    await lab.client.exec(`ip neighbor replace ${lab.vip} lladdr 02:00:00:00:00:0${number} dev eth0`);
    if (method === 'nat')
      for (const server of lab.servers) await server.exec(`ip route replace default via 192.168.1.${number}`);
  };
  interface Client {
    readonly program: Program;
    readonly answer: string;
  }
  const clients: Client[] = [];
  const isAnswered = async ({ program: client, answer }: Client, before: number) => {
    expect(await client.line(/^I am real server/, PATIENCE, before)).toBe(answer);
    expect(client.running).toBe(true);
  };
  /** What the doctor of a director reports about synchronization. */
  const findings = async (host: LabHost) => {
    const words = [...realserver, 'doctor', '--from-director', '--json', '--config', config];
    const { stdout } = await host.run(words);
    const { findings: found } = JSON.parse(stdout) as { findings: { name: string; what: string }[] };
    return found.filter(({ name }) => name.startsWith('sync-')).map(({ name, what }) => `${name}: ${what}`);
  };
  const listing = async (host: LabHost) => (await host.exec([...ipvsadm, '-Lnc'])).split('\n').slice(2);

  test('connections from before and after its start are listed by the other director, and continue there', async () => {
    const connect = async () => {
      const client = lab.client.spawn([...built('test/support/keepalive-client'), lab.vip, '80']);
      await client.line(/^connected$/);
      client.write('\n');
      clients.push({ program: client, answer: await client.line(/^I am real server/) });
    };
    const own = lab.client.address;
    const line = new RegExp(`^TCP 14:\\d\\d +ESTABLISHED ${own}:\\d+ +${lab.vip}:80 +\\S+:80$`);
    const listed = (count: number) =>
      expect
        .poll(() => listing(second), { timeout: PATIENCE, interval: 200 })
        .toEqual(Array<unknown>(count).fill(expect.stringMatching(line)));
    await connect();
    // The message about it is sent before the other director starts, which gets it by a bulk transfer.
    await lab.client.exec('sleep 4');
    joined = await start(second);
    await joined.line(/bulk-received .*connections=1/);
    await listed(1);
    await connect();
    await listed(2);
    const ends = (text: string) => text.replace(/^TCP \d\d:\d\d/, '');
    const sorted = (lines: readonly string[]) => lines.map(ends).sort();
    expect(sorted(await listing(second))).toEqual(sorted(await listing(first)));

    await director.stop('SIGKILL');
    await moveVip(first, second, 2);
    for (const client of clients) {
      const before = client.program.lines.length;
      client.program.write('\n');
      await isAnswered(client, before);
    }
  });

  // The same with every family and method.
  if (method === 'nat')
    test('a director that joins resets no connection that it has not fetched yet', async () => {
      // The other one is stopped: it accepts connections, and sends nothing.
      await first.exec([...program, 'stop', '--release']);
      joined.signal('SIGSTOP');
      director = await start(first);
      await moveVip(second, first, 1);
      const before = clients.map(({ program: client }) => client.lines.length);
      for (const { program: client } of clients) client.write('\n');
      // This takes longer than the grace period after a start.
      await expect
        .poll(() => director.lines.filter((line) => / bulk-interrupted /.test(line)).length, {
          timeout: PATIENCE,
        })
        .toBe(2);
      expect(await first.exec(`cat ${READY}`)).toBe('1');
      expect(await listing(first)).toEqual([]);
      joined.signal('SIGCONT');
      await director.line(/ bulk-received .*connections=2/);
      for (const [i, client] of clients.entries()) await isAnswered(client, before[i]!);
      expect(await findings(first)).toEqual([]);
    });

  test('datagrams of a stranger change nothing, and do no harm', async () => {
    const source = group.includes(':') ? device : PEERS[method][0];
    const before = await listing(second);
    const fuzz = first.spawn([...built('test/support/fuzz-datagrams'), source, group, '8848', DATAGRAMS]);
    await fuzz.line(/^sent$/, 600_000);
    await joined.line(/sync-messages-refused .*unauthenticated=/);
    const ends = (lines: readonly string[]) => lines.map((text) => text.replace(/^TCP \d\d:\d\d/, '')).sort();
    expect(ends(await listing(second))).toEqual(ends(before));
    expect(joined.running).toBe(true);
    expect(await findings(second)).toContainEqual(expect.stringMatching(/^sync-refused: .* not signed/));
  });

  test('a reload changes the daemons as the file says', async () => {
    const daemons = () => second.exec([...ipvsadm, '-L', '--daemon']);
    const rest = `sync daemon (mcast=${device}, syncid=7, maxlen=14`;
    expect(await daemons()).toContain(`master ${rest}`);
    expect(await daemons()).toContain(`backup ${rest}`);
    writeFileSync(config, file('backup'));
    await second.exec([...program, 'reload']);
    expect(await daemons()).not.toContain('master');
    writeFileSync(config, file('backup').replace(device, 'eth9'));
    const { status, stderr } = await second.run([...program, 'reload']);
    expect(status).toBe(2);
    expect(stderr).toContain('sync: network interface eth9 not found');
    expect(await daemons()).toContain(`backup ${rest}`);
  });

  if (method === 'nat')
    test('plan and doctor know keys and peers', async () => {
      writeFileSync(config, file('backup').replace(/peers: \[.*?\]/, `peers: [${PEERS[method][1]}]`));
      writeFileSync(key, `${'6d'.repeat(32)}\n`, { mode: 0o600 });
      const plan = await second.exec([...program, 'plan', config]);
      expect(plan).toMatch(/^~ sync keys: [0-9a-f]{16} -> [0-9a-f]{16}$/m);
      expect(plan).toContain(`~ sync peers: ${PEERS[method].join(', ')} -> ${PEERS[method][1]}`);
      expect(await second.exec([...program, 'plan', config, '--json'])).not.toContain('6d6d');
      writeFileSync(config, file('backup'));
      expect(await findings(second)).toContain(
        `sync-peer: ${PEERS[method][0]}, TCP port 8849: it has another key`,
      );
      await director.stop();
      expect(await findings(second)).toContain(
        `sync-peer: ${PEERS[method][0]}, TCP port 8849: no director with a key listens there`,
      );
      chmodSync(key, 0o644);
      expect(await findings(second)).toContainEqual(
        expect.stringMatching(/^sync-key: .*mode 0644: expected 0600/),
      );
    });
});
