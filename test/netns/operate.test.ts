/** Commands by which an operator changes the work of a running director: drains, and blocked clients. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Cluster, clusterMissing } from '../support/cluster.ts';
import { kernel } from '../support/ebpf/kernel.ts';
import { director as lvs } from '../support/lvs-programs.ts';
import { PinsMount, pinsMissing } from '../support/pins.ts';

const why = clusterMissing() ?? ('why' in kernel ? kernel.why : undefined) ?? pinsMissing();

test('the required programs and privileges are available', ({ skip }) => skip(why !== undefined, why));

const METRICS = '127.0.0.1:9112';
const RULES = `method: nat
vips:
  - { interface: eth0, address: 192.168.0.101, prefix: 24 }
services:
  - { tcp: '192.168.0.101:80', scheduler: rr, destinations: [192.168.1.3:80, 192.168.1.4:80] }
  - { tcp: '192.168.0.101:23', name: telnet, scheduler: rr, destinations: [192.168.1.3:23] }
`;

/** A client that keeps a connection and sends on it every 50 ms until it reads a line. It prints each answer, and the end. */
const held = (vip: string) => [
  process.execPath,
  '-e',
  `const socket = require('node:net').connect({ host: '${vip}', port: 80 });
   const send = () => socket.write('GET / HTTP/1.1\\r\\nHost: vip\\r\\n\\r\\n');
   const sending = setInterval(() => socket.readyState === 'open' && send(), 50);
   process.stdin.once('data', () => { clearInterval(sending); socket.end(); });
   socket.on('data', (text) => console.log('answer', /#\\d/.exec(text)?.[0]));
   socket.on('error', ({ code }) => console.log('ended', code));
   socket.on('close', () => process.exit());`,
];

describe.skipIf(why !== undefined).each(['tc', 'live'])('by %s,', (datapath) => {
  let cluster: Cluster;
  let pins: PinsMount;
  const words = () => [
    ...['--metrics', METRICS, '--datapath', datapath],
    ...(datapath === 'live' ? [] : ['--pins', pins.root]),
  ];
  const tell = (...args: string[]) => cluster.lab.director.run([...lvs, ...args]);
  const curl = (path: string) =>
    cluster.lab.director.exec(`curl -sS --max-time 30 -w ' %{http_code}' http://${METRICS}${path}`);

  beforeAll(async () => {
    pins = new PinsMount();
    cluster = await Cluster.create({ method: 'nat', yaml: RULES, directorWords: words() });
  });
  afterAll(async () => {
    await cluster?.[Symbol.asyncDispose]();
    pins?.[Symbol.dispose]();
  });

  test('a drained server keeps its connection and gets no new ones, over a reload and kill -9', async () => {
    await using client = cluster.lab.client.spawn(held(cluster.lab.vip));
    const [, number] = /#(\d)/.exec(await client.line(/^answer/))!;
    const [mine, other] = number === '1' ? ['192.168.1.3', 2] : ['192.168.1.4', 1];
    const others = async () => {
      for (let i = 0; i < 4; i++) expect(await cluster.get()).toBe(`I am real server #${other}`);
    };
    expect(await tell('drain', mine, '--wait', '--timeout', '1s')).toMatchObject({
      status: 1,
      stdout: expect.stringMatching(
        new RegExp(`^${mine}: drained: tcp .*: not idle after 1 s, remains`, 's'),
      ),
    });
    await others();
    expect(await cluster.ipvsadm('-Ln')).toMatch(new RegExp(`-> ${mine}:80 +Masq +0 +1 `));
    expect((await tell('top')).stdout).toMatch(new RegExp(`${mine}:80 +drained +nat +0`));
    expect(await curl('/')).toMatch(new RegExp(`${mine}:80</th><td><span class="state">drained</span>`));
    expect(await curl('/metrics')).toMatch(
      new RegExp(`^lvs_destination_drained{.*destination_address="${mine}".*} 1$`, 'm'),
    );
    const explained = await cluster.lab.director.run([
      ...[...lvs, 'explain', '--from', '192.168.0.200:5', '--to', '192.168.0.101:80'],
    ]);
    expect(explained.stdout).toMatch(new RegExp(`${mine}:80 +weight 0, .*: drained by command`));
    expect((await tell('reload')).stdout).toBe('reloaded: 0 changes, 0 to be removed when idle\n');
    await others();
    // The only server of the other service, if it is this one.
    const readiness = await curl('/readyz?service=tcp:192.168.0.101:23');
    expect(readiness).toMatch(mine === '192.168.1.3' ? / 503$/ : /^ready\n 200$/);

    if (datapath === 'tc') {
      await cluster.director.stop('SIGKILL');
      await others();
    } else await cluster.director.stop();
    await cluster.startDirector();
    await others();
    expect((await tell('drain')).stdout).toMatch(new RegExp(`^${mine}: drained: tcp 192.168.0.101:80`));

    // The connection ends, and the drain with --wait notices it.
    const waiting = tell('drain', mine, '--wait', '--timeout', '5m');
    if (datapath === 'tc') client.write('end\n');
    expect(await waiting).toMatchObject({ status: 0, stdout: expect.stringContaining(`${mine}: idle\n`) });
    expect((await tell('undrain', mine)).stdout).toMatch(new RegExp(`^${mine}: in service: tcp`));
    await expect.poll(() => cluster.get()).toBe(`I am real server #${number}`);
    expect((await tell('drain', '192.168.1.77')).stderr).toMatch(
      /192\.168\.1\.77: no service has this server/,
    );
    expect(await tell('undrain', mine)).toMatchObject({ status: 1, stdout: '' });
  }, 180_000);

  test('a denied client loses its connection and gets no new ones, over a reload and kill -9', async () => {
    const { client, vip } = cluster.lab;
    const held1 = client.spawn(held(vip));
    await held1.line(/^answer/);
    const refused = async () => {
      const { status } = await client.run(['curl', '-sS', '--max-time', '1', `http://${vip}/`]);
      expect(status).toBe(28);
    };
    const from = client.address;
    expect((await tell('deny', from, '--for', '1h')).stdout).toMatch(
      new RegExp(`^${from}: denied for 3600 s, all services: \\d+ connections ended\n$`),
    );
    await refused();
    const answers = held1.lines.length;
    await refused();
    expect(held1.lines.length).toBe(answers);
    const explained = await tell('explain', '--from', `${from}:5`, '--to', `${vip}:80`);
    expect(explained.stdout).toMatch(
      new RegExp(`^access +deny list of all services: ${from}, by a command, 3\\d\\d\\d s left$`, 'm'),
    );
    expect(explained).toMatchObject({ status: 1, stdout: expect.stringMatching(/^verdict +denied: /m) });
    expect(await cluster.ipvsadm('-Lnc')).not.toContain(`${from}:`);
    expect((await tell('reload')).status).toBe(0);
    await refused();
    if (datapath === 'tc') {
      await cluster.director.stop('SIGKILL');
      await refused();
    } else await cluster.director.stop();
    await cluster.startDirector();
    await refused();
    expect((await tell('deny')).stdout).toMatch(new RegExp(`^${from}: denied for 3\\d+ s, all services\n$`));
    const denied = await curl('/metrics');
    expect(denied).toMatch(/^lvs_dropped_packets_total{reason="denied"} [1-9]/m);
    expect(denied).toMatch(/^lvs_access_list_entries{list="deny",source="command"} 1$/m);
    expect((await tell('undeny', from)).stdout).toBe(`${from}: no longer denied by a command\n`);
    expect(await cluster.get()).toMatch(/^I am real server/);

    // One service, by its name.
    expect((await tell('deny', from, '--service', 'telnet')).stdout).toMatch(
      new RegExp(`^${from}: denied until undeny, tcp 192\\.168\\.0\\.101:23`),
    );
    expect(await cluster.get()).toMatch(/^I am real server/);
    expect((await tell('undeny', from, '--service', 'telnet')).status).toBe(0);
    expect((await tell('deny', from, '--service', 'ftp')).stderr).toMatch(
      /: ftp: no service has this name$/m,
    );

    // Lists of the file, and an allow list that wins.
    const list = join(cluster.lab.folder, 'deny.txt');
    writeFileSync(list, `${from}\r\n`);
    cluster.configure(`deny: [{ file: ${list} }]\n${RULES}`);
    expect((await tell('plan', cluster.config)).stdout).toBe(
      '~ deny list of all services: 1 entries (0 now)\n',
    );
    await tell('reload');
    await refused();
    writeFileSync(list, '# none\n');
    await tell('reload');
    expect(await cluster.get()).toMatch(/^I am real server/);
    writeFileSync(list, '0.0.0.0/0\n');
    cluster.configure(`deny: [{ file: ${list} }]\nallow: [${from}]\n${RULES}`);
    await tell('reload');
    expect(await cluster.get()).toMatch(/^I am real server/);
    const failed = await tell('deny', from);
    expect(failed.stderr).toContain(`${from}: without effect: an allow list has ${from}, and wins`);
    writeFileSync(list, '198.51.100.7/24\n');
    expect((await tell('reload')).stderr).toContain(`${list}:1:1: error: invalid prefix '198.51.100.7/24'`);
    await held1.stop();
  }, 180_000);
});
