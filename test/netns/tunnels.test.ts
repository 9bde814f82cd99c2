import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Cluster, clusterMissing } from '../support/cluster.ts';
import { built } from '../support/project.ts';

const why = clusterMissing();

test('the required programs and privileges are available', ({ skip }) => skip(why !== undefined, why));

const VIP = '192.168.0.101';
const VIP6 = 'fd00::101';
const SERVERS = ['192.168.2.3', '192.168.2.4'];
const SERVERS6 = ['fd00:0:0:2::3', 'fd00:0:0:2::4'];
const OCTETS = 5_000_000;

/** A tunnel of this kind from `vip` to servers of either family. */
const yaml = (tunnel: string, vip: string, servers: readonly string[]) => `
method: tunnel
vips:
  - { interface: eth0, address: '${vip}', prefix: ${vip === VIP ? 24 : 64} }
director:
  inside: { interface: eth0, address: '192.168.0.1', prefix: 24 }
real-servers: { vip-device: lo, net-device: eth0 }
defaults: { scheduler: rr, tunnel: ${tunnel} }
groups:
  all: [${servers.map((server) => (server.includes(':') ? `'[${server}]'` : server)).join(', ')}]
services:
  - { tcp: '${vip === VIP ? vip : `[${vip}]`}:80', destinations: all }
  - { udp: '${vip === VIP ? vip : `[${vip}]`}:7', destinations: all }
`;

describe.skipIf(why !== undefined).each([
  ['IPv6 in IPv4', '{ type: ipip }', VIP6, SERVERS],
  ['IPv4 in IPv6', '{ type: ipip }', VIP, SERVERS6],
  ['GRE', '{ type: gre }', VIP, SERVERS],
  ['GRE with a checksum', '{ type: gre, checksum: csum }', VIP, SERVERS],
  ['IPv6 in GRE over IPv6', '{ type: gre, checksum: csum }', VIP6, SERVERS6],
  ['GUE', '{ type: gue, port: 6080 }', VIP, SERVERS],
  ['GUE with a checksum', '{ type: gue, port: 6080, checksum: csum }', VIP, SERVERS],
  ['IPv4 in GUE over IPv6', '{ type: gue, port: 6080, checksum: csum }', VIP, SERVERS6],
])('%s', (_name, tunnel, vip, servers) => {
  let cluster: Cluster;
  beforeAll(async () => {
    cluster = await Cluster.create({
      method: 'tunnel',
      yaml: yaml(tunnel, vip, servers),
      ipv6: true,
      echo: () => vip,
    });
  });
  afterAll(() => cluster?.[Symbol.asyncDispose]());
  /** Packets that programs have left to the director. */
  const upcalls = async (): Promise<number> =>
    Number(await cluster.lab.director.exec('cat /sys/class/net/lvs-upcall/statistics/tx_packets'));
  const url = vip === VIP ? `http://${vip}/` : `http://[${vip}]/`;

  test('the servers answer requests in turn', async () => {
    const answers: string[] = [];
    for (let i = 0; i < 4; i++)
      answers.push(await cluster.lab.client.exec(`curl -sS --max-time 30 -g '${url}'`));
    expect(answers.slice(0, 2).sort()).toEqual(['I am real server #1', 'I am real server #2']);
    expect(answers.slice(2)).toEqual(answers.slice(0, 2));
  });

  test('an upload arrives intact', async () => {
    const before = await upcalls();
    const zeros = `head -c ${OCTETS} /dev/zero`;
    const put = await cluster.lab.client.exec(`${zeros} | curl -sS --max-time 30 -g -T - '${url}'`);
    expect(`${put}  -`).toBe(await cluster.lab.client.exec(`${zeros} | sha256sum`));
    // Merged packets whose segments need a checksum each are the director's.
    if (!tunnel.includes('csum')) expect((await upcalls()) - before).toBeLessThan(OCTETS / 1448 / 4);
  });

  test('UDP datagrams are echoed', async () => {
    const echo = [...built('test/support/udp-client'), '--to', vip, '--octets', '4000', '--count'];
    // The first one may tell the client what fits.
    await cluster.lab.client.exec([...echo, '1']);
    expect(await cluster.lab.client.exec([...echo, '10'])).toBe('10 of 10');
  });
});
