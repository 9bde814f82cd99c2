/** Three directors behind a router that spreads connections over them: clients when one of them leaves, fails or returns. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { clusterMissing } from '../support/cluster.ts';
import { lacking } from '../support/debian.ts';
import { BIRD_SOCKET, type EcmpNode, EcmpSite, type Family } from '../support/ecmp-site.ts';
import { ipvsadm, realserver } from '../support/lvs-programs.ts';
import { PATIENCE } from '../support/program.ts';

const why = clusterMissing() ?? lacking('/usr/sbin/bird', 'bird2');
const HELD = Number(process.env['LVS_SCALE_HELD'] ?? 200);
const isMeasured = process.env['LVS_SCALE_HELD'] !== undefined;
const selected = process.env['LVS_DATAPATH'];
const doctor = [...realserver, 'doctor', '--from-director'];
const WEB = '127.0.0.1:9112';

test('the required programs and privileges are available', ({ skip }) => skip(why !== undefined, why));

interface Case {
  readonly datapath: string;
  readonly family?: Family;
  /** Changes the example. */
  readonly configure: (text: string, key: string) => string;
}

const CASES: Readonly<Record<string, Case>> = {
  'mh, by earlier tables': { datapath: selected ?? 'tc', configure: (text) => text },
  'mh, IPv6': { datapath: selected ?? 'tc', family: 'IPv6', configure: (text) => text },
  'rr, by synchronization': {
    datapath: selected ?? 'live',
    configure: (text, key) =>
      text
        .replace(/scheduler: mh.*\n(.*\n)?.*flags.*\n/, 'scheduler: rr\n')
        .replace('sloppy_tcp: 1', 'sloppy_tcp: 0') +
      `sync: { interface: eth0, key-file: ${key}, peers: [192.168.1.11, 192.168.1.12, 192.168.1.13] }\n`,
  },
};

describe.skipIf(why !== undefined).each(Object.entries(CASES))('%s', (name, options) => {
  const { datapath, family = 'IPv4', configure } = options;
  let site: EcmpSite;
  const servers = (change: (list: string) => string) =>
    site.configure((text) =>
      configure(text.replace('rise: 2', 'rise: 0'), join(site.lab.folder, 'sync.key')).replace(
        /destinations: \[(.*)\]$/m,
        (_, list: string) => `destinations: [${change(list)}]`,
      ),
    );
  const [first, second, third] =
    family === 'IPv6'
      ? ["'[fd00:0:0:1::3]'", "'[fd00:0:0:1::4]'", "'[fd00:0:0:1::5]'"]
      : ['192.168.1.3', '192.168.1.4', '192.168.1.5'];

  beforeAll(async () => {
    site = await EcmpSite.create(['--datapath', datapath, '--metrics', WEB], family);
    writeFileSync(join(site.lab.folder, 'sync.key'), `${'5c'.repeat(32)}\n`, { mode: 0o600 });
    servers(() => `${first}, ${second}`);
    await Promise.all(site.nodes.map((node) => node.start()));
    await site.routes(3);
  });
  afterAll(() => site?.[Symbol.asyncDispose]());

  /** What clients have seen of an event. */
  const seen = async (event: string) => {
    const { lost, opened, failed, silent, reasons } = await site.seen();
    if (isMeasured)
      process.stdout.write(
        `${name}, ${datapath}: ${event}: ${lost} of ${HELD} lost, ${failed} of ${opened} new failed, silent for ${silent} ms ${JSON.stringify(reasons)}\n`,
      );
    return { lost, failed };
  };
  /** Makes a director leave whose connections no other one has had, and returns what their clients have seen. */
  const leaves = async (event: string, leave: (node: EcmpNode) => Promise<unknown>) => {
    await site.clients?.stop();
    await site.connect(HELD, isMeasured ? 50 : 20);
    expect(await seen('before')).toMatchObject(ALIVE);
    if (!isHashed) await synchronized();
    await leave(site.nodes[2]!);
    await site.routes(2);
    return seen(event);
  };
  const returns = async (event: string, back: (node: EcmpNode) => Promise<unknown>) => {
    await back(site.nodes[2]!);
    await site.routes(3);
    return seen(event);
  };
  const isHashed = name.startsWith('mh');
  /** Resolves when the other directors have all held connections. */
  const synchronized = async () => {
    const lines = await site.lab.client.exec(`ss -Htn state established dst ${site.vip}`);
    const ports = [...lines.matchAll(/\d+:(\d+) /g)].map(([, port]) => port!);
    for (const { host } of site.nodes.slice(0, 2))
      await expect
        .poll(
          async () => {
            const known = await host.exec([...ipvsadm, '-Lnc']);
            return ports.filter((port) => !known.includes(`:${port} `)).length;
          },
          { timeout: PATIENCE },
        )
        .toBeLessThan(Math.max(1, ports.length - HELD + 1));
  };
  /** Resolves with the connections that the other directors have taken over. */
  const takenOver = async () => {
    const read = `curl -s ${WEB}/metrics | sed -n 's/^lvs_connections_taken_over_total //p'`;
    const counts = await Promise.all(site.nodes.slice(0, 2).map(({ host }) => host.exec(read)));
    return counts.reduce((sum, count) => sum + Number(count), 0);
  };
  const UNHARMED = { lost: 0, failed: 0 };
  const ALIVE = { lost: 0 };
  const kill = (node: EcmpNode) => node.director.stop('SIGKILL');
  const reload = (list: string) => {
    servers(() => list);
    return Promise.all(site.nodes.map((each) => each.command('reload')));
  };

  test('every held connection survives when a director leaves, and no new one fails if that was planned', async () => {
    // By synchronization, a director does not know the handshakes of the moment in which it joins.
    const planned = isHashed ? UNHARMED : ALIVE;
    expect(await leaves('withdraw', (node) => node.command('withdraw'))).toMatchObject(planned);
    // The programs of a kernel path leave packets of unknown connections to the director.
    if (isHashed) expect(await takenOver()).toBeGreaterThan(0);
    expect(await site.nodes[2]!.command('announcements')).toContain(`${site.vip}: withdrawn: ready`);
    expect(await returns('announce', (node) => node.command('announce'))).toMatchObject(planned);
    if ((isHashed && family === 'IPv4') || isMeasured) {
      expect(await leaves('stop', (node) => node.director.stop())).toMatchObject(planned);
      expect(await returns('start', (node) => node.start())).toMatchObject(planned);
    }
    if (isMeasured) {
      expect(await leaves('kill -9', kill)).toMatchObject(ALIVE);
      expect(await returns('start after kill -9', (node) => node.start())).toMatchObject(ALIVE);
      expect(await leaves('link down', (node) => site.setLink(node, 'down'))).toMatchObject(ALIVE);
      expect(await returns('link up', (node) => site.setLink(node, 'up'))).toMatchObject(ALIVE);
    }
    const changed = await leaves('kill -9 after that', async (node) => {
      await reload(`${first}, ${second}, ${third}`);
      await reload(`{ server: ${first}, weight: 0 }, ${second}, ${third}`);
      expect(await seen('a server added, one quiesced')).toMatchObject(UNHARMED);
      await kill(node);
    });
    expect(changed).toMatchObject(ALIVE);
  }, 600_000);
});

describe.skipIf(why !== undefined)('BIRD', () => {
  let site: EcmpSite;
  let node: EcmpNode;
  const OTHER = '10.99.0.2';
  const asOneDirector = (text: string) => text.replace('rise: 2', 'rise: 0');

  beforeAll(async () => {
    site = await EcmpSite.create(['--datapath', selected ?? 'live', '--metrics', WEB]);
    node = site.nodes[0]!;
    site.configure(asOneDirector);
    await node.start();
    await site.routes(1);
  });
  afterAll(() => site?.[Symbol.asyncDispose]());

  const protocols = () => node.host.exec(`birdc -s ${BIRD_SOCKET} show protocols '"lvs_*"'`);
  const metrics = () => node.host.exec(`curl -s ${WEB}/metrics | grep ^lvs_announcement`);
  const addVip = (text: string) =>
    `${asOneDirector(text)}  - { tcp: '${OTHER}:80', destinations: [192.168.1.3] }\n`;
  const eventually = (text: () => Promise<string>, expected: string) =>
    expect.poll(text, { timeout: PATIENCE }).toContain(expected);

  test('a VIP without a server that accepts connections is withdrawn', async () => {
    await node.command('drain', '192.168.1.3');
    await node.command('drain', '192.168.1.4');
    await node.command('drain', '192.168.1.5');
    await site.routes(0);
    expect(await node.command('announcements')).toContain('10.99.0.1: withdrawn: not ready');
    for (const server of ['192.168.1.3', '192.168.1.4', '192.168.1.5']) await node.command('undrain', server);
    await site.routes(1);
  });

  test('a BIRD that was killed learns the state when it starts', async () => {
    await node.bird.stop('SIGKILL');
    await site.routes(0);
    await node.director.line(/ announce-failed kind=not-running /);
    expect(await node.command('announcements')).toContain('not-running: ');
    // Removed by a reload meanwhile, and another one added.
    site.configure((text) => addVip(text).replace('10.99.0.1:80', '10.99.0.3:80'));
    await node.command('reload');
    await eventually(() => node.host.exec('cat /run/lvs/announce.conf'), '10.99.0.3');
    node.startBird();
    await eventually(() => site.router.exec('ip route'), '10.99.0.3 ');
    expect(await site.router.exec('ip route')).not.toContain('10.99.0.1 ');
    await node.director.line(/ announce-failed-ended /);
    site.configure(asOneDirector);
    await node.command('reload');
    await site.routes(1);
  });

  test('a configuration that BIRD refuses stops no withdrawal, and is reported until it is valid', async () => {
    await expect
      .poll(() => node.command('announcements'), { timeout: PATIENCE })
      .toBe('10.99.0.1: announced: ready\nBGP sessions: 1 of 1 established');
    node.editBird((text) => `${text}nonsense;\n`);
    site.configure(addVip);
    await node.command('reload');
    await eventually(metrics, 'lvs_announcement_wanted{vip="10.99.0.2"} 1');
    await node.director.line(/ announce-failed kind=refused .*syntax error/);
    expect(await metrics()).toMatch(/^lvs_announcement_errors_total\{kind="refused"\} [1-9]/m);
    expect(await metrics()).toContain('lvs_announcement_active{vip="10.99.0.2"} 0');
    const { stdout } = await node.host.run([...doctor, '--config', node.config]);
    expect(stdout).toContain('announce-failed: BIRD refuses its configuration');
    await node.command('withdraw');
    await site.routes(0);
    node.editBird((text) => text.replace('nonsense;\n', ''));
    await node.command('announce');
    await eventually(() => site.router.exec('ip route'), '10.99.0.2 ');
    await site.routes(1);
  });

  test('a BIRD that hangs at a withdrawal withdraws when it goes on, although the director was killed', async () => {
    node.bird.signal('SIGSTOP');
    node.director.signal('SIGTERM');
    await node.director.line(/ vip-withdrawing /);
    await node.director.stop('SIGKILL');
    await eventually(() => node.host.exec('cat /run/lvs/announce.conf'), 'disabled yes');
    node.bird.signal('SIGCONT');
    await eventually(protocols, ' down ');
    await site.routes(0);
  });
});
