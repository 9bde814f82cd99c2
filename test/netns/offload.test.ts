import { createHash } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Cluster, clusterMissing, type Method } from '../support/cluster.ts';
import { contentHash } from '../support/content.ts';
import { kernel } from '../support/ebpf/kernel.ts';
import { built } from '../support/project.ts';

const why = clusterMissing() ?? ('why' in kernel ? kernel.why : undefined);
const octets = 20 * 1024 * 1024;
/** The device by which packets come up to the director. */
const TAP = 'lvs-upcall';
const CONNECTIONS = 10;
/** Octets of a download that does not end while destinations are removed. */
const LONG = 100 * 1024 * 1024;

test('the required programs and privileges are available', ({ skip }) => skip(why !== undefined, why));

const HOOKS: readonly [string, Method][] = [
  ['tc', 'dr'],
  ['tc', 'nat'],
  ['tc', 'tunnel'],
  ['xdp', 'dr'],
  ['xdp', 'nat'],
  ['xdp', 'tunnel'],
];

describe.skipIf(why !== undefined).each(HOOKS)('%s, %s', (hook, method) => {
  let cluster: Cluster;
  beforeAll(async () => {
    // XDP sees what the sender's kernel left to its card, and a veth that is sent to has to poll.
    cluster = await Cluster.create({
      method,
      offloads: hook === 'xdp' ? 'off' : 'on',
      directorWords: ['--datapath', hook],
    });
    if (hook === 'xdp') cluster.lab.pollPeers();
  });
  afterAll(() => cluster?.[Symbol.asyncDispose]());

  test('the director logs which datapath it chose, and why', () => {
    expect(cluster.director.output).toMatch(
      new RegExp(`datapath-chosen.*datapath=${hook} reason="?selected by`),
    );
  });

  test('a download arrives intact, and hardly any of its packets reach the director', async () => {
    const before = await upcalls();
    const sum = await cluster.lab.client.exec(
      `curl -sS --max-time 50 'http://${cluster.lab.vip}/big?octets=${octets}' | sha256sum`,
    );
    expect(sum).toBe(`${contentHash(octets)}  -`);
    expect((await upcalls()) - before).toBeLessThan(octets / 1448 / 4);
  });

  test('new connections do not pass through the director', async () => {
    // The first one shows where the client is, the second one whether that is known.
    for (let before = -1; before !== (await upcalls()); ) {
      before = await upcalls();
      await cluster.get();
    }
    const before = await upcalls();
    for (let i = 0; i < CONNECTIONS; i++) await cluster.get();
    expect((await upcalls()) - before).toBeLessThan(CONNECTIONS);
  });

  test('listings include packets that the kernel forwarded', async () => {
    await cluster.ipvsadm('-Z');
    await cluster.get(`/big?octets=${octets}`);
    // Statistics move at the estimator's ticks only, every two seconds, as in the kernel.
    let counted = await stats();
    const isRead = ([, packets, , , outOctets]: number[]) =>
      method === 'nat' ? outOctets! > octets : packets! > 100;
    while (!isRead(counted)) counted = await stats();
    const [, packets, , inOctets, outOctets] = counted;
    expect(inOctets).toBeGreaterThan(packets! * 40);
    if (method !== 'nat') expect(outOctets).toBe(0);
  });

  if (method === 'dr')
    test('frames of another host, which a switch sends to all ports, are not forwarded', async () => {
      const { client, vip } = cluster.lab;
      await client.exec(`ip neigh replace ${vip} lladdr 02:00:00:00:99:99 dev eth0 nud permanent`);
      // Status of a timeout.
      expect((await client.run(`curl -sS --max-time 2 http://${vip}/`)).status).toBe(28);
      await client.exec(`ip neigh del ${vip} dev eth0`);
      expect(await cluster.get()).toMatch(/^I am real server/);
    });

  if (method === 'tunnel')
    test('ICMP errors of a router about the tunnel are handled', async () => {
      await cluster.lab.host('router').exec('ip link set eth1 mtu 1300');
      const upload = `curl -sS --max-time 50 -T - http://${cluster.lab.vip}/`;
      const sum = await cluster.lab.client.exec(`head -c 1000000 /dev/zero | ${upload}`);
      expect(sum).toBe(createHash('sha256').update(Buffer.alloc(1_000_000)).digest('hex'));
      await cluster.lab.host('router').exec('ip link set eth1 mtu 1500');
    });

  test('a removed destination gets no more packets', async () => {
    const url = `http://${cluster.lab.vip}/big?octets=${LONG}`;
    await using download = cluster.lab.client.spawn([...built('test/support/download'), url]);
    await established();
    const service = ['-t', `${cluster.lab.vip}:80`];
    for (const { address } of cluster.lab.servers)
      await cluster.ipvsadm('-d', ...service, '-r', `${address}:80`);
    download.write('hurry\n');
    expect(await download.line(/./)).toBe('stuck');
    await cluster.director.stop();
    await cluster.startDirector();
    expect(await cluster.get()).toMatch(/^I am real server/);
  });

  test('killing the director removes everything that it attached', async () => {
    const { director } = cluster.lab;
    expect((await director.run(`ip link show ${TAP}`)).status).toBe(0);
    await cluster.director.stop('SIGKILL');
    expect((await director.run(`ip link show ${TAP}`)).status).not.toBe(0);
    expect(await director.exec('ip link')).not.toMatch(/\bxdp\b/);
    await cluster.startDirector();
    expect(await cluster.get()).toMatch(/^I am real server/);
  });

  const upcalls = async (): Promise<number> =>
    Number(await cluster.lab.director.exec(`cat /sys/class/net/${TAP}/statistics/tx_packets`));

  /** Connections, packets and octets of the service on port 80. */
  async function stats(): Promise<number[]> {
    const list = await cluster.ipvsadm('-L', '-n', '--stats', '--exact');
    const line = list.split('\n').find((each) => each.startsWith('TCP') && each.includes(':80 '));
    return line!.trim().split(/\s+/).slice(2).map(Number);
  }

  async function established(): Promise<void> {
    while (!(await cluster.ipvsadm('-L', '-n', '-c')).includes('ESTABLISHED'));
  }
});

/** The director's links: what is sent into them from XDP is polled for, and what comes out of them is checksummed. */
