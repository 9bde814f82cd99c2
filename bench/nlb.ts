/** Measures a cluster without a director: for how long new connections wait when an agent is killed, drains, and joins. */
import { clusterMissing } from '../test/support/cluster.ts';
import { CLIENTS, from, NlbCluster, VIP } from '../test/support/nlb-cluster.ts';
import type { Program } from '../test/support/program.ts';
import { built } from '../test/support/project.ts';
import type { Effort, Figure } from './measure.ts';

/** ms after which a connection was not answered at its first packet, which is repeated after a second. */
const UNANSWERED_MS = 500;
const EVERY_MS = '5';

/** Start (ms since 1970), address, and ms until the answer, or why there was none. */
type Opened = readonly [at: number, from: string, result: number | string];

async function openedOf(stream: Program): Promise<Opened[]> {
  const at = stream.lines.length;
  stream.write('\n');
  await stream.line(/^\{/, undefined, at);
  return JSON.parse(stream.lines.at(-1)!).failures;
}

export async function nlb({ quick }: Effort): Promise<Figure[]> {
  const missing = clusterMissing();
  if (missing !== undefined) {
    console.error(`bench: nlb is skipped: ${missing}`);
    return [];
  }
  const figures: Figure[] = [];
  for (const servers of quick ? [3] : [3, 8]) {
    await using cluster = await NlbCluster.create(servers);
    const times = await rounds(cluster, servers, quick ? 1 : 7);
    for (const [what, values] of Object.entries(times)) {
      values.sort((a, b) => a - b);
      figures.push({
        name: `nlb: ${servers} servers, ${what}`,
        value: values[values.length >> 1]!,
        best: values[0]!,
        unit: 'ms',
      });
    }
  }
  return figures;
}

/** Returns the times of each round. A host is lost after 1 s (5 heartbeats of 0.2 s). */
async function rounds(
  cluster: NlbCluster,
  servers: number,
  count: number,
): Promise<Record<string, number[]>> {
  const names = cluster.lab.servers.map(({ name }) => name);
  const last = cluster.lab.servers[servers - 1]!;
  cluster.configure({ mac: 'unicast', servers, missed: 5, lines: ['rules:', '  - { tcp: 80 }'] });
  await cluster.startAll(servers);
  await using stream = cluster.lab.client.spawn([
    ...[...built('test/support/cluster-stream'), '--to', VIP, '--late', '0', '--every', EVERY_MS],
    ...from(CLIENTS),
  ]);
  const longest = async () =>
    Math.max(...(await openedOf(stream)).map(([, , ms]) => (typeof ms === 'number' ? ms : Infinity)));
  const killed: number[] = [];
  const joined: number[] = [];
  const drained: number[] = [];
  for (let round = 0; round < count; round++) {
    await openedOf(stream);
    const at = Date.now();
    await cluster.agents[servers - 1]!.stop('SIGKILL');
    await cluster.converged(...names.slice(0, -1));
    const unanswered = (await openedOf(stream)).filter(([, , ms]) => !(Number(ms) < UNANSWERED_MS));
    killed.push(Math.max(0, ...unanswered.map(([start]) => start - at)));
    await cluster.start(servers);
    await cluster.converged(...names);
    joined.push(await longest());
    await cluster.command(last, 'drain');
    drained.push(await longest());
    await cluster.command(last, 'resume');
    await cluster.converged(...names);
  }
  return {
    'killed: until new connections are answered': killed,
    'joined: longest wait of a new connection': joined,
    'drained: longest wait of a new connection': drained,
  };
}
