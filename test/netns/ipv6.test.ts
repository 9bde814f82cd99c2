import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ControlClient } from '../../src/control/client.ts';
import { Cluster, clusterMissing, type Method } from '../support/cluster.ts';
import { contentHash } from '../support/content.ts';
import { PATIENCE } from '../support/program.ts';
import { built } from '../support/project.ts';

const why = clusterMissing();

test('the required programs and privileges are available', ({ skip }) => skip(why !== undefined, why));

const VIP = 'fd00::101';
const OCTETS = 5_000_000;

/** Servers and the director's own address by the method's segment. */
const SEGMENT: Readonly<Record<Method, number>> = { dr: 0, nat: 1, tunnel: 2 };

function yaml(method: Method): string {
  const server = (number: number) => `fd00:0:0:${SEGMENT[method]}::${number}`;
  const gateway = method === 'nat' ? `gateway: '${server(1)}'` : '';
  return `
method: ${method}
vips:
  - { interface: eth0, address: '${VIP}', prefix: 64 }
director:
  inside: { interface: ${method === 'nat' ? 'eth1' : 'eth0'}, address: '${method === 'nat' ? server(1) : 'fd00::1'}', prefix: 64 }
real-servers: { vip-device: lo, net-device: eth0, ${gateway} }
defaults: { scheduler: rr }
groups:
  all: ['[${server(3)}]', '[${server(4)}]']
services:
  - { tcp: '[${VIP}]:80', destinations: all, check: { type: tcp, interval: 0.2, timeout: 5 } }
  - { tcp: '[${VIP}]:81', destinations: all }
  - { udp: '[${VIP}]:7', destinations: all }
`;
}

describe.skipIf(why !== undefined).each(['dr', 'nat', 'tunnel'] as const)('IPv6, %s', (method) => {
  let cluster: Cluster;
  beforeAll(async () => {
    const echo = ({ name }: { name: string }) =>
      method === 'nat' ? `fd00:0:0:1::${name === 'rs1' ? 3 : 4}` : VIP;
    cluster = await Cluster.create({ method, yaml: yaml(method), ipv6: true, echo });
  });
  afterAll(() => cluster?.[Symbol.asyncDispose]());
  const curl = (path: string, more = '') =>
    cluster.lab.client.exec(`curl -sS --max-time 30 -g ${more} 'http://[${VIP}]${path}'`);

  test('checks find the servers up at their addresses', async () => {
    using client = new ControlClient(join(cluster.lab.director.folder, 'run/director.sock'));
    const found = async () => {
      const { services } = await client.snapshot({ services: true });
      return services[0]!.destinations.map(({ check }) => `${check?.state}: ${check?.message}`);
    };
    await expect
      .poll(found, { timeout: PATIENCE, interval: 100 })
      .toEqual(['up: connected', 'up: connected']);
  });

  test('the servers answer requests in turn', async () => {
    const answers = [await curl('/'), await curl('/'), await curl('/'), await curl('/')];
    expect(answers.slice(0, 2).sort()).toEqual(['I am real server #1', 'I am real server #2']);
    expect(answers.slice(2)).toEqual(answers.slice(0, 2));
  });

  test('a download and an upload arrive intact', async () => {
    const got = await cluster.lab.client.exec(
      `curl -sS --max-time 30 -g 'http://[${VIP}]/big?octets=${OCTETS}' | sha256sum`,
    );
    expect(got).toBe(`${contentHash(OCTETS)}  -`);
    const put = await cluster.lab.client.exec(
      `head -c ${OCTETS} /dev/zero | curl -sS --max-time 30 -g -T - 'http://[${VIP}]/'`,
    );
    const zeros = await cluster.lab.client.exec(`head -c ${OCTETS} /dev/zero | sha256sum`);
    expect(`${put}  -`).toBe(zeros);
  });

  test('UDP datagrams are echoed, whole and in fragments', async () => {
    const echo = [...built('test/support/udp-client'), '--to', VIP, '--count', '10', '--octets'];
    expect(await cluster.lab.client.exec([...echo, '64'])).toBe('10 of 10');
    // The first one may tell the client what fits.
    await cluster.lab.client.exec([...echo.with(-2, '1'), '20000']);
    expect(await cluster.lab.client.exec([...echo, '20000'])).toBe('10 of 10');
  });

  test('a port without a server refuses connections at once', async () => {
    const { status } = await cluster.lab.client.run(`curl -sS --max-time 30 -g 'http://[${VIP}]:81/'`);
    expect(status).toBe(7);
  });
});
