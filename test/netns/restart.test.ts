/**
 * A kernel path whose director is killed, stopped, replaced or upgraded: it goes on, and is taken over or released. Variables of
 * the environment: LVS_RESTART_HELD connections, LVS_RESTART_ROUNDS of each way to end, LVS_RESTART_GAP_MS without a director,
 * LVS_RESTART_FAILED_MS after which a new connection without an answer has failed, LVS_RESTART_PATHS=all for every hook, method
 * and scheduler and every way to end on each, LVS_RANDOM_RESTARTS at random moments.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { FORMER_LAYOUTS } from '../../src/table/header.ts';
import { Cluster, clusterMissing, type Method } from '../support/cluster.ts';
import { kernel } from '../support/ebpf/kernel.ts';
import { director as lvs, realserver } from '../support/lvs-programs.ts';
import { PinsMount, pinsMissing } from '../support/pins.ts';
import { built } from '../support/project.ts';
import { SteadyLoad } from '../support/steady-load.ts';

const why = clusterMissing() ?? ('why' in kernel ? kernel.why : undefined) ?? pinsMissing();

/** Connections that are held, and those that are opened in a second. */
const HELD = Number(process.env['LVS_RESTART_HELD'] ?? 100);
const PER_SECOND = 20;
const ROUNDS = Number(process.env['LVS_RESTART_ROUNDS'] ?? 1);
const GAP_MS = Number(process.env['LVS_RESTART_GAP_MS'] ?? 0);
/** Three times what clients should wait at most, for other load. Each round asks once while there is no director, too. */
const FAILED_MS = Number(process.env['LVS_RESTART_FAILED_MS'] ?? 9000);
const RANDOM_RESTARTS = Number(process.env['LVS_RANDOM_RESTARTS'] ?? 0);
/** Time for one restart beside other load, ms. */
const RESTART_MS = 30_000;

const DESTINATIONS: Readonly<Record<Method, string>> = {
  nat: '192.168.1.3:80, 192.168.1.4:80',
  dr: '192.168.0.3, 192.168.0.4',
  tunnel: 'rs1, rs2',
};
/** The rules of a laboratory. */
const rules = (method: Method, scheduler: string) => `method: ${method}
vips:
  - { interface: eth0, address: 192.168.0.101, prefix: 24 }
real-servers: { vip-device: ${method === 'tunnel' ? 'tunl0' : 'lo'}, net-device: eth0 }
restart: { keep: true, orphan: 60, release: 90 }
services:
  - tcp: 192.168.0.101:80
    scheduler: ${scheduler}
    destinations: [${DESTINATIONS[method]}]
`;

/** A client that keeps a connection and sends on it every 50 ms. It prints each answer, and how the connection ends. */
const held = (vip: string) => [
  process.execPath,
  '-e',
  `const socket = require('node:net').connect({ host: '${vip}', port: 80 });
   const send = () => socket.write('GET / HTTP/1.1\\r\\nHost: vip\\r\\n\\r\\n');
   socket.on('connect', () => setInterval(send, 50));
   socket.on('data', () => console.log('answer'));
   socket.on('error', ({ code }) => { console.log('ended', code); process.exit(); });`,
];

test('the required programs and privileges are available', ({ skip }) => skip(why !== undefined, why));

type Row = readonly [hook: string, method: Method, scheduler: string];
const SOME: readonly Row[] = [
  ['tc', 'nat', 'wlc'],
  ['tc', 'tunnel', 'rr'],
  ['xdp', 'dr', 'wlc'],
];
const ALL = ['tc', 'xdp'].flatMap((hook) =>
  (['nat', 'dr', 'tunnel'] as const).flatMap((method) =>
    ['rr', 'wlc'].map((scheduler): Row => [hook, method, scheduler]),
  ),
);
const IS_WHOLE = process.env['LVS_RESTART_PATHS'] === 'all';
const PATHS = IS_WHOLE ? ALL : SOME;

describe.skipIf(why !== undefined).each(PATHS)('%s, %s, %s', (hook, method, scheduler) => {
  const isFirst = PATHS[0]![0] === hook && PATHS[0]![1] === method && PATHS[0]![2] === scheduler;
  let cluster: Cluster;
  let pins: PinsMount;
  let clean: string;

  /** Addresses, rules and devices of the director's host. */
  const state = async () => {
    const { director } = cluster.lab;
    const addresses = await director.exec("ip -o address show | awk '{ print $2, $4 }'");
    return `${addresses}\n${await director.exec('nft list ruleset')}\n${await director.exec('ip -br link')}`;
  };
  /** Starts a director on the path that the last one left. */
  const startNext = async (...words: string[]) => {
    await cluster.startDirector(['--datapath', hook, '--pins', pins.root, ...words]);
    expect(cluster.director.output).toMatch(/path-adopted connections=/);
  };
  const onHost = (...words: string[]) => cluster.lab.director.run([...lvs, ...words]);
  const release = () => cluster.lab.director.exec([...lvs, 'stop', '--release', '--pins', pins.root]);
  const kill = () => cluster.director.stop('SIGKILL');

  const load = () => {
    const { client, vip } = cluster.lab;
    return SteadyLoad.start(client, { vip, held: HELD, perSecond: PER_SECOND, limit: FAILED_MS });
  };
  /** Connections, packets and bytes of the service, as of the last reading. */
  const counters = async (): Promise<number[]> => {
    const line = /^TCP +\S+:80 +(.*)$/m.exec(await cluster.ipvsadm('-L', '-n', '--stats', '--exact'))?.[1];
    return line!.trim().split(/ +/).map(Number);
  };
  /**
   * Waits until the connections that `-L -c` lists are those that the destinations count, which end meanwhile. First packets
   * may still wait for the director when the client has ended.
   */
  const expectExact = async () => {
    const counted = async () => {
      const counts = [...(await cluster.ipvsadm('-L', '-n')).matchAll(/:80 +\w+ +\d+ +(\d+) +(\d+)/g)];
      return counts.reduce((sum, [, active, inactive]) => sum + Number(active) + Number(inactive), 0);
    };
    const inexact = async () => {
      const before = await counted();
      const rows = (await cluster.ipvsadm('-L', '-n', '-c')).match(/^TCP .*:80 /gm)?.length ?? 0;
      const after = await counted();
      return rows <= before && rows >= after ? undefined : { before, rows, after };
    };
    await expect.poll(inexact).toBeUndefined();
  };

  const print = (what: string, seen: object) =>
    process.stderr.write(`${hook} ${method} ${scheduler}: ${what}: ${JSON.stringify(seen)}\n`);

  beforeAll(async () => {
    pins = new PinsMount();
    cluster = await Cluster.create({
      method,
      offloads: hook === 'xdp' ? 'off' : 'on',
      yaml: rules(method, scheduler),
      directorWords: ['--datapath', hook, '--pins', pins.root],
    });
    if (hook === 'xdp') cluster.lab.pollPeers();
    await onHost('stop');
    await cluster.director.ended;
    clean = await state();
  });
  afterAll(async () => {
    await cluster?.[Symbol.asyncDispose]();
    pins?.[Symbol.dispose]();
  });

  test(
    `no connection is lost, and no new one fails, over kill -9, --replace, stop --keep and SIGTERM`,
    async () => {
      await cluster.startDirector();
      const { vip, director } = cluster.lab;
      await cluster.ipvsadm('-A', '-u', `${vip}:99`, '-s', 'wrr');
      await cluster.ipvsadm('-a', '-u', `${vip}:99`, '-r', cluster.lab.servers[0]!.address, '-m', '-w', '3');
      const saved = await cluster.ipvsadm('-S', '-n');
      await using client = await load();
      const aged = (version: number) => async () => {
        await kill();
        await director.exec([...built('test/support/age-path'), pins.root, `${version}`]);
      };
      const killedWhileItStarts = async () => {
        await kill();
        for (const event of [/path-adopted/, /datapath-chosen/, /rules-adopted/, /guard-taken-over/]) {
          const words = ['run', '--config', cluster.config, '--datapath', hook, '--pins', pins.root];
          const next = director.spawn([...lvs, ...words]);
          await next.line(event);
          await next.stop('SIGKILL');
        }
      };
      const ends: Readonly<Record<string, () => Promise<unknown>>> = {
        'kill -9': kill,
        '--replace': async () => {},
        ...((isFirst || IS_WHOLE) && {
          'stop --keep': () => onHost('stop', '--keep'),
          // As the file says.
          SIGTERM: () => cluster.director.stop(),
        }),
        ...(isFirst && { 'kill -9 of directors that start': killedWhileItStarts }),
        // The path is one of an earlier layout when the next director finds it.
        ...(isFirst &&
          Object.fromEntries(FORMER_LAYOUTS.map(({ version }) => [`layout ${version}`, aged(version)]))),
      };
      let before = await counters();
      for (const [name, end] of Object.entries(ends)) {
        for (let round = 0; round < ROUNDS; round++) {
          const former = cluster.director;
          await end();
          // Some packets find no director.
          if (name !== '--replace') await Promise.all([cluster.get(), sleep(GAP_MS)]);
          await startNext(...(name === '--replace' ? ['--replace'] : []));
          if (name === '--replace') expect(await former.ended).toBe(0);
          if (name.startsWith('layout'))
            expect(cluster.director.output).toContain(
              `layout-completed found=${name.slice('layout '.length)}`,
            );
          expect(await cluster.ipvsadm('-S', '-n')).toBe(saved);
          const now = await counters();
          // Layout 6 had counters of programs alone.
          if (name !== 'layout 6')
            for (const [i, counter] of now.entries()) expect(counter).toBeGreaterThanOrEqual(before[i]!);
          before = now;
        }
        const seen = await client.seen();
        const { lost, failed, reasons } = seen;
        // Errors after an answer, such as an end that is late, have reasons, too.
        expect({ name, lost, failed }, JSON.stringify(reasons)).toEqual({ name, lost: 0, failed: 0 });
        expect(seen.opened).toBeGreaterThan(0);
        if (ROUNDS > 1) print(`${ROUNDS} x ${name}`, { ...seen });
      }
      await client.stop();
      await expectExact();
      await onHost('stop');
      expect(await cluster.director.ended).toBe(0);
      expect(await state()).toBe(clean);
    },
    300_000 + ROUNDS * 5 * (RESTART_MS + GAP_MS),
  );

  test('known and new connections go on after kill -9, until the path is released', async () => {
    await cluster.startDirector();
    await using client = cluster.lab.client.spawn(held(cluster.lab.vip));
    await client.line(/^answer$/);
    // Each server is the destination of a connection once, so that its replies are known, too.
    for (let i = 0; i < 4; i++) await cluster.get();
    await kill();
    const from = client.lines.length;
    await client.line(/^answer$/, undefined, from);
    for (let i = 0; i < 4; i++) expect(await cluster.get()).toMatch(/^I am real server #[12]$/m);
    // A start that fails changes nothing.
    const words = ['run', '--config', cluster.config, '--datapath', hook, '--pins', pins.root];
    const failed = await onHost(...words, '--interface', 'eth0', 'nosuch');
    expect(failed.stderr).toMatch(/nosuch: not found/);
    await client.line(/^answer$/, undefined, client.lines.length);
    for (let i = 0; i < 2; i++) expect(await cluster.get()).toMatch(/^I am real server #[12]$/m);
    expect(client.output).not.toContain('ended');
    const { status, stdout } = await onHost('status', '--pins', pins.root);
    expect(stdout).toMatch(
      /^forwarding without a director: the kernel path \S+ is without a director since 20/m,
    );
    expect(stdout).toMatch(/^orphaned guard: the table netdev lvs_director_/m);
    expect(status).toBe(1);
    expect(await release()).toMatch(/^released: kernel path of /);
    expect(await state()).toBe(clean);
    expect(pins.kept.filter((name) => name.includes('/'))).toEqual([]);
    expect((await onHost('status', '--pins', pins.root)).status).toBe(3);
  }, 120_000);

  if (isFirst) {
    test('a second director cannot take the path of one that runs', async () => {
      await cluster.startDirector();
      const { director, folder } = cluster.lab;
      const words = ['run', '--config', cluster.config, '--datapath', hook, '--pins', pins.root];
      const { status, stderr } = await director.run([...lvs, ...words, '--socket', `${folder}/second.sock`]);
      expect(stderr).toMatch(/lvs-upcall: EBUSY/);
      expect(status).toBe(1);
      expect(await cluster.get()).toMatch(/^I am real server #/m);
      expect((await onHost('status', '--pins', pins.root)).status).toBe(0);
      await onHost('stop');
    }, 120_000);

    test('without a director for long, the path admits nothing new, and then forwards nothing', async () => {
      cluster.configure(
        rules(method, scheduler).replace('orphan: 60, release: 90', 'orphan: 5, release: 20'),
      );
      await cluster.startDirector();
      await using client = cluster.lab.client.spawn(held(cluster.lab.vip));
      await client.line(/^answer$/);
      await kill();
      const { client: host, director, vip } = cluster.lab;
      await host.exec(`while curl -sS --max-time 1 -o /dev/null http://${vip}/; do sleep 0.2; done 2>&1`);
      const admitted = client.lines.length;
      await client.line(/^answer$/, undefined, admitted);
      const { stdout } = await director.run([
        ...realserver,
        ...['doctor', '--from-director', '--config', cluster.config, '--pins', pins.root],
      ]);
      expect(stdout).toMatch(/orphaned-path: .* it admits no new connection, after 5 s/);
      for (let lines = -1; lines !== client.lines.length; await sleep(2000)) lines = client.lines.length;
      expect((await onHost('status', '--pins', pins.root)).stdout).toMatch(/forwards nothing any more/);
      // The connection is still known, and the next director forwards its packets.
      await startNext();
      await client.line(/^answer$/, undefined, client.lines.length);
      await onHost('stop');
      expect(await state()).toBe(clean);
    }, 180_000);
  }

  if (RANDOM_RESTARTS > 0)
    test(
      'restarts at random moments lose nothing',
      async () => {
        cluster.configure(rules(method, scheduler));
        await cluster.startDirector();
        const descriptors = () => readdirSync(`/proc/${cluster.director.pid}/fd`).length;
        const resident = () =>
          Number(/^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${cluster.director.pid}/status`, 'utf8'))?.[1]);
        await using client = await load();
        await startNext('--replace');
        const first = { descriptors: descriptors(), kib: resident() };
        let killedEarly = 0;
        for (let restart = 0; restart < RANDOM_RESTARTS; restart++) {
          const way = Math.random();
          if (way < 0.5) {
            // Killed at any moment of its start, adoption or run; or when it ends.
            const words = ['run', '--config', cluster.config, '--datapath', hook, '--pins', pins.root];
            const isStop = way < 0.15;
            if (isStop) {
              await startNext('--replace');
              void onHost('stop', '--keep');
            } else await kill();
            const next = isStop ? cluster.director : cluster.lab.director.spawn([...lvs, ...words]);
            await sleep(Math.random() * (isStop ? 300 : 2500));
            await next.stop('SIGKILL');
            killedEarly++;
            await startNext();
          } else if (way < 0.75) {
            await kill();
            await startNext();
          } else await startNext('--replace');
        }
        const seen = await client.seen();
        const last = { descriptors: descriptors(), kib: resident() };
        print(`${RANDOM_RESTARTS} random restarts, ${killedEarly} killed while they started or ended`, {
          ...seen,
          ...{ first, last, pins: pins.kept.length },
        });
        expect(seen).toMatchObject({ lost: 0, failed: 0 });
        expect(Math.abs(last.descriptors - first.descriptors)).toBeLessThan(5);
        await client.stop();
        await expectExact();
        await kill();
        await release();
        expect(await state()).toBe(clean);
        expect(pins.kept.filter((name) => name.includes('/'))).toEqual([]);
      },
      120_000 + RANDOM_RESTARTS * 2 * RESTART_MS,
    );
});
