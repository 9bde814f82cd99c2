/**
 * Measures the outage for clients when a director without a kernel path is killed and started again, per forwarding method; and
 * the stages in which the next director takes a kernel path over, while clients go on.
 */
import { Cluster, clusterMissing } from '../test/support/cluster.ts';
import { PinsMount, pinsMissing } from '../test/support/pins.ts';
import { built } from '../test/support/project.ts';
import { SteadyLoad } from '../test/support/steady-load.ts';
import type { Effort, Figure } from './measure.ts';

/** Seconds after which a client opens a new connection, because the packets of the old one were lost. */
const RETRY_S = 0.3;

export async function restart({ quick }: Effort): Promise<Figure[]> {
  const missing = clusterMissing();
  if (missing !== undefined) {
    console.error(`bench: restart is skipped: ${missing}`);
    return [];
  }
  const figures: Figure[] = [];
  for (const method of ['dr', 'nat', 'tunnel'] as const) {
    await using cluster = await Cluster.create({ method, directorWords: ['--datapath', 'live'] });
    const times: number[] = [];
    for (let round = 0; round < (quick ? 1 : 7); round++) times.push(await killAndStart(cluster));
    times.sort((a, b) => a - b);
    figures.push({
      name: `restart: ${method}, from kill -9 to the first answer`,
      value: times[times.length >> 1]!,
      best: times[0]!,
      unit: 'ms',
    });
  }
  return [...figures, ...(await takeovers(quick))];
}

/** Connections of clients that go on, and those that are opened in a second. */
const HELD = 100;
const PER_SECOND = 20;
const KERNEL_PATH = /path-adopted|datapath-chosen|rules-adopted| ready /;

/** Measures the start of a director that takes a kernel path over, with so many connections in its table. */
async function takeovers(quick: boolean): Promise<Figure[]> {
  const missing = pinsMissing();
  if (missing !== undefined) {
    console.error(`bench: restart, kernel path, is skipped: ${missing}`);
    return [];
  }
  const figures: Figure[] = [];
  using pins = new PinsMount();
  await using cluster = await Cluster.create({
    method: 'nat',
    directorWords: ['--datapath', 'tc', '--pins', pins.root, '--connections', '1100000'],
  });
  const { client, director, vip } = cluster.lab;
  await using load = await SteadyLoad.start(client, { vip, held: HELD, perSecond: PER_SECOND });
  for (const connections of quick ? [1000] : [1000, 64_000, 1_000_000]) {
    await cluster.director.stop('SIGKILL');
    const words = [...built('bench/left-path'), pins.root, `${connections}`];
    const adopted = JSON.parse(await director.exec(words));
    const figure = (what: string, value: number) =>
      figures.push({ name: `restart: kernel path, ${what}`, connections, value, unit: 'ms' });
    figure('examining, repairing and counting', adopted.ms);
    figure('the same, processor time', adopted.processorMs);
    figure('the same, time in which other programs had the processors', adopted.waitedMs);
    const began = Date.now();
    await cluster.startDirector();
    const at = new Map<string, number>([['', began]]);
    for (const line of cluster.director.lines) {
      const event = KERNEL_PATH.exec(line)?.[0].trim();
      if (event !== undefined) at.set(event, Date.parse(line.slice(0, line.indexOf(' '))));
    }
    const between = (from: string, to: string) => at.get(to)! - at.get(from)!;
    figure('process and file, until the table is adopted', between('', 'path-adopted'));
    figure('programs', between('path-adopted', 'datapath-chosen'));
    figure('rules of the file', between('datapath-chosen', 'rules-adopted'));
    figure('VIPs, guard, sockets, until ready', between('rules-adopted', 'ready'));
    figure('the whole start', between('', 'ready'));
    const { lost, failed } = await load.seen();
    if (lost + failed > 0)
      console.error(`bench: restart: ${lost} connections lost, ${failed} new ones failed`);
  }
  return figures;
}

/** Resolves with the time from the director's end to the first answer to a client that retries, ms. */
async function killAndStart(cluster: Cluster): Promise<number> {
  const { client, vip } = cluster.lab;
  await cluster.get();
  await cluster.director.stop('SIGKILL');
  const begin = performance.now();
  const ask = `until curl -sf -o /dev/null --max-time ${RETRY_S} http://${vip}/; do :; done`;
  const answered = client.exec(ask).then(() => performance.now() - begin);
  const [time] = await Promise.all([answered, cluster.startDirector()]);
  return time;
}
