import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { clusterMissing } from '../support/cluster.ts';
import { lacking } from '../support/debian.ts';
import { Lab } from '../support/lab.ts';
import { ipvsadm, startDirector, startServers } from '../support/lvs-programs.ts';
import { built } from '../support/project.ts';

const why = clusterMissing() ?? lacking('prometheus-node-exporter');

test('the required programs and privileges are available', ({ skip }) => skip(why !== undefined, why));

const CONFIG = `method: nat
vips:
  - { interface: eth0, address: 192.168.0.101, prefix: 24 }
  - { interface: eth0, address: 'fd00::101', prefix: 64 }
director: { inside: { interface: eth1, address: 192.168.1.1, prefix: 24 } }
services:
  - tcp: 192.168.0.101:80
    scheduler: rr
    destinations: [{ server: 192.168.1.3, weight: 5 }, { server: 192.168.1.4, weight: 6 }]
  - udp: 192.168.0.101:7
    scheduler: rr
    destinations: [{ server: 192.168.1.3 }]
  - tcp: '[fd00::101]:80'
    scheduler: rr
    destinations: ['fd00:0:0:1::3']
  - mark: 9
    scheduler: rr
    destinations: [{ server: 192.168.1.4, weight: 0 }]
`;
const EXPORTER = '127.0.0.1:9100';
/** Each from a separate port, so that each creates a connection. */
const DATAGRAMS = 5;
const DATAGRAM = 100;
/** Octets of an IPv4 and a UDP header, which IPVS counts too. */
const HEADERS = 28;

describe.skipIf(why !== undefined)('prometheus-node-exporter, which reads the text files,', () => {
  let lab: Lab;

  beforeAll(async () => {
    lab = await Lab.create({ shape: 'nat', ipv6: true });
    const config = join(lab.folder, 'lvs.yaml');
    const procfs = join(lab.folder, 'proc');
    writeFileSync(config, CONFIG);
    mkdirSync(procfs);
    for (const [i, host] of lab.servers.entries()) await startServers(host, i + 1, [host.address]);
    await startDirector(lab.director, config, '--procfs', procfs);
    lab.director.spawn([
      'prometheus-node-exporter',
      '--collector.disable-defaults',
      '--collector.ipvs',
      `--path.procfs=${procfs}`,
      `--web.listen-address=${EXPORTER}`,
    ]);
    await lab.director.listening(9100, 30_000);
  });
  afterAll(() => lab?.[Symbol.asyncDispose]());

  /** The figures of IPVS: labels as `proto local:port -> remote:port`, of marks as `mark -> remote:port`. */
  async function scrape(): Promise<Record<string, number>> {
    const text = await lab.director.exec(['curl', '-sS', '--max-time', '30', `http://${EXPORTER}/metrics`]);
    const figures: Record<string, number> = {};
    for (const [, name, labels = '', value] of text.matchAll(/^node_ipvs_(\w+)(?:\{(.*)\})? (\S+)$/gm)) {
      const label = Object.fromEntries(
        [...labels.matchAll(/(\w+)="([^"]*)"/g)].map((found) => [found[1], found[2]]),
      );
      const local = label['local_mark'] || `${label['local_address']}:${label['local_port']}`;
      const remote = `${label['remote_address']}:${label['remote_port']}`;
      figures[labels === '' ? name! : `${name} ${label['proto']} ${local} -> ${remote}`] = Number(value);
    }
    return figures;
  }
  const scraped = (figures: Record<string, number>) =>
    expect.poll(scrape, { timeout: 20_000, interval: 200 }).toMatchObject(figures);

  test('shows every destination and its weight', async () => {
    await scraped({
      connections_total: 0,
      'backend_weight TCP 192.168.0.101:80 -> 192.168.1.3:80': 5,
      'backend_weight TCP 192.168.0.101:80 -> 192.168.1.4:80': 6,
      'backend_weight UDP 192.168.0.101:7 -> 192.168.1.3:7': 1,
      'backend_weight TCP fd00::101:80 -> fd00:0:0:1::3:80': 1,
      'backend_weight FWM 00000009 -> 192.168.1.4:0': 0,
    });
  });

  test('counts datagrams and their bytes in both directions', async () => {
    const client = built('test/support/udp-client');
    const words = ['--to', lab.vip, '--octets', String(DATAGRAM), '--count', String(DATAGRAMS)];
    expect(await lab.client.exec([...client, ...words])).toBe(`${DATAGRAMS} of ${DATAGRAMS}`);
    const octets = DATAGRAMS * (DATAGRAM + HEADERS);
    await scraped({
      connections_total: DATAGRAMS,
      incoming_packets_total: DATAGRAMS,
      outgoing_packets_total: DATAGRAMS,
      incoming_bytes_total: octets,
      outgoing_bytes_total: octets,
      'backend_connections_inactive UDP 192.168.0.101:7 -> 192.168.1.3:7': DATAGRAMS,
    });
  });

  test('distinguishes active from inactive connections', async () => {
    for (let i = 0; i < 4; i++) await lab.client.exec('curl -sS --max-time 30 http://vip/');
    await lab.client.exec('curl -sS --max-time 30 -g http://vip6/');
    await using download = lab.client.spawn(
      'curl -sS --limit-rate 10k -o /dev/null http://vip/big?octets=9999999',
    );
    const web = (figures: Record<string, number>, what: string) =>
      [3, 4].map((n) => figures[`${what} TCP 192.168.0.101:80 -> 192.168.1.${n}:80`]!).sort();
    await expect
      .poll(
        async () => {
          const figures = await scrape();
          return {
            connections: figures['connections_total'],
            active: web(figures, 'backend_connections_active'),
            inactive: web(figures, 'backend_connections_inactive'),
            inactive6: figures['backend_connections_inactive TCP fd00::101:80 -> fd00:0:0:1::3:80'],
          };
        },
        { timeout: 20_000, interval: 200 },
      )
      .toEqual({ connections: DATAGRAMS + 6, active: [0, 1], inactive: [2, 2], inactive6: 1 });
    expect(download.running).toBe(true);
  });

  test('follows changes by ipvsadm', async () => {
    await lab.director.exec([...ipvsadm, '-D', '-f', '9']);
    await lab.director.exec([
      ...ipvsadm,
      '-e',
      '-t',
      '192.168.0.101:80',
      '-r',
      '192.168.1.4:80',
      '-m',
      '-w',
      '17',
    ]);
    await scraped({ 'backend_weight TCP 192.168.0.101:80 -> 192.168.1.4:80': 17 });
    expect(Object.keys(await scrape()).filter((name) => name.includes('FWM'))).toEqual([]);
  });
});
