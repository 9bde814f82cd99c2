/** How fast changes of ipvsadm on one director of a cluster are in effect on all three: single ones, and thousands at once. */
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ControlClient } from '../../src/control/client.ts';
import type { Command } from '../../src/model/command.ts';
import type { ServiceAddress } from '../../src/model/service.ts';
import { clusterMissing } from '../support/cluster.ts';
import { etcdMissing } from '../support/etcd-cluster.ts';
import { EtcdSite, SERVERS } from '../support/etcd-site.ts';
import { ipvsadm } from '../support/lvs-programs.ts';
import { PATIENCE } from '../support/program.ts';

const why = clusterMissing() ?? etcdMissing();
test('the required programs and privileges are available', ({ skip }) => skip(why !== undefined, why));

/** Prints figures, and makes more changes. */
const isMeasured = process.env['LVS_CLUSTER_MEASURE'] !== undefined;
const SINGLE = isMeasured ? 100 : 5;
const LINES = isMeasured ? 10_000 : 1000;
/** ms after which a longest turn of the event loop is no longer that of the start. */
const MINUTE = 61_000;
const report = (line: string): void => {
  if (isMeasured) process.stdout.write(`${line}\n`);
};

describe.skipIf(why !== undefined)('ipvsadm in a cluster of three directors', () => {
  let site: EtcdSite;
  let clients: ControlClient[];
  let service: ServiceAddress;
  beforeAll(async () => {
    site = await EtcdSite.create();
    await site.form(site.text([SERVERS[0]]));
    service = { protocol: 'tcp', address: site.lab.vip, port: 80 };
    clients = site.directors.map(({ host }) => new ControlClient(join(host.folder, 'run/director.sock')));
  });
  afterAll(async () => {
    for (const client of clients ?? []) client[Symbol.dispose]();
    await site?.[Symbol.asyncDispose]();
  });

  const destinations = async (client: ControlClient): Promise<number> =>
    (await client.snapshot({ services: true })).services.reduce(
      (sum, each) => sum + each.destinations.length,
      0,
    );
  /** Resolves when all directors have as many destinations. */
  const become = (count: number) =>
    Promise.all(
      clients.map(async (client) => {
        const until = performance.now() + PATIENCE;
        while ((await destinations(client)) !== count) {
          if (performance.now() > until) throw new Error(`expected ${count} destinations`);
          await sleep(1);
        }
      }),
    );
  const longestTurns = () =>
    Promise.all(
      site.directors.map(async ({ host }) => {
        const text = await host.exec('curl -s http://127.0.0.1:9112/metrics');
        return Math.round(Number(/^lvs_event_loop_longest_turn_seconds (.*)$/m.exec(text)?.[1]) * 1000);
      }),
    );

  test('one change after the other is in effect on all', async () => {
    const times: { own: number; all: number }[] = [];
    for (let i = 0; i < SINGLE; i++) {
      const command: Command = {
        ...{ op: 'add-destination', service, options: { method: 'dr', weight: 1 } },
        destination: { address: `192.168.1.${100 + i}`, port: 80 },
      };
      const from = performance.now();
      expect(await clients[i % 3]!.apply([command])).toEqual([undefined]);
      const own = performance.now() - from;
      await become(2 + i);
      times.push({ own, all: performance.now() - from });
    }
    for (const key of ['own', 'all'] as const) {
      const sorted = times.map((each) => each[key]).sort((a, b) => a - b);
      const at = (share: number) => sorted[Math.min(SINGLE - 1, Math.floor(SINGLE * share))]!.toFixed(1);
      report(`${SINGLE} changes, ${key}: p50 ${at(0.5)} ms, p99 ${at(0.99)} ms, max ${at(1)} ms`);
    }
  });

  test('a restored file is in effect on all', async () => {
    if (isMeasured) await sleep(MINUTE);
    // Directors close idle connections.
    for (const client of clients) client.close();
    report(`longest turns before: ${await longestTurns()} ms`);
    const SERVICES = LINES / 100;
    const lines = Array.from({ length: SERVICES }, (_, i) => [
      `-A -t 10.98.${i}.1:80 -s wrr`,
      ...Array.from(
        { length: 99 },
        (_, k) => `-a -t 10.98.${i}.1:80 -r 192.168.1.${100 + k}:80 -g -w ${1 + k}`,
      ),
    ]).flat();
    const before = await destinations(clients[0]!);
    const from = performance.now();
    await site.directors[0]!.host.exec([...ipvsadm, '-R'], {
      input: `${lines.join('\n')}\n`,
      limit: 10 * PATIENCE,
    });
    const own = performance.now() - from;
    await become(before + SERVICES * 99);
    const all = performance.now() - from;
    report(`ipvsadm -R of ${lines.length} lines: ${own.toFixed(0)} ms, on all after ${all.toFixed(0)} ms`);
    report(`longest turns: ${await longestTurns()} ms`);
  });
});
