/** Two directors: connections of one continue on the other. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { clusterMissing } from '../support/cluster.ts';
import { Lab } from '../support/lab.ts';
import type { LabHost } from '../support/lab-host.ts';
import { ipvsadm, director as program, startDirector, startServers } from '../support/lvs-programs.ts';
import { PATIENCE, type Program } from '../support/program.ts';
import { built } from '../support/project.ts';

const why = clusterMissing();

test('the required programs and privileges are available', ({ skip }) => skip(why !== undefined, why));

const SERVERS = { dr: ['192.168.0.3', '192.168.0.4'], nat: ['192.168.1.3', '192.168.1.4'] } as const;
/** Datagrams of the random test; more of them on demand. */
const DATAGRAMS = process.env['FUZZ_DATAGRAMS'] ?? '5000';
/** Addresses of the directors. */
const PEERS = { dr: ['192.168.0.1', '192.168.0.2'], nat: ['192.168.1.1', '192.168.1.2'] } as const;
/** MAC address of vs2 on the clients' segment. */
const MAC_OF_VS2 = '02:00:00:00:00:02';

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
    startDirector(host, config, '--datapath', process.env['LVS_DATAPATH'] ?? 'live');
  const listing = async (host: LabHost) => (await host.exec([...ipvsadm, '-Lnc'])).split('\n').slice(2);

  test('connections from before and after its start are listed by the other director, and continue there', async () => {
    const clients: { readonly program: Program; readonly answer: string }[] = [];
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
    await first.exec(`ip address delete ${lab.vip}/32 dev eth0`);
    await second.exec(`ip address add ${lab.vip}/32 dev eth0`);
    await lab.client.exec(`ip neighbor replace ${lab.vip} lladdr ${MAC_OF_VS2} dev eth0`);
    if (method === 'nat')
      for (const server of lab.servers) await server.exec('ip route replace default via 192.168.1.2');

    for (const { program: client, answer } of clients) {
      const before = client.lines.length;
      client.write('\n');
      expect(await client.line(/^I am real server/, PATIENCE, before)).toBe(answer);
      expect(client.running).toBe(true);
    }
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
});
