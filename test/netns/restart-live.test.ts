/** A director without a kernel path is killed, restarted and replaced: packets wait or are sent again, connections go on. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Cluster, clusterMissing, type Method } from '../support/cluster.ts';
import { kernel } from '../support/ebpf/kernel.ts';
import { director as lvs } from '../support/lvs-programs.ts';
import { PinsMount, pinsMissing } from '../support/pins.ts';
import { type Seen, SteadyLoad } from '../support/steady-load.ts';

const why = clusterMissing();
const noKernelPath = ('why' in kernel ? kernel.why : undefined) ?? pinsMissing();

/** Connections that are held, and those that are opened in a second. */
const HELD = 200;
const PER_SECOND = 20;
/** Time after which a new connection has failed, ms: three times what clients should wait at most, for other load. */
const FAILED_MS = 9000;
/** Time between two requests on a held connection, ms: the director's process forwards each packet. */
const ASK_MS = 1000;
/** Time without a director, ms. */
const ABSENCE = 1500;

const SERVERS: Readonly<Record<Method, string>> = {
  nat: '192.168.1.3:80, 192.168.1.4:80',
  dr: '192.168.0.3, 192.168.0.4',
  tunnel: '192.168.2.3, 192.168.2.4',
};
const rules = (method: Method, scheduler: string) => `method: ${method}
vips:
  - { interface: eth0, address: 192.168.0.101, prefix: 24 }
services:
  - tcp: 192.168.0.101:80
    scheduler: ${scheduler}
    destinations: [${SERVERS[method]}]
`;

test('the required programs and privileges are available', ({ skip }) => skip(why !== undefined, why));

const PATHS: readonly [Method, string][] = [
  ['nat', 'wlc'],
  ['dr', 'rr'],
  ['tunnel', 'wlc'],
];

describe.skipIf(why !== undefined).each(PATHS)('%s, %s', (method, scheduler) => {
  let cluster: Cluster;
  let clean: string;

  /** Addresses and rules of the director's host, and what is in its memory. */
  const state = async () => {
    const { director } = cluster.lab;
    const addresses = await director.exec("ip -o address show | awk '{ print $2, $4 }'");
    const files = await director.exec('find /dev/shm -mindepth 2');
    return `${addresses}\n${await director.exec('nft list ruleset')}\n${files}`;
  };
  const start = (...words: string[]) => cluster.startDirector(['--datapath', 'live', ...words]);
  const startNext = async (...words: string[]) => {
    await start(...words);
    expect(cluster.director.output).toMatch(/table-adopted connections=[1-9]\d*/);
  };
  const load = (held: number, perSecond: number) => {
    const { client, vip } = cluster.lab;
    return SteadyLoad.start(client, { vip, held, perSecond, limit: FAILED_MS, interval: ASK_MS });
  };
  /** Waits until all held connections are answered again, which TCP decides, and new ones do not fail any more. */
  const recovered = async (client: SteadyLoad): Promise<Seen> => {
    for (;;) {
      const now = await client.seen();
      expect(now.ended).toBe(0);
      expect(Object.keys(now.reasons).filter((reason) => reason !== 'unanswered')).toEqual([]);
      if (now.lost + now.failed === 0) return now;
    }
  };

  beforeAll(async () => {
    cluster = await Cluster.create({
      method,
      yaml: rules(method, scheduler),
      directorWords: ['--datapath', 'live'],
    });
    await cluster.director.stop();
    clean = await state();
  });
  afterAll(() => cluster?.[Symbol.asyncDispose]());

  test('held connections outlive kill -9, SIGTERM with --keep and --replace, and none is refused or reset', async () => {
    await start();
    await cluster.ipvsadm('-A', '-f', '7', '-s', 'wrr');
    const saved = await cluster.ipvsadm('-S', '-n');
    await using client = await load(HELD, PER_SECOND);
    for (const signal of ['SIGKILL', 'SIGTERM'] as const) {
      await cluster.director.stop(signal);
      await new Promise((resolve) => setTimeout(resolve, ABSENCE));
      await startNext('--keep');
      expect(await cluster.ipvsadm('-S', '-n')).toBe(saved);
      await recovered(client);
    }
    const former = cluster.director;
    await startNext('--replace');
    expect(await former.ended).toBe(0);
    await recovered(client);
    await client.stop();
    // Listings are exact. Connections end meanwhile, and first packets may still wait for the director.
    const counted = async () => {
      const counts = [...(await cluster.ipvsadm('-L', '-n')).matchAll(/:80 +\w+ +\d+ +(\d+) +(\d+)/g)];
      return counts.reduce((sum, [, active, inactive]) => sum + Number(active) + Number(inactive), 0);
    };
    const inexact = async () => {
      const before = await counted();
      const listed = (await cluster.ipvsadm('-L', '-n', '-c')).match(/^TCP .*:80 /gm)!.length;
      const after = await counted();
      return listed <= before && listed >= after ? undefined : { before, listed, after };
    };
    await expect.poll(inexact).toBeUndefined();
    expect(await cluster.director.stop()).toBe(0);
    expect(await state()).toBe(clean);
  }, 240_000);

  if (method === 'nat' && noKernelPath === undefined)
    test('connections outlive a change of the datapath to tc and back, with their counters', async () => {
      using pins = new PinsMount();
      const path = ['--pins', pins.root];
      await start(...path);
      await using client = await load(HELD / 4, PER_SECOND / 2);
      const packets = async () => {
        const line = /^TCP +\S+:80 +(.*)$/m.exec(
          await cluster.ipvsadm('-L', '-n', '--stats', '--exact'),
        )?.[1];
        return Number(line!.trim().split(/ +/)[1]);
      };
      let before = await packets();
      for (const [datapath, event] of [
        ['tc', /table-carried connections=[1-9]\d*/],
        ['live', /table-adopted connections=[1-9]\d*[\s\S]*path-removed/],
      ] as const) {
        await cluster.director.stop('SIGKILL');
        await cluster.startDirector(['--datapath', datapath, ...path]);
        expect(cluster.director.output).toMatch(event);
        expect(cluster.director.output).not.toMatch(/are lost/);
        await recovered(client);
        expect(await packets()).toBeGreaterThanOrEqual(before);
        before = await packets();
        expect(
          (await cluster.ipvsadm('-L', '-n', '-c')).match(/ESTABLISHED .*:80 /g)!.length,
        ).toBeGreaterThanOrEqual(HELD / 4);
      }
      await client.stop();
      expect(await cluster.director.stop()).toBe(0);
      expect(await state()).toBe(clean);
      expect(pins.kept.filter((name) => name.includes('/'))).toEqual([]);
    }, 240_000);

  if (method !== 'dr') return;
  test('what a killed director left is removed by stop --release', async () => {
    await start();
    const { director } = cluster.lab;
    await cluster.director.stop('SIGKILL');
    expect(await director.run([...lvs, 'status'])).toMatchObject({
      status: 1,
      stdout: expect.stringMatching(
        /^kept without a director: the connection table .* with \d+ connections/m,
      ),
    });
    expect(await director.exec([...lvs, 'stop', '--release'])).toMatch(
      /^released: connection table of \/dev\/shm\/lvs-director\/\d+$/m,
    );
    expect(await state()).toBe(clean);
  });
});
