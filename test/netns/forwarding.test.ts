import { createWriteStream } from 'node:fs';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Cluster, clusterMissing, type Method } from '../support/cluster.ts';
import { content, contentHash } from '../support/content.ts';
import { PATIENCE } from '../support/program.ts';
import { built } from '../support/project.ts';

const why = clusterMissing();

test('the required programs and privileges are available', ({ skip }) => skip(why !== undefined, why));

const MEGABYTES_50 = 50 * 1024 * 1024;
/** Port 81 has a service, but no listener on the real servers. */
const MORE = 'SERVICE=u echo rr rs1:echo rs2:echo\nSERVICE=t 81 rr rs1:81 rs2:81\n';
/** The exit status of curl if it cannot connect; a timeout has another one. */
const REFUSED = 7;

describe.skipIf(why !== undefined).each([
  ['dr', 'Route'],
  ['nat', 'Masq'],
  ['tunnel', 'Tunnel'],
] as const)('%s', (method: Method, listed) => {
  let cluster: Cluster;
  beforeAll(async () => {
    cluster = await Cluster.create({
      method,
      more: method === 'dr' ? MORE : MORE.split('\n').slice(1).join('\n'),
    });
  });
  afterAll(() => cluster?.[Symbol.asyncDispose]());

  test('real servers answer requests in turn', async () => {
    const answers: string[] = [];
    for (let i = 0; i < 6; i++) answers.push(await cluster.get());
    const [first, second] = answers;
    expect([first, second].sort()).toEqual(['I am real server #1', 'I am real server #2']);
    expect(answers).toEqual([first, second, first, second, first, second]);
  });

  test('ipvsadm lists services, destinations and connections', async () => {
    const list = await cluster.ipvsadm('-L', '-n');
    expect(list).toMatch(
      /^IP Virtual Server version \d+\.\d+\.\d+ \(size=\d+\)\nProt LocalAddress:Port Scheduler Flags\n/,
    );
    expect(list).toMatch(/^TCP {2}192\.168\.0\.101:80 rr$/m);
    for (const server of cluster.lab.servers)
      expect(list).toMatch(new RegExp(`^ {2}-> ${server.address}:80 +${listed} +1 +\\d+ +[1-9]\\d* *$`, 'm'));
    expect(await cluster.ipvsadm('-L', '-n', '-c')).toMatch(
      /TCP .* 192\.168\.0\.200:\d+ +192\.168\.0\.101:80 +/,
    );
  });

  test('a download of 50 MB arrives intact', async () => {
    const sum = await cluster.lab.client.exec(
      `curl -sS --max-time 50 'http://${cluster.lab.vip}/big?octets=${MEGABYTES_50}' | sha256sum`,
    );
    expect(sum).toBe(`${contentHash(MEGABYTES_50)}  -`);
  });

  test('an upload of 50 MB arrives intact', async () => {
    const file = join(cluster.lab.folder, 'upload');
    await pipeline(content(MEGABYTES_50), createWriteStream(file));
    const sum = await cluster.lab.client.exec(`curl -sS --max-time 50 -T ${file} http://${cluster.lab.vip}/`);
    expect(sum).toBe(contentHash(MEGABYTES_50));
  });

  const echoed = (octets: number, count: number, port = 7) =>
    cluster.lab.client.exec([
      ...built('test/support/udp-client'),
      ...[
        '--to',
        cluster.lab.vip,
        '--octets',
        String(octets),
        '--count',
        String(count),
        '--port',
        String(port),
      ],
    ]);

  test.each([64, 1_452, 20_000])('UDP datagrams of %d bytes are echoed', async (octets) => {
    expect(await echoed(octets, 10)).toBe('10 of 10');
  });

  test('UDP datagrams of the link MTU are echoed after the client learned the path MTU', async () => {
    await echoed(1_472, 1);
    expect(await echoed(1_472, 10)).toBe('10 of 10');
  });

  test("long datagrams reach the director's programs on the VIP", async () => {
    const { director, vip } = cluster.lab;
    const echo = ['--name', 'vs1', '--echo', '99', '--address', vip];
    await using server = director.spawn([...built('test/support/server'), ...echo]);
    await server.line(/^ready$/);
    expect(await echoed(20_000, 3, 99)).toBe('3 of 3');
  });

  test.each([
    ['without a service', 82],
    ['with a service that nobody serves', 81],
  ])('a port %s refuses connections at once', async (_name, port) => {
    const { status } = await cluster.lab.client.run(
      `curl -sS --max-time 10 http://${cluster.lab.vip}:${port}/`,
    );
    expect(status).toBe(REFUSED);
  });

  test('after its interface went down and up, the director continues', async () => {
    const { director } = cluster.lab;
    const routes = await director.exec('ip route show proto boot');
    await director.exec('ip link set eth0 down');
    const down = await cluster.lab.client.run(`curl -sS --max-time 0.5 http://${cluster.lab.vip}/`);
    expect(down.status).not.toBe(0);
    await director.exec('ip link set eth0 up');
    // The kernel forgets the routes through an interface that goes down; bringing them back is the network's job.
    await director.exec('ip -batch -', { input: routes.replace(/^(?=.)/gm, 'route replace ') });
    expect(await nextAnswer()).toMatch(/^I am real server #[12]$/);
  });

  test('a director that was killed and restarted serves new connections', async () => {
    await cluster.director.stop('SIGKILL');
    const [answer] = await Promise.all([nextAnswer(), cluster.startDirector()]);
    expect(answer).toMatch(/^I am real server #[12]$/);
    expect(await cluster.ipvsadm('-L', '-n')).toMatch(/^TCP {2}192\.168\.0\.101:80 rr$/m);
  });

  test('a director leaves nothing behind when it exits', async () => {
    const { director } = cluster.lab;
    await cluster.director.stop();
    const left = 'nft list ruleset; ip -o address show | grep -F 192.168.0.101';
    expect((await director.run(left)).stdout).toBe('');
    await cluster.startDirector();
    expect(await nextAnswer()).toMatch(/^I am real server/);
  });

  /** The first answer that the client gets, with repeated requests; bench/restart.ts measures the time. */
  async function nextAnswer(): Promise<string> {
    const ask = `until curl -sf --max-time 1 http://${cluster.lab.vip}/; do :; done`;
    return (await cluster.lab.client.run(ask, { limit: PATIENCE })).stdout.trim();
  }
});
